"""What the SAP S/4HANA connector must be told: where the system is, as whom to enter, which books, which dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tillwire.connectors.spec import Secret, checked_url
from tillwire.errors import ConfigurationError

CompanyCode = Annotated[str, Meta(pattern="^[A-Z0-9]{1,4}$")]

Assignment = Literal["CostCenter", "ProfitCenter", "Segment", "FunctionalArea", "OrderID"]
"""Account assignments of a journal entry's item that dimensions may become."""

MOST_SYNCHRONOUS = 10
"""So many journal entries does one call of the synchronous service take."""


class SapSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One S/4HANA system. Either ``username`` and ``password``, or ``token_url``, ``client_id``, ``client_secret``."""

    url: str
    """Of the API host, such as ``https://my123456-api.s4hana.cloud.sap``."""
    username: str = ""
    password: Secret = ""
    token_url: str = ""
    """Where OAuth 2.0 gives a token for client credentials; empty: basic authentication."""
    client_id: str = ""
    client_secret: Secret = ""
    sap_client: Annotated[str, Meta(pattern="^([0-9]{3})?$")] = ""
    """The client (mandant), where the host does not decide it (on premise)."""
    service: Literal["asynchronous", "synchronous"] = "asynchronous"
    """Which of the two SOAP services takes journals. The synchronous one says at once what became of them."""
    company_codes: Mapping[str, CompanyCode]
    """SAP's company code by the company that the hub knows: ``{"ACME": "1010"}``."""
    document_type: Annotated[str, Meta(pattern="^[A-Z0-9]{1,2}$")] = "SA"
    """``AccountingDocumentType``: its number range must give numbers by itself."""
    created_by: Annotated[str, Meta(min_length=1, max_length=12)] = "TILLWIRE"
    """``CreatedByUser``: whom SAP names as the one who entered."""
    dimensions: Mapping[str, Assignment] = {}
    """What a dimension of the rule book is in SAP: ``{"store": "ProfitCenter"}``. Others are not sent."""
    sender_system: Annotated[str, Meta(max_length=60)] = ""
    """``SenderBusinessSystemID``: the business system of the communication system that confirmations are sent to."""
    callback_username: str = ""
    callback_password: Secret = ""
    """With these SAP proves that a confirmation is its own (the outbound user of the communication arrangement)."""
    overdue_s: Annotated[float, Meta(gt=0)] = 3_600.0
    """A journal that SAP took in, neither confirmed nor found for so long, is told as rejected for a person to see."""
    same_message_s: Annotated[float, Meta(ge=0)] = 900.0
    """A message without an answer that is sent again within so long is the same to SAP, and booked once. Longer than
    SAP ever takes to work off its queue; shorter than it takes people to mend what was refused."""
    batch_journals: Annotated[int, Meta(ge=0, le=500)] = 0
    """At most so many journals go into one message. 0: 10 for the synchronous service, which takes no more, and 1 for
    the asynchronous one, where a message sent again is known by what is in it only if it holds the same journals."""
    batch_lines: Annotated[int, Meta(ge=1)] = 2_000
    """At most so many lines go into one message; a journal with more goes alone."""
    batch_references: Annotated[int, Meta(ge=1, le=60)] = 40
    """At most so many references are looked up by one call: they stand in its URL."""
    page_rows: Annotated[int, Meta(ge=1, le=5_000)] = 1_000
    """Rows per page of OData."""
    chart_of_accounts: Annotated[str, Meta(pattern="^([A-Z0-9]{1,4})?$")] = ""
    """Whose accounts are pulled as master data; empty: none are."""
    language: Annotated[str, Meta(pattern="^[A-Z]{2}$")] = "EN"
    """Of the names of accounts and products."""
    timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    """How long to wait for a reply. Too short is not unsafe, but makes healthy postings "unknown"."""
    connect_timeout_s: Annotated[float, Meta(gt=0)] = 5.0

    def __post_init__(self) -> None:
        checked_url(self.url, "url")
        if not self.company_codes:
            raise ConfigurationError('company_codes: at least one is needed, such as {"ACME": "1010"}')
        if self.token_url:
            checked_url(self.token_url, "token_url")
            if not (self.client_id and self.client_secret):
                raise ConfigurationError("token_url: it needs client_id and client_secret, too")
        elif not (self.username and self.password):
            raise ConfigurationError("username: it is needed with password, or else token_url with its client")
        if bool(self.callback_username) != bool(self.callback_password):
            raise ConfigurationError("callback_username: it needs callback_password, and the other way round")
        if len(set(self.dimensions.values())) < len(self.dimensions):
            raise ConfigurationError("dimensions: two of them become the same account assignment")

    @property
    def most_journals(self) -> int:
        """Journals per message."""
        if self.service == "synchronous":
            return min(self.batch_journals or MOST_SYNCHRONOUS, MOST_SYNCHRONOUS)
        return self.batch_journals or 1

    def __repr__(self) -> str:
        # The generated one would carry secrets into logs and tracebacks.
        return f"SapSettings(url={self.url!r}, service={self.service!r}, company_codes={dict(self.company_codes)!r})"
