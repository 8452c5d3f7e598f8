"""What the Oracle Fusion connector must be told: the pod, as whom to enter, the ledgers, how an account is composed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from tillwire.connectors.spec import Secret, checked_url
from tillwire.errors import ConfigurationError

MOST_SEGMENTS = 30
ACCOUNT = "account"
"""The name of the segment that holds a line's account."""

Number = Annotated[str, Meta(pattern="^[0-9]{1,18}$")]


class Ledger(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ledger of one company of the hub."""

    ledger_id: Number
    """``LEDGER_ID``, which Manage Primary Ledgers shows."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    """The ledger's own; journals in another are converted by Oracle at the rate of ``conversion_type``."""
    values: Mapping[str, str] = {}
    """Segments that are the same on each of its lines: ``{"company": "101"}``."""


class OracleFusionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pod. ``username`` and ``password``; or ``token_url``, ``client_id``, ``client_secret`` (OAuth 2.0); or
    ``username``, ``jwt_issuer`` and ``jwt_private_key`` (tokens that we sign)."""

    url: str
    """Of the pod, such as ``https://abcd.fa.us2.oraclecloud.com``."""
    username: str = ""
    password: Secret = ""
    token_url: str = ""
    client_id: str = ""
    client_secret: Secret = ""
    scope: str = "urn:opc:resource:consumer::all"
    jwt_issuer: str = ""
    """The trusted issuer that is registered with the certificate (API authentication provider)."""
    jwt_private_key: Secret = ""
    """In PEM."""
    jwt_thumbprint: str = ""
    """``x5t`` of the certificate: its SHA-1 in base64url."""
    ledgers: Mapping[str, Ledger]
    """By the company that the hub knows: ``{"ACME": {"ledger_id": "300000046975971", "currency": "USD"}}``."""
    segments: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST_SEGMENTS)]
    """The segments of the chart of accounts in order, by names of ours: ``account`` is a line's account, others are
    dimensions of the rule book or stand in a ledger's ``values``: ``["company", "store", "account", "product"]``."""
    segment_defaults: Mapping[str, str] = {}
    """What a segment is where neither line nor ledger says: ``{"product": "000"}``."""
    segment_delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = "-"
    """Between the segments of an account combination, as Oracle shows it."""
    source: Annotated[str, Meta(pattern="^[^,'%]{1,25}$")] = "Tillwire"
    """Name of the journal source. It must be ours alone: an import takes in every group that waits under it."""
    category: Annotated[str, Meta(min_length=1, max_length=25)] = "Tillwire"
    """Name of the journal category."""
    data_access_set_id: Annotated[str, Meta(pattern="^[0-9]{0,18}$")] = ""
    conversion_type: Annotated[str, Meta(max_length=30)] = "Corporate"
    """Of journals that are not in the ledger's currency, at the rate of the day they count."""
    autopost_criteria_set_id: Annotated[str, Meta(pattern="^[0-9]{0,18}$")] = ""
    """The AutoPost criteria set, for our source alone, that is run when journals were imported. Empty: somebody posts
    them in Oracle; until then they are accepted and not posted."""
    job_name: str = "/oracle/apps/ess/financials/generalLedger/programs/common,JournalImportLauncher"
    document_account: str = "fin$/journal$/import$"
    job_options: str = "InterfaceDetails=15,ImportOption=Y,PurgeOption=Y,ExtractFileType=ALL"
    """``PurgeOption=Y`` clears refused rows from the interface: else the next import would take them in again."""
    overdue_s: Annotated[float, Meta(gt=0)] = 7_200.0
    """A journal whose job succeeded and that is not found for so long is told as rejected for a person to see."""
    batch_journals: Annotated[int, Meta(ge=1, le=5_000)] = 200
    """At most so many journals go into one import."""
    batch_lines: Annotated[int, Meta(ge=1)] = 20_000
    batch_references: Annotated[int, Meta(ge=1, le=50)] = 25
    """At most so many references are looked up by one call: they stand in its URL."""
    page_rows: Annotated[int, Meta(ge=1, le=500)] = 500
    timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    connect_timeout_s: Annotated[float, Meta(gt=0)] = 5.0

    def __post_init__(self) -> None:
        checked_url(self.url, "url")
        if not self.ledgers:
            raise ConfigurationError("ledgers: at least one company is needed")
        self._check_credentials()
        if self.segments.count(ACCOUNT) != 1 or len(set(self.segments)) < len(self.segments):
            raise ConfigurationError(f"segments: {ACCOUNT} must be among them once, and no name twice")
        if "PurgeOption=Y" not in self.job_options.replace(" ", ""):
            raise ConfigurationError("job_options: PurgeOption=Y must be among them, or refused journals come again")

    def _check_credentials(self) -> None:
        if self.token_url:
            checked_url(self.token_url, "token_url")
            if not (self.client_id and self.client_secret):
                raise ConfigurationError("token_url: it needs client_id and client_secret, too")
        elif self.jwt_issuer:
            if not (self.username and self.jwt_private_key and self.jwt_thumbprint):
                raise ConfigurationError("jwt_issuer: it needs username, jwt_private_key and jwt_thumbprint, too")
        elif not (self.username and self.password):
            raise ConfigurationError("username: it is needed with password, or else token_url or jwt_issuer")

    def __repr__(self) -> str:
        # The generated one would carry secrets into logs and tracebacks.
        return f"OracleFusionSettings(url={self.url!r}, source={self.source!r}, ledgers={sorted(self.ledgers)})"
