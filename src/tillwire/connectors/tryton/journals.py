"""Journals as ``account.move``.

The reference is the move's description, the only free text Tryton gives a move, and stands in the field of the
server-side module too where that is installed. What a move has no place for is told by the descriptions of its lines:
the reference of the journal that is taken back, dimensions, and foreign amounts that cannot be a second currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.erp_run import Run
from tillwire.connectors.tryton import lookup
from tillwire.connectors.tryton.analytic import Dimensions, look_up_dimensions
from tillwire.connectors.tryton.books import MOVE, Books, Company, Objection, look_up, reference_objection
from tillwire.connectors.tryton.drafts import Desk, Entry, ids_of
from tillwire.connectors.tryton.exchange import Rates, converted, look_up_rates
from tillwire.model.ledger import ErpDocument, Journal, JournalLine


class JournalDesk(Desk):
    """Journals of one company."""

    kind = "journal"
    model = MOVE
    post_method = "post"

    def entries(self, documents: Sequence[tuple[int, Journal]], run: Run) -> list[Entry]:
        """The journals as moves, one record each."""
        journals = [journal for _, journal in documents]
        books = look_up(
            self.client,
            self.company,
            [journal.books_date for journal in journals],
            [line.account for journal in journals for line in journal.lines],
        )
        rates = look_up_rates(self.client, self._currencies(journals))
        dimensions = look_up_dimensions(self.client, self.company, self.settings, journals)
        maker = _Moves(self.company, books, rates, dimensions)
        entries = []
        for position, journal in documents:
            objection = reference_objection(journal.reference, journal.company, self.settings)
            objection = objection or maker.objection(journal)
            if objection is not None:
                run.reject(position, objection.words, objection.kind)
            else:
                entries.append(Entry(position, journal.reference, [maker.move(journal)], len(journal.lines)))
        return entries

    def held(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """The moves under these references; see ``lookup.one_each``."""
        return lookup.one_each(self, lookup.moves(self.client, self.company, references))

    def posted(self, ids: Sequence[int]) -> dict[int, bool]:
        """Whether moves are posted."""
        rows = self.client.call("model.account.move.search_read", [["id", "in", list(ids)]], 0, None, None, ["state"])
        return {row["id"]: row["state"] == "posted" for row in rows}

    def filled(self, documents: Mapping[str, ErpDocument]) -> dict[str, ErpDocument]:
        """The moves with their lines, amounts in the journal's currency."""
        posted = [ids_of(document)[0] for document in documents.values() if document.posted]
        lines = lookup.lines(self.client, posted)
        return {
            reference: msgspec.structs.replace(document, lines=lines.get(ids_of(document)[0], ()))
            for reference, document in documents.items()
        }

    def _currencies(self, journals: Sequence[Journal]) -> set[str]:
        own = self.company.currency
        spoken = {journal.currency for journal in journals}
        spoken |= {line.foreign.currency for journal in journals for line in journal.lines if line.foreign}
        return spoken | {own} if spoken - {own} else set()


class _Moves:
    """What was looked up for one batch, and journals as values for ``account.move``."""

    def __init__(self, company: Company, books: Books, rates: Rates, dimensions: Dimensions) -> None:
        self._company = company
        self._books = books
        self._rates = rates
        self._dimensions = dimensions

    def objection(self, journal: Journal) -> Objection | None:
        """Why this journal cannot be posted; none if nothing is known against it."""
        if not journal.lines:
            return Objection("the journal has no lines")
        if not journal.balances():
            # Tryton would take the draft and refuse to post it.
            words = f"the journal does not balance: debit {journal.debit()}, credit {journal.credit()}"
            return Objection(words, "unbalanced")
        day = journal.books_date
        return (
            self._books.period_objection(day)
            or self._books.account_objection(line.account for line in journal.lines)
            or self._currency_objection(journal)
            or self._dimensions.objection(journal.lines)
        )

    def _currency_objection(self, journal: Journal) -> Objection | None:
        own = self._company.currency
        if journal.currency == own:
            return None
        for currency in (journal.currency, own):
            if missing := self._rates.missing(currency, journal.books_date):
                return Objection(f"the journal is in {journal.currency}, the books in {own}: {missing}")
        if any(min(line.debit, line.credit) < 0 for line in journal.lines):
            return Objection("a line has a negative amount, which cannot be converted: move it to the other side")
        return None

    def move(self, journal: Journal) -> dict[str, Any]:
        """The journal as values. Only for one without an objection."""
        period = self._books.period(journal.books_date)
        assert period is not None
        lines = [
            {"account": self._books.account(line.account), "debit": debit, "credit": credit}
            | second
            | {"description": self._text(journal, line, told=not second)}
            | self._dimensions.values(line, debit, credit, journal.books_date)
            for line, (debit, credit), second in zip(
                journal.lines, self._amounts(journal), self._seconds(journal), strict=True
            )
        ]
        values = {
            "company": self._company.company_id,
            "journal": self._company.journal_id,
            "period": period.period_id,
            "date": journal.books_date,
            "description": journal.reference,
            "lines": [["create", lines]],
        }
        if MOVE in self._company.unique:
            values["hub_reference"] = journal.reference
        return values

    def _amounts(self, journal: Journal) -> list[tuple[Decimal, Decimal]]:
        """Debit and credit of each line in the company's currency."""
        debits = [line.debit for line in journal.lines]
        credits_ = [line.credit for line in journal.lines]
        own = self._company.currency
        if journal.currency != own:
            factor = self._rates.factor(journal.currency, own, journal.books_date)
            debits, credits_ = converted(debits, factor, own), converted(credits_, factor, own)
        return list(zip(debits, credits_, strict=True))

    def _seconds(self, journal: Journal) -> list[dict[str, Any]]:
        """The second currency of each line: the journal's own, if that is not the company's; else what the line is in
        another currency, where Tryton takes that. A journal must not have one foreign currency on every line, for that
        would read as a journal in it.
        """
        if journal.currency != self._company.currency:
            number = self._rates.numbers[journal.currency]
            return [
                {"second_currency": number, "amount_second_currency": line.debit - line.credit}
                for line in journal.lines
            ]
        seconds = [self._foreign(line) for line in journal.lines]
        if len({second.get("second_currency") for second in seconds}) == 1:
            return [{} for _ in seconds]
        return seconds

    def _foreign(self, line: JournalLine) -> dict[str, Any]:
        money = line.foreign
        if money is None or money.currency == self._company.currency:
            return {}
        number = self._rates.numbers.get(money.currency)
        if number is None or money.amount * (line.debit - line.credit) < 0:
            return {}
        return {"second_currency": number, "amount_second_currency": money.amount}

    def _text(self, journal: Journal, line: JournalLine, *, told: bool) -> str:
        """A line without a text of its own carries the journal's."""
        parts = [line.description or journal.description]
        if line.foreign and (told or journal.currency != self._company.currency):
            parts.append(f"({line.foreign})")
        parts += self._dimensions.told(line)
        if journal.reverses:
            parts.append(f"[reverses {journal.reverses}]")
        return " ".join(part for part in parts if part)
