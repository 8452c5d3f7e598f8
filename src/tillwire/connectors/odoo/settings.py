"""What the Odoo connector must be told: where Odoo is, as whom to enter, and which books to post to."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tillwire.connectors.spec import Secret, checked_url


class OdooSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one company's books in one Odoo database.

    The user needs Odoo's group "Accounting / Accountant" and access to the company.
    """

    url: str
    """Where Odoo answers, such as ``https://my-company.odoo.com``."""
    database: str
    """On Odoo Online the name of the instance, such as ``my-company``."""
    username: str
    api_key: Secret
    """Made in the user's preferences, "Account Security". A password works as well, and should not be used."""
    company: str
    """The company's name in Odoo. All journals go to this company's books."""
    journal_code: str = "MISC"
    """The short code of the Odoo journal (``account.journal``) that entries are made in; of the type Miscellaneous."""
    analytic_dimensions: tuple[str, ...] = ()
    """The dimensions of our lines whose values are references (codes) of Odoo's analytic accounts. A line's accounts
    get all of its amount, together. Dimensions that are not named here are left out."""
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    """How long to wait for a reply. Too short is not unsafe, but makes healthy postings "unknown"."""
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    batch_lines: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """At most so many lines go into one call; a journal with more goes alone."""
    batch_references: Annotated[int, msgspec.Meta(ge=1)] = 500
    """At most so many references are looked up by one call."""

    def __post_init__(self) -> None:
        checked_url(self.url, "url")

    def __repr__(self) -> str:
        # The generated one would carry the key into logs and tracebacks.
        return f"OdooSettings(url={self.url!r}, database={self.database!r}, company={self.company!r})"
