"""Two years of three stores, each in a currency of its own, recorded once and copied for each run: what the ledger runs post to every ERP."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import msgspec
import psycopg
from builders import Event, day_close, line, masters, returned, sale, store, tender
from driving import accept, record, rows

from tillwire.config import DEFAULT_ACCOUNTS, Posting, Rules
from tillwire.intake.rules import Policy
from tillwire.posting.accounts import AccountBook

FIRST_DAY = date(2024, 1, 1)
DAYS = 731
COMPANY = "SIM"
STORES = {"101": "USD", "201": "EUR", "301": "JPY"}
_BATCH = 500


class Years:
    """So many transactions over two years of three stores; the same seed gives the same ones. Stores are open each
    ``every`` days.
    """

    def __init__(
        self, transactions: int, *, company: str = COMPANY, days: int = DAYS, every: int = 1, seed: int = 1
    ) -> None:
        self.transactions = transactions
        self.company = company
        self.open_days = range(0, days, every)
        self._chance = random.Random(f"years/{seed}")

    def record(self, url: str) -> None:
        """Record everything in a database, with the days closed."""
        accept(url, masters(*(store(number, currency=of, company=self.company) for number, of in STORES.items())))
        record(url)
        batch: list[Event] = []
        for one in self._events():
            batch.append(one)
            if len(batch) == _BATCH * 10:
                self._take(url, batch)
                batch = []
        self._take(url, batch)

    def _take(self, url: str, events: list[Event]) -> None:
        requests = [events[start : start + _BATCH] for start in range(0, len(events), _BATCH)]
        statuses = {status for answer in accept(url, *requests) for status in answer}
        assert statuses == {"accepted"}, statuses
        record(url, policy=Policy(past_days=Rules().past_days))

    def _events(self) -> Iterator[Event]:
        """Day by day, store by store; the transactions are spread over them evenly."""
        places = len(self.open_days) * len(STORES)
        done = place = 0
        for number in self.open_days:
            day = FIRST_DAY + timedelta(days=number)
            for shop, currency in STORES.items():
                place += 1
                upto = self.transactions * place // places
                sold = [self._sale(sequence, shop, currency, day) for sequence in range(1, upto - done + 1)]
                done = upto
                yield from sold
                yield day_close(sold, store=shop, day=day, currency=currency)

    def _sale(self, sequence: int, shop: str, currency: str, day: date) -> Event:
        chance = self._chance
        where = {"store": shop, "day": day, "currency": currency}
        whole = currency == "JPY"
        units = chance.randint(50, 5000)
        pieces = chance.randint(1, 5)
        tax = round(units * pieces / 10)
        lines = [line("milk", str(pieces), _money(units, whole), tax=("STD", _money(tax, whole)))]
        if chance.random() < 0.3:
            lines.append(line("bread", "2", _money(300, whole), discount=(_money(50, whole), "promo")))
        if chance.random() < 0.05:
            back = line("milk", "-1", _money(units, whole), tax=("STD", _money(-round(units / 10), whole)))
            return returned(sequence, back, **where)
        kind = chance.choice(["cash", "card", "card", "gift_card"])
        total = sum(
            Decimal(one["amount"]) + sum((Decimal(t["amount"]) for t in one.get("taxes", ())), Decimal(0))
            for one in lines
        )
        return sale(sequence, *lines, tenders=[tender(str(total), kind)], **where)


def _money(units: int, whole: bool) -> str:
    if whole:
        return str(units)
    sign = "-" if units < 0 else ""
    return f"{sign}{abs(units) // 100}.{abs(units) % 100:02}"


_PREFIXES = {"USD": "", "EUR": "1", "JPY": "2"}
"""Accounts of other currencies are others: some ERPs keep each account in one currency."""

BOOK = AccountBook(
    Posting(
        accounts=tuple(
            msgspec.structs.replace(rule, currency=currency, account=prefix + rule.account)
            for currency, prefix in _PREFIXES.items()
            for rule in DEFAULT_ACCOUNTS
        )
    )
)
ACCOUNTS = {prefix + rule.account: currency for currency, prefix in _PREFIXES.items() for rule in DEFAULT_ACCOUNTS}
"""Every account, with its currency."""

_USUAL = {
    ("revenue", ""): "4000", ("discount", ""): "4900", ("tax", ""): "2200", ("tender", "cash"): "1010",
    ("tender", "gift_card"): "2300", ("tender", ""): "1020", ("change", "cash"): "1010",
}  # fmt: skip


def subledger(connection: psycopg.Connection) -> dict[tuple[str, str], Decimal]:
    """The trial balance by currency and account, straight from the entries: no rule book, no journals."""
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for currency, component, code, amount in rows(
        connection, "SELECT currency, component, code, sum(amount) FROM ledger_entry GROUP BY 1, 2, 3"
    ):
        account = _USUAL.get((component, code)) or _USUAL[(component, "")]
        found[(currency, _PREFIXES[currency] + account)] += amount
    return {place: amount for place, amount in found.items() if amount}
