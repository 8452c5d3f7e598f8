"""What the Tryton connector must be told: where the ERP is, as whom to enter, and which books to post to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from tillwire.connectors.spec import Secret


class TrytonSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one company's books in one Tryton database.

    The user needs Tryton's group "Accounting", for stock documents "Stock" too, and nothing more.
    """

    url: str
    """Where the ERP answers, such as ``https://erp.example.com``; without the database's name."""
    database: str
    username: str
    password: Secret
    company: str
    """The company's name in Tryton. All journals go to this company's books."""
    journal_code: str = "POS"
    """The code of the Tryton journal (``account.journal``) that the moves are entered in."""
    hub_companies: tuple[str, ...] = ()
    """The companies, as the hub names them, whose journals belong in these books; empty: every company's."""
    dimensions: Mapping[str, str] = {}
    """Dimensions that are analytic accounts in Tryton: ``{"store": "STORES"}`` says that the value of ``store`` is the
    code of an account below the analytic root of code ``STORES``. Others are told by the descriptions of lines."""
    stock_locations: Mapping[str, str] = {}
    """Codes of stock locations in Tryton by store, and by store and bucket (``101/unavailable``), where they are other
    than just that. A warehouse stands for its storage location."""
    counter_locations: Mapping[str, str] = {}
    """Codes of the stock locations that goods come from or go to, by the reason they move. Not told: Tryton's location
    of type customer for ``sale`` and ``return``, supplier for ``receipt``, its transit location for transfers, and lost
    and found for the rest."""
    units: Mapping[str, str] = {}
    """Symbols of Tryton's units by the hub's units of measure, where they differ; ``EA`` is ``u`` unless told."""
    walk_in_party: str = ""
    """The code of the party in Tryton that invoices without a known customer go to. A customer is known if a party has
    the hub's pseudonym as its code."""
    invoice_journal_code: str = ""
    """The code of the Tryton journal of type revenue that invoices go to; empty: the only one there is."""
    invoice_dates: Literal["issued", "business"] = "issued"
    """``issued``: an invoice bears the day it is posted, and counts in the books on its business date. ``business``: it
    bears its business date; Tryton then refuses one that is older than the last of its sequence."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    """How long to wait for a reply. Too short is not unsafe, but makes healthy postings "unknown"."""
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    batch_lines: Annotated[int, msgspec.Meta(ge=1)] = 750
    """At most so many lines go into one call (a journal with more goes alone). Tryton needs 2 to 5 ms for each, and
    more in calls of over a thousand."""
    batch_references: Annotated[int, msgspec.Meta(ge=1)] = 500
    """At most so many references are looked up by one call."""

    def __repr__(self) -> str:
        # The generated one would carry the password into logs and tracebacks.
        return f"TrytonSettings(url={self.url!r}, database={self.database!r}, company={self.company!r})"
