"""What the ERPNext connector must be told: where the site is, as whom to enter, and which books to post to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from tillwire.connectors.spec import Secret, checked_url
from tillwire.errors import ConfigurationError


class ErpNextSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one company's books in one ERPNext site.

    The user needs the roles "Accounts User" and "Accounts Manager" and nothing more.
    """

    url: str
    """The site, such as ``https://erp.example.com``."""
    api_key: str
    """Of the user, from "API Access" in the user's settings."""
    api_secret: Secret
    company: str
    """The company's name in ERPNext. All journals go to this company's books."""
    reference_field: Annotated[str, msgspec.Meta(pattern="^([a-z][a-z0-9_]{0,60})?$")] = ""
    """The custom field of Journal Entry, of the type Data and *unique*, that carries our references. Empty: they travel
    in the Reference Number (``cheque_no``), which ERPNext takes twice, so that entries are made as drafts first."""
    accounts_by: Literal["number", "name"] = "number"
    """Whether our accounts are ERPNext's account numbers, or the accounts' full names, such as ``Cash - ACME``."""
    dimensions: Mapping[str, str] = {}
    """The field of an entry's row (``cost_center``, ``project``, or that of an accounting dimension) that carries a
    dimension of ours: ``{"store": "cost_center"}``. Dimensions that are not named here are left out."""
    dimension_values: Mapping[str, str] = {}
    """How ERPNext names a dimension's values: ``{"store": "Store {value} - ACME"}``; else just by their value."""
    exchange_account: str = ""
    """Where cents go that are left over when a journal in a foreign currency is valued in the company's: an account of
    the company's currency, told as ``accounts_by`` says. Empty: such a journal is rejected."""
    naming_series: str = ""
    """Of the entries; empty: the site's default."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    """How long to wait for a reply. Too short is not unsafe, but makes healthy postings "unknown"."""
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    batch_journals: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    """At most so many journals go into one call; Frappe takes 200."""
    batch_references: Annotated[int, msgspec.Meta(ge=1)] = 40
    """At most so many references are looked up by one call; fewer where they are long, for they stand in its URL."""

    def __post_init__(self) -> None:
        checked_url(self.url, "url")
        for name, pattern in self.dimension_values.items():
            if "{value}" not in pattern:
                raise ConfigurationError(f"dimension_values.{name}: {pattern!r} has no {{value}}")

    @property
    def field(self) -> str:
        """The field that carries references."""
        return self.reference_field or "cheque_no"

    def __repr__(self) -> str:
        # The generated one would carry the secret into logs and tracebacks.
        return f"ErpNextSettings(url={self.url!r}, company={self.company!r}, reference_field={self.reference_field!r})"
