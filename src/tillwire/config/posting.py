"""The settings of posting: the rule book, how journals are cut, and the ERPs they go to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tillwire.errors import ConfigurationError

Positive = Annotated[int, Meta(ge=1)]


class AccountRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which account a component of the subledger goes to, with which dimensions. The first rule that matches counts.

    Conditions are patterns with ``*`` and ``?``; what is left out matches all. A rule for ``tender`` matches
    ``change``, too, unless one for ``change`` stands before it.
    """

    component: str
    account: str
    code: str = "*"
    """Product class, discount reason, tax code, tender type and so on: what the component's code is."""
    kind: str = "*"
    """The transaction's kind: sale, return, exchange, post_void, layaway, pay_in, pay_out, loan, pickup; ``till`` for
    over and short."""
    rate: Decimal | None = None
    """Of tax: the rate as a fraction, 0.0825 for 8.25 %."""
    jurisdiction: str = "*"
    """Of tax."""
    acquirer: str = "*"
    """Of tenders: who settles them."""
    tender_currency: str = "*"
    """Of tenders handed over in another currency: which."""
    currency: str = "*"
    company: str = "*"
    store: str = "*"
    region: str = "*"
    effective_from: date | None = None
    """The first business date it counts for."""
    effective_to: date | None = None
    """The first business date it counts no more for."""
    dimensions: dict[str, str] = {}
    """Accounting dimensions of the lines: text with ``{store}``, ``{code}``, ``{kind}``, ``{rate}``,
    ``{jurisdiction}``, ``{acquirer}``, ``{region}``, ``{company}``, ``{currency}`` in it. They go over
    ``posting.dimensions``."""
    name: str = ""
    """What `tillwire rules posting` calls it; empty: its place in the book."""


DEFAULT_ACCOUNTS = tuple(
    AccountRule(component=component, code=code, account=account)
    for component, code, account in (
        ("revenue", "*", "4000"),
        ("discount", "*", "4900"),
        ("tax", "*", "2200"),
        ("tender", "cash", "1010"),
        ("tender", "gift_card", "2300"),
        ("tender", "*", "1020"),
        ("liability", "gift_card", "2300"),
        ("liability", "*", "2310"),
        ("cash_movement", "*", "1015"),
        ("rounding", "*", "6900"),
        ("over_short", "*", "6910"),
        ("receivable", "*", "1100"),
        ("intercompany", "*", "1300"),
    )
)

Mode = Literal["summary", "transaction", "invoice"]
StockMode = Literal["off", "summary", "each"]


class StorePosting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How some stores post, where it differs. The first whose pattern matches a store counts, setting by setting."""

    stores: str
    """Store numbers, with ``*`` for any text: ``9*``."""
    mode: Mode | None = None
    stock: StockMode | None = None
    trickle_minutes: Annotated[int, Meta(ge=0)] | None = None
    trickle_transactions: Annotated[int, Meta(ge=0)] | None = None


class GiftCards(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which company owes on gift cards whose numbers begin so: for those that were sold before the hub knew them."""

    prefix: str
    company: str


class Posting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journals and documents: how they are made of recorded events."""

    mode: Mode = "summary"
    """``summary``: one journal per store, business date and currency; ``transaction``: one per transaction;
    ``invoice``: an invoice or credit note per transaction, and a journal of the payments. May be changed any time."""
    trickle_minutes: Annotated[int, Meta(ge=0)] = 0
    """Post a day that is still open every so many minutes; 0: only when it is closed."""
    trickle_transactions: Annotated[int, Meta(ge=0)] = 0
    """Post a day that is still open as soon as so many events of it wait; 0: only when it is closed."""
    dimensions: dict[str, str] = {}
    """Accounting dimensions of every line, as those of a rule: ``store = "{store}"``. Lines of a summary that have the
    same account and the same dimensions are one line."""
    accounts: tuple[AccountRule, ...] = DEFAULT_ACCOUNTS
    suspense_account: str = "1999"
    """Where a component goes that no rule maps: it never blocks the close, and stays visible with age and amount."""
    rounding_most_units: Decimal = Decimal(100)
    """The most that one transaction may post as a rounding difference, in minor units of its currency; what is more
    goes to suspense."""
    closed_period: Literal["next_open", "exception"] = "next_open"
    """What becomes of a journal whose period is closed: posted to the first day of the next open one, naming its own
    date, or kept back as an exception ``period_closed``."""
    stock: StockMode = "off"
    """Stock movements to the ERP: one document per store and business date, or one per event. They begin with what is
    posted after this was switched on."""
    stores: tuple[StorePosting, ...] = ()
    gift_cards: tuple[GiftCards, ...] = ()
    batch_journals: Positive = 50
    """Journals sent to the ERP in one call."""
    settle_s: float = 120.0
    """After a lost reply, how long a journal that the ERP does not show is left alone before it is sent again: the
    longest time the ERP may still be working on a request whose sender has gone."""
    idle_ms: Positive = 200
    limit_per_min: Positive = 600
    """Calls to one ERP per minute, of all dispatchers together."""
    concurrency: Positive = 1
    """Calls to one ERP at once, of all dispatchers together; a connector may allow fewer."""
    poll_s: float = 5.0
    """How often an ERP that accepts now and posts later is asked what it has posted."""
    retry_first_s: float = 0.5
    retry_most_s: float = 60.0
    breaker_failures: Positive = 5
    """After so many failed calls in a row an ERP is left alone, but for single probes, until one succeeds."""
    alert_minutes: Positive = 30
    """When people are told: an ERP's breaker is open, or its oldest journal waits, or its reply is missing, so long."""
    accepted_alert_minutes: Positive = 240
    """When people are told that an ERP accepted journals and has not posted them."""
    pull_minutes: Annotated[int, Meta(ge=0)] = 0
    """Pull accounts, periods, products and tax codes from ERPs that offer them so often; 0: only when asked to."""


