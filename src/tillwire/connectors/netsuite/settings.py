"""What the NetSuite connector must be told: which account, as whom, and what the hub's names are there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tillwire.connectors.spec import Secret, checked_url
from tillwire.errors import ConfigurationError

Algorithm = Literal["PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""What NetSuite takes for the signature of a client assertion. RS256 is not among them."""

_FIELD = re.compile(r"^(location|department|class|cseg_?[a-z0-9_]+|custcol_?[a-z0-9_]+)$")
_ID = re.compile(r"^[0-9]+$")


class NetSuiteSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One NetSuite account. Internal ids are NetSuite's numbers, as shown with the preference "Show Internal IDs"."""

    account: Annotated[str, Meta(min_length=1, max_length=64)]
    """The account id, such as ``1234567`` or ``1234567_SB1`` (a sandbox)."""
    client_id: Annotated[str, Meta(min_length=1)]
    """Of the integration record."""
    certificate_id: Annotated[str, Meta(min_length=1)]
    """What NetSuite shows for the certificate at "OAuth 2.0 Client Credentials (M2M) Setup"."""
    private_key: Secret
    """The certificate's private key, PEM."""
    algorithm: Algorithm = "PS256"
    """PS… for RSA keys, ES… for keys of elliptic curves."""
    url: str = ""
    """Where REST web services answer; empty: ``https://ACCOUNT.suitetalk.api.netsuite.com``."""
    subsidiaries: Annotated[Mapping[str, str], Meta(min_length=1)]
    """Subsidiary (internal id) by the hub's company; an empty id where the account is no OneWorld."""
    currencies: Mapping[str, str] = {}
    """Currency (internal id) by ISO code; one that is not named is looked up by its symbol."""
    dimensions: Mapping[str, str] = msgspec.field(default_factory=lambda: {"store": "location"})
    """Field of a journal's line by the hub's dimension: ``location``, ``department``, ``class``, or a custom segment
    (``cseg…``, ``custcol…``). A dimension that is not named is not sent."""
    dimension_values: Mapping[str, Mapping[str, str]] = {}
    """Internal id by the hub's value, by dimension; a value that is not named is taken for an external id."""
    approved: bool = True
    """Enter journals as approved. Where NetSuite asks for an approval all the same, they are accepted, and posted when
    somebody there has approved them."""
    custom_form: str = ""
    """The internal id of the form to enter journals by; empty: the role's preferred one."""
    adjustment_accounts: Mapping[str, str] = {}
    """By the hub's company, the number of the account that inventory adjustments are booked against. Told for every
    company, stock documents are sent too; empty: journals only."""
    most_lanes: Annotated[int, Meta(ge=1, le=50)] = 4
    """Calls at once. NetSuite allows an account 5 (15 in higher tiers, 10 more with each SuiteCloud Plus licence), all
    integrations together."""
    timeout_s: Annotated[float, Meta(gt=0)] = 90.0
    connect_timeout_s: Annotated[float, Meta(gt=0)] = 5.0

    def __post_init__(self) -> None:
        if self.url:
            checked_url(self.url, "url")
        for company, subsidiary in self.subsidiaries.items():
            if subsidiary and not _ID.match(subsidiary):
                raise ConfigurationError(f"subsidiaries.{company}: {subsidiary!r} is no internal id, which is a number")
        for dimension, field in self.dimensions.items():
            if not _FIELD.match(field):
                raise ConfigurationError(
                    f"dimensions.{dimension}: {field!r} is none of location, department, class, cseg…, custcol…"
                )
        if len(set(self.dimensions.values())) < len(self.dimensions):
            raise ConfigurationError("dimensions: two of them would go into one field")
        if unnamed := sorted(set(self.dimension_values) - set(self.dimensions)):
            raise ConfigurationError(f"dimension_values: dimensions has no {', '.join(unnamed)}")

        if self.adjustment_accounts:
            if set(self.adjustment_accounts) != set(self.subsidiaries):
                raise ConfigurationError("adjustment_accounts: must name the companies of subsidiaries, all or none")
            if "location" not in self.dimensions.values():
                raise ConfigurationError("adjustment_accounts: stock needs a dimension that is the location")

    def __repr__(self) -> str:
        # The generated one would carry the key into logs and tracebacks.
        return f"NetSuiteSettings(account={self.account!r}, url={self.base_url!r})"

    @property
    def location_dimension(self) -> str:
        """The hub's dimension that is NetSuite's location. Stock is only taken where there is one."""
        return {field: dimension for dimension, field in self.dimensions.items()}["location"]

    @property
    def base_url(self) -> str:
        """Where REST web services answer."""
        host = self.account.lower().replace("_", "-")
        return (self.url or f"https://{host}.suitetalk.api.netsuite.com").rstrip("/")
