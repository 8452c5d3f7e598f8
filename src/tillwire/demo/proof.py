"""The proof: what the stores' own books, the hub and the ERP say, held against each other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import psycopg

from tillwire.connectors.erp import ErpConnector
from tillwire.demo.books import Books
from tillwire.demo.erp import DemoErp, ErpBooks
from tillwire.demo.faults import LOST_LINE, UNKNOWN_PRODUCT
from tillwire.demo.others import Others
from tillwire.demo.simulation import Traffic
from tillwire.errors import TillwireError
from tillwire.intake.rules import NOTES
from tillwire.model.money import ZERO
from tillwire.posting.read_back import confirm
from tillwire.reconciliation.days import Figure, Report, reconcile


class Check(msgspec.Struct, frozen=True):
    """One statement, what stands behind it, and whether it holds."""

    statement: str
    evidence: str
    holds: bool


class FaultCount(msgspec.Struct, frozen=True):
    """A kind of fault: how often it was injected, how often it was found, and where."""

    kind: str
    injected: int
    found: int
    where: str
    may_occur: bool = False
    """Whether it can also happen without us: a real ERP has troubles of its own."""

    @property
    def holds(self) -> bool:
        """True if every one was found, and no other."""
        return self.injected == self.found or (self.may_occur and self.injected < self.found)


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the demo shows at its end. Amounts in dollars."""

    captured: Figure
    """By the stores' own books."""
    recorded: Figure
    in_exceptions: Figure
    posted: Figure
    acknowledged: Figure
    sent_again: int
    effects: int
    checks: list[Check]
    faults: list[FaultCount]

    @property
    def ok(self) -> bool:
        """True if everything holds."""
        return all(check.holds for check in self.checks) and all(fault.holds for fault in self.faults)


