"""Proof before going live: that everything which master data lets a source say, and everything it has said already, has
an account, and one that there is in its company's chart."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
import psycopg

from tillwire.config import AccountRule, ErpPolicy
from tillwire.database import sql
from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.master import StoreRecord
from tillwire.model.money import ZERO
from tillwire.model.transaction import CASH_MANAGEMENT, SELLING, Kind, LineKind, Tax
from tillwire.posting.accounts import SUSPENSE_RULE, AccountBook, Place
from tillwire.posting.drafts import INVOICE, STOCK
from tillwire.posting.policy import PostingPolicy
from tillwire.sales import entries as components
from tillwire.sales.entries import LIABILITY_KINDS, NO_REASON, tax_code

_sql = sql.load("tillwire.posting", "coverage.sql")

_NO_GOODS = (LineKind.SERVICE.value, LineKind.CHARGE.value)
"""Kinds of lines that are revenue and no item: their product class is their kind."""
_SOLD = tuple(sorted(kind.value for kind in SELLING))
_CASH = tuple(sorted(kind.value for kind in CASH_MANAGEMENT))
_PAID = (*_SOLD, Kind.LAYAWAY.value, *_CASH)
_TILL = ("till",)


_RECENT = timedelta(days=35)
"""What was seen so lately may be seen again; what was not is looked at on the day on which it was."""

_Said = tuple[str, str, str]
"""Component, code, kind."""


class Item(NamedTuple):
    """Something that may have to be mapped, with the kinds of transactions that bring it."""

    component: str
    code: str
    kinds: tuple[str, ...]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that would go to suspense."""

    component: str
    code: str
    kinds: list[str]
    company: str
    stores: list[str]
    since: date
    """The first business date, from today on, on which it would."""


class NoSuchAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account that the rule book names for a company, in whose chart it is not (any more)."""

    company: str
    account: str
    rules: list[str]


class NeverSent(msgspec.Struct, frozen=True, kw_only=True):
    """Documents that stores are set to post and their company's ERP does not take: they would wait for ever."""

    erp: str
    connector: str
    document: str
    """``invoice`` or ``stock``."""
    company: str
    stores: list[str]


class Unserved(msgspec.Struct, frozen=True, kw_only=True):
    """A company that no configured ERP serves, though there are some: its journals would wait for ever."""

    company: str
    stores: list[str]


class Taker(NamedTuple):
    """An ERP and the kinds of documents that it takes."""

    erp: ErpPolicy
    takes: Collection[str]


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what is missing."""

    items: int
    stores: int
    companies_with_charts: list[str]
    """Of the others no account is known, so none was looked up."""
    gaps: list[Gap]
    missing_accounts: list[NoSuchAccount]
    never_sent: list[NeverSent]
    unserved: list[Unserved]

    @property
    def complete(self) -> bool:
        """True if nothing is missing."""
        return not (self.gaps or self.missing_accounts or self.never_sent or self.unserved)


def coverage(
    connection: psycopg.Connection,
    book: AccountBook,
    today: date,
    *,
    invoices: bool = False,
    policy: PostingPolicy | None = None,
    takers: Sequence[Taker] = (),
) -> Coverage:
    """Go through master data and through what the ledger has seen, in every store, from ``today`` on; ``invoices``:
    some store posts documents. With a ``policy``, what each store posts is looked up in what its ERP takes, too; the
    ``takers`` are in the order in which a company finds its own."""
    master = Snapshot()
    master.refresh(connection, 1)
    turns = {dated.effective_from for record in master.tax_codes.values() for dated in record.rates}
    days = [today, *sorted(day for day in turns.union(book.turns) if day > today)]
    found = _Found(master)
    looks_at_kinds = any(rule.kind != "*" for rule in book.rules)
    places = _places(book.rules, master.stores.values())
    said: set[tuple[str, str]] = set()
    for day in days:
        catalogue = _catalogue(master, day, invoices=invoices)
        said.update((one.component, one.code) for one in catalogue)
        for place, stores in places.items():
            found.look(book, place, stores, _by_kind(catalogue, all_kinds=looks_at_kinds), [day])
    seen = _seen(connection)
    for (store, last), told in seen.items():
        record = master.stores.get(store)
        if record is not None:  # a store that is closed for good posts no more
            recent = last >= today - _RECENT
            found.look(book, _place(record), [store], told, days if recent else [last])
    return Coverage(
        items=len(said.union((component, code) for told in seen.values() for component, code, _ in told)),
        stores=len(master.stores),
        companies_with_charts=sorted(company for company, accounts in master.accounts.items() if accounts),
        gaps=found.gaps(),
        missing_accounts=found.missing_accounts(),
        never_sent=[] if policy is None else never_sent(master.stores.values(), policy, takers),
        unserved=unserved(master.stores.values(), takers),
    )


def never_sent(stores: Iterable[StoreRecord], policy: PostingPolicy, takers: Sequence[Taker]) -> list[NeverSent]:
    """What these stores post and the ERPs that serve their companies do not take."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for record in sorted(stores, key=lambda one: one.store):
        taker = next((one for one in takers if one.erp.serves(record.company)), None)
        own = policy.of(record.store, record.company)
        posted = [INVOICE] * (own.mode == "invoice") + [STOCK] * (own.stock != "off")
        for document in posted:
            if taker is not None and document not in taker.takes:
                place = (taker.erp.name, taker.erp.kind, document, record.company)
                found.setdefault(place, []).append(record.store)
    return [
        NeverSent(erp=erp, connector=connector, document=document, company=company, stores=own)
        for (erp, connector, document, company), own in sorted(found.items())
    ]