class Erp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ERP that all journals go to, where there is one. Of several, see ``[[erps]]``."""

    kind: str = "none"
    """``none``, or a connector: docs/reference/connectors.md lists them."""
    settings: dict[str, Any] = {}


class ErpInstance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several ERPs. The first whose patterns match a journal's company gets it. What is left out is as in
    ``[posting]``."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,39}$")]
    """Yours to choose, for good: it stands with every journal that was sent there."""
    kind: str
    settings: dict[str, Any] = {}
    """The connector's own. Secrets belong into the environment: ``TILLWIRE_ERPS_NAME_SETTING``, in capitals, with
    ``_`` for ``-``."""
    companies: tuple[str, ...] = ("*",)
    """Companies, as store records name them, with ``*`` for any text."""
    mode: Mode | None = None
    stock: StockMode | None = None
    trickle_minutes: Annotated[int, Meta(ge=0)] | None = None
    trickle_transactions: Annotated[int, Meta(ge=0)] | None = None
    batch_journals: Positive | None = None
    settle_s: float | None = None
    limit_per_min: Positive | None = None
    concurrency: Positive | None = None
    poll_s: float | None = None
    enabled: bool = True
    """False: nothing is sent there; its journals are built and wait."""


ONLY = "erp"
"""The name of the one ERP of ``[erp]``."""


class ErpPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """One ERP with everything decided."""

    name: str
    kind: str
    settings: dict[str, Any]
    companies: tuple[str, ...]
    batch_journals: int
    settle_s: float
    limit_per_min: int
    concurrency: int
    poll_s: float
    retry_first_s: float
    retry_most_s: float
    breaker_failures: int
    enabled: bool
    instance: ErpInstance | None = None

    def serves(self, company: str) -> bool:
        """True if the company's journals go here (unless an earlier one serves it)."""
        return any(fnmatchcase(company, pattern) for pattern in self.companies)


def erp_policies(posting: Posting, erp: Erp, erps: Sequence[ErpInstance]) -> tuple[ErpPolicy, ...]:
    """Every configured ERP, in the order in which a company finds its own."""
    given = list(erps)
    if erp.kind != "none":
        given.append(ErpInstance(name=ONLY, kind=erp.kind, settings=erp.settings))
    return tuple(
        ErpPolicy(
            name=one.name,
            kind=one.kind,
            settings=one.settings,
            companies=one.companies,
            batch_journals=one.batch_journals or posting.batch_journals,
            settle_s=posting.settle_s if one.settle_s is None else one.settle_s,
            limit_per_min=one.limit_per_min or posting.limit_per_min,
            concurrency=one.concurrency or posting.concurrency,
            poll_s=posting.poll_s if one.poll_s is None else one.poll_s,
            retry_first_s=posting.retry_first_s,
            retry_most_s=posting.retry_most_s,
            breaker_failures=posting.breaker_failures,
            enabled=one.enabled,
            instance=one,
        )
        for one in given
    )


def check_posting(posting: Posting, erp: Erp, erps: Sequence[ErpInstance]) -> None:
    """Raises ``ConfigurationError`` if settings of posting contradict each other."""
    if not posting.suspense_account.strip():
        raise ConfigurationError("posting.suspense_account is empty: name the account for what no rule maps")
    if not posting.accounts:
        raise ConfigurationError("posting.accounts is empty: every component would go to suspense")
    if not posting.rounding_most_units.is_finite() or posting.rounding_most_units < 0:
        raise ConfigurationError("posting.rounding_most_units must be a finite number from zero on")
    for place, rule in enumerate(posting.accounts):
        if rule.effective_from and rule.effective_to and rule.effective_from >= rule.effective_to:
            raise ConfigurationError(f"posting.accounts[{place}]: effective_to must be after effective_from")
    names = [one.name for one in erps] + ([ONLY] if erp.kind != "none" else [])
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"erps: {', '.join(twice)} is there more than once: names are unique")