class Witness:
    """Holds the simulation's knowledge against hub and ERP. ``connection`` is on the hub's database, in autocommit."""

    def __init__(
        self, connection: psycopg.Connection, books: Books, traffic: Traffic, erp: DemoErp, others: Others
    ) -> None:
        self._connection = connection
        self._books = books
        self._traffic = traffic
        self._erp = erp
        self._others = others
        self._checks: list[Check] = []

    def prove(self, connector: ErpConnector) -> Proof:
        """Read the ERP's books back through ``connector`` and past it, and compare everything."""
        unconfirmed = self._read_back(connector)
        report = reconcile(self._connection)
        totals = report.totals.get("USD", {})
        figures = {
            name: totals.get(name, Figure())
            for name in ("captured", "recorded", "in_exceptions", "posted", "acknowledged")
        }
        captured = self._books.captured.figure()
        self._amounts(captured, figures, report)
        self._journals(unconfirmed, self._erp.books())
        effects = self._duplicates()
        self._stock()
        self._rules()
        return Proof(
            captured=captured,
            recorded=figures["recorded"],
            in_exceptions=figures["in_exceptions"],
            posted=figures["posted"],
            acknowledged=figures["acknowledged"],
            sent_again=self._traffic.sent_again,
            effects=effects,
            checks=self._checks,
            faults=self._faults(),
        )

    def _check(self, statement: str, evidence: str, holds: bool) -> None:
        self._checks.append(Check(statement, evidence, holds))

    def _one(self, query: str, *parameters: object) -> tuple[Any, ...]:
        row = self._connection.execute(query.encode(), parameters).fetchone()
        assert row is not None
        return row

    def _read_back(self, connector: ErpConnector) -> list[str]:
        try:
            return confirm(self._connection, connector, again=True)
        except TillwireError as error:
            return [str(error)]

    def _amounts(self, captured: Figure, hub: dict[str, Figure], report: Report) -> None:
        recorded, excepted = hub["recorded"], hub["in_exceptions"]
        self._check(
            "captured = recorded + in exceptions",
            f"{captured.amount:,.2f} = {recorded.amount:,.2f} + {excepted.amount:,.2f}",
            captured == recorded + excepted and hub["captured"] == captured,
        )
        faulty = self._books.faulty.figure()
        self._check(
            "in exceptions are the faulty ones",
            f"{excepted.count:,} of {faulty.count:,}, {excepted.amount:,.2f} of {faulty.amount:,.2f}",
            excepted == faulty,
        )
        self._check(
            "recorded = posted = acknowledged",
            f"{recorded.amount:,.2f} each",
            recorded == hub["posted"] == hub["acknowledged"],
        )
        broken = [day for day in report.days if any(one.code != "in_exceptions" for one in day.differences)]
        differing = "".join(f"; {day.store} {day.business_date}: {day.differences[0].message}" for day in broken[:3])
        same_days = {(day.store, day.business_date) for day in report.days} == self._books.store_days
        self._check(
            "till and day closes agree",
            f"{len(report.days):,} store days, {len(broken)} differ{differing}",
            report.ok and same_days,
        )

    def _journals(self, unconfirmed: list[str], erp: ErpBooks) -> None:
        journals, in_order = self._one(
            "SELECT count(*), coalesce(bool_and(state = 'posted' AND confirmed_at IS NOT NULL), false) FROM journal"
            " WHERE EXISTS (SELECT FROM journal_line l WHERE l.journal_id = journal.journal_id)"
        )
        first = f": {unconfirmed[0]}" if unconfirmed else ""
        self._check(
            "read back from Tryton, by account",
            f"{journals:,} journals, {len(unconfirmed)} differ{first}",
            not unconfirmed and in_order,
        )
        twice = f", twice: {', '.join(erp.repeated[:3])}" if erp.repeated else ", none twice"
        self._check(
            "Tryton counts as many posted moves",
            f"{erp.posted:,} of {journals:,}{twice}, {erp.drafts} drafts",
            erp.posted == journals == len(erp.references) and not erp.repeated and not erp.drafts,
        )
        rows = self._connection.execute(
            "SELECT account, sum(greatest(balance, 0)), sum(greatest(-balance, 0)) FROM ("
            "  SELECT account, sum(debit - credit) AS balance FROM journal_line JOIN journal USING (journal_id)"
            "  WHERE state = 'posted' GROUP BY journal_id, account, coalesce(erp_line, line)"
            ") AS sent GROUP BY account HAVING sum(abs(balance)) > 0"
        ).fetchall()
        ours = {account: (debit, credit) for account, debit, credit in rows}
        theirs = {
            account: (erp.debit.get(account, ZERO), erp.credit.get(account, ZERO))
            for account in erp.debit.keys() | erp.credit.keys()
        }
        debit, credit = (sum((pair[i] for pair in theirs.values()), ZERO) for i in (0, 1))
        self._check(
            "Tryton's trial balance is ours",
            f"debit {debit:,.2f} = credit {credit:,.2f}",
            debit == credit and ours == theirs,
        )

    def _duplicates(self) -> int:
        """Second effects of what was sent twice: by the answers, and by what is recorded."""
        (twice,) = self._one(
            "SELECT count(*) - count(DISTINCT (store, business_date, register, sequence)) FROM sale"
            " WHERE kind IS NOT NULL"
        )
        effects = int(self._traffic.effects) + int(twice)
        (recorded,) = self._one("SELECT sum(recorded)::int8 FROM completeness")
        sent = self._books.kinds.total()
        self._check(
            "what was sent again had no effect",
            f"{self._traffic.sent_again:,} events, {effects} effects",
            effects == 0,
        )
        self._check(
            "sound transactions are recorded",
            f"{recorded:,} of {sent:,}, training and the like included",
            recorded == sent,
        )
        return effects

    def _stock(self) -> None:
        theirs = {
            (store, sku): on_hand
            for store, sku, on_hand in self._connection.execute("SELECT store, sku, on_hand FROM stock_balance")
        }
        differing = [place for place in self._books.stock.keys() | theirs.keys()
                     if self._books.stock.get(place, ZERO) != theirs.get(place, ZERO)]  # fmt: skip
        first = "".join(f"; {store}/{sku}" for store, sku in differing[:3])
        self._check(
            "stock = recomputed from sales",
            f"{len(theirs):,} balances, {len(differing)} differ{first}",
            not differing,
        )

    def _rules(self) -> None:
        found: Counter[str] = Counter()
        found.update(dict(self._connection.execute("SELECT rule, sum(lines)::int8 FROM rule_note GROUP BY rule")))
        for name in NOTES:
            self._check(
                f"{name.replace('_', ' ')}: let through, noted",
                f"{found[name]:,} of {self._books.notes[name]:,} lines",
                found[name] == self._books.notes[name],
            )

    def _faults(self) -> list[FaultCount]:
        incidents: Counter[str] = Counter(
            dict(self._connection.execute("SELECT kind, count(*) FROM erp_incident GROUP BY kind").fetchall())
        )
        injected = self._erp.proxy.injected
        again = self._traffic.resends.total()
        return [
            FaultCount("resent_batch", again, self._traffic.harmless_resends.total(), "duplicates, no effect"),
            self._days_twice(),
            self._conflicts(),
            FaultCount("late_store_day", len(self._traffic.late), self._late(), "accepted after others had closed"),
            self._in_exceptions(UNKNOWN_PRODUCT),
            self._in_exceptions(LOST_LINE),
            FaultCount("erp_unavailable", injected["unavailable"], incidents["unavailable"], "sent again later", True),
            FaultCount(
                "erp_lost_reply", injected["lose_reply"], incidents["outcome_unknown"], "looked up, posted once", True
            ),
        ]

    def _days_twice(self) -> FaultCount:
        """POSLogs posted twice, by the answers, and files dropped twice, by the hub's own account of them."""
        posted, harmless = self._others.sent_twice()
        (files,) = self._one("SELECT count(*) FROM foreign_file WHERE state = 'duplicate'")
        injected = posted + self._others.dropped_twice()
        return FaultCount("resent_file", injected, harmless + files, "same content, no effect")

    def _open_keys(self, code: str) -> set[str]:
        rows = self._connection.execute("SELECT key FROM exception WHERE state = 'open' AND code = %s", (code,))
        return {key for (key,) in rows}

    def _in_exceptions(self, kind: str) -> FaultCount:
        injected = {key for key, fault in self._books.faulty_keys.items() if fault == kind}
        mended = injected & self._books.mended_keys
        found = self._open_keys(kind) | mended
        where = "open exceptions, raw bytes kept" + (f"; {len(mended)} mended by one record" if mended else "")
        return FaultCount(kind, len(injected), len(injected & found), where)

    def _conflicts(self) -> FaultCount:
        sent = self._traffic.conflicts
        refused = {key for key, status in sent.items() if status == 409}
        found = len(refused & self._open_keys("duplicate_conflict"))
        return FaultCount("duplicate_conflict", len(sent), found, "answered 409, open exceptions")

    def _late(self) -> int:
        """Late store days that were received after every other store's close of the day."""
        rows = self._connection.execute(
            "SELECT i.key, g.received_at FROM intake i JOIN intake_group g USING (group_id)"
            " WHERE i.key LIKE '%/day-close'"
        ).fetchall()
        received: dict[str, Any] = dict(rows)
        late = set(self._traffic.late)
        closed: dict[Any, Any] = {}
        for store, day in self._books.store_days - late - self._books.closed_later:
            if store in self._others.voices:  # read a moment after they were taken in
                continue
            moment = received.get(f"{store}/{day}/day-close")
            if moment is not None:
                closed[day] = max(moment, closed.get(day, moment))
        found = 0
        for store, day in late:
            moment = received.get(f"{store}/{day}/day-close")
            found += moment is not None and (day not in closed or moment > closed[day])
        return found