def unserved(stores: Iterable[StoreRecord], takers: Sequence[Taker]) -> list[Unserved]:
    """Companies of these stores that none of the ERPs serves; none where there is no ERP at all."""
    found: dict[str, list[str]] = {}
    for record in sorted(stores, key=lambda one: one.store):
        if takers and not any(one.erp.serves(record.company) for one in takers):
            found.setdefault(record.company, []).append(record.store)
    return [Unserved(company=company, stores=own) for company, own in sorted(found.items())]


class _Found:
    """Gathers what is missing."""

    def __init__(self, master: Snapshot) -> None:
        self._charts = {company: accounts for company, accounts in master.accounts.items() if accounts}
        self._gaps: dict[tuple[str, str, str], tuple[set[str], set[str], date]] = {}
        self._missing: dict[tuple[str, str], set[str]] = {}

    def look(
        self, book: AccountBook, place: Place, stores: Sequence[str], items: Iterable[_Said], days: Sequence[date]
    ) -> None:
        """Resolve (component, code, kind) in a place that stands for these stores, on each of these days."""
        chart = self._charts.get(place.company)
        for component, code, kind in items:
            if component == components.INTERCOMPANY and code == place.company:
                continue  # no company owes itself
            for day in days:
                mapped = book.resolve(place, day, kind, component, code)
                if mapped.rule == SUSPENSE_RULE and component != components.SUSPENSE:
                    self._gap((component, code, place.company), kind, stores, day)
                if chart is not None and mapped.account not in chart:
                    self._missing.setdefault((place.company, mapped.account), set()).add(mapped.rule)

    def _gap(self, what: tuple[str, str, str], kind: str, stores: Sequence[str], day: date) -> None:
        kinds, where, since = self._gaps.get(what, (set(), set(), day))
        self._gaps[what] = (kinds | {kind}, where | set(stores), min(since, day))

    def gaps(self) -> list[Gap]:
        """What would go to suspense, by component and code."""
        return [
            Gap(
                component=component, code=code, kinds=sorted(kinds), company=company, stores=sorted(stores), since=since
            )
            for (component, code, company), (kinds, stores, since) in sorted(self._gaps.items())
        ]

    def missing_accounts(self) -> list[NoSuchAccount]:
        """Accounts that are in no chart, by company."""
        return [
            NoSuchAccount(company=company, account=account, rules=sorted(rules))
            for (company, account), rules in sorted(self._missing.items())
        ]


def _place(record: StoreRecord) -> Place:
    return Place(record.company, record.store, record.region, record.currency)


def _places(rules: Sequence[AccountRule], stores: Iterable[StoreRecord]) -> dict[Place, list[str]]:
    """Stores by what the rules can tell them apart by (and by company, each of which has a chart of its own); each
    group under the place of its first store."""
    told_by = [name for name in ("store", "region", "currency") if any(getattr(rule, name) != "*" for rule in rules)]
    groups: dict[tuple[str, ...], tuple[Place, list[str]]] = {}
    for record in sorted(stores, key=lambda one: one.store):
        place = _place(record)
        alike = (place.company, *(getattr(place, name) for name in told_by))
        groups.setdefault(alike, (place, []))[1].append(record.store)
    return dict(groups.values())


def _by_kind(items: Iterable[Item], *, all_kinds: bool) -> list[_Said]:
    """(component, code, kind): for every kind if rules look at kinds, else for one of them."""
    return [(one.component, one.code, kind) for one in items for kind in (one.kinds if all_kinds else one.kinds[:1])]


def _catalogue(master: Snapshot, day: date, *, invoices: bool) -> list[Item]:
    """All that master data lets a source say on a business date."""
    classes = {product_class for product_class, _, _ in master.products.values()} | set(_NO_GOODS)
    items = [Item(components.REVENUE, product_class, _SOLD) for product_class in sorted(classes)]
    items.append(Item(components.DISCOUNT, NO_REASON, _SOLD))
    for record in master.tax_codes.values():
        tax = Tax(record.code, ZERO, record.rate_on(day), None, record.jurisdiction or None)
        items.append(Item(components.TAX, tax_code(tax), _SOLD))
    for tender in sorted(master.tenders):
        items.append(Item(components.TENDER, tender, (*_PAID, *_TILL)))
        items.append(Item(components.OVER_SHORT, tender, _TILL))
        if master.tenders[tender].change_allowed:
            items.append(Item(components.CHANGE, tender, _PAID))
    for kind in sorted(LIABILITY_KINDS):
        kinds = (*_SOLD, Kind.LAYAWAY.value) if kind is LineKind.DEPOSIT else _SOLD
        items.append(Item(components.LIABILITY, kind.value, kinds))
    items += [Item(components.CASH_MOVEMENT, kind, (kind,)) for kind in _CASH]
    items += [Item(components.ROUNDING, code, (*_SOLD, Kind.LAYAWAY.value)) for code in ("cash", "tolerance")]
    companies = sorted({store.company for store in master.stores.values()})
    if len(companies) > 1:
        items += [Item(components.INTERCOMPANY, company, _PAID) for company in companies]
    if invoices:
        items.append(Item(components.RECEIVABLE, "invoice", ("sale",)))
    return items


def _seen(connection: psycopg.Connection) -> dict[tuple[str, date], list[_Said]]:
    """What the ledger has had so far, by store and the last business date on which it had it."""
    found: dict[tuple[str, date], list[_Said]] = {}
    for store, component, code, kind, last in connection.execute(_sql.seen):
        found.setdefault((store, last), []).append((component, code, kind))
    return found
