"""Journals of the simulated Finance: opened, filled by imports, posted by its own batch job; as time goes by calls."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.dynamics365.simulator_import import Line, PackageError, Row, check_row, read_package
from tillwire.connectors.simulated_books import BookLine, RefusalError, SimulatedBooks


class SimulatedJournal(msgspec.Struct, kw_only=True):
    """A journal of one legal entity."""

    entity: str
    number: str
    name: str
    description: str
    lines: dict[int, Line]
    posted: bool = False
    seen: bool = False
    """Whether it was whole when the posting job came by before."""
    log: str = ""
    """Why the posting job did not post it."""

    def row(self) -> dict[str, Any]:
        """As OData shows it."""
        debit = sum((line.amount for line in self.lines.values() if line.amount > 0), Decimal(0))
        credit = -sum((line.amount for line in self.lines.values() if line.amount < 0), Decimal(0))
        return {
            "dataAreaId": self.entity,
            "JournalBatchNumber": self.number,
            "JournalName": self.name,
            "Description": self.description,
            "IsPosted": "Yes" if self.posted else "No",
            "PostingLayer": "Current",
            "JournalTotalDebit": debit,
            "JournalTotalCredit": credit,
        }

    def line_rows(self) -> Iterator[dict[str, Any]]:
        """As OData shows its lines."""
        for number, line in sorted(self.lines.items()):
            yield {
                "dataAreaId": self.entity,
                "JournalBatchNumber": self.number,
                "LineNumber": number,
                "AccountType": "Ledger",
                "AccountDisplayValue": line.display,
                "DebitAmount": max(line.amount, Decimal(0)),
                "CreditAmount": max(-line.amount, Decimal(0)),
                "CurrencyCode": line.currency,
                "TransDate": f"{line.on.isoformat()}T12:00:00Z",
                "Text": line.text,
                "Voucher": line.voucher,
                "Document": line.document,
            }


class SimulatedImport(msgspec.Struct, kw_only=True):
    """An execution of data management."""

    entity: str
    project: str
    package: bytes
    status: str = "NotRun"
    errors: list[dict[str, str]] = []


class SimulatedJournals:
    """All journals and imports. ``pass_time`` does what Finance's batch jobs would."""

    def __init__(self, books: SimulatedBooks, company: str, journal_name: str, segments: tuple[str, ...]) -> None:
        self.books = books
        self.company = company
        self.journal_name = journal_name
        self.segments = segments
        self.by_number: dict[tuple[str, str], SimulatedJournal] = {}
        self.by_key: dict[str, list[SimulatedJournal]] = defaultdict(list)
        """By the first part of the description."""
        self.imports: dict[str, SimulatedImport] = {}
        self.posting = True
        """Whether the posting job runs."""
        self.importing = True
        """Whether the batch server runs imports."""
        self._open: dict[tuple[str, str], SimulatedJournal] = {}
        self._waiting: list[SimulatedImport] = []
        self._next = 1

    def open(self, entity: str, description: str) -> SimulatedJournal:
        """A new journal with the next number."""
        made = SimulatedJournal(
            entity=entity, number=f"{self._next:08}", name=self.journal_name, description=description, lines={}
        )
        self._next += 1
        self.by_number[(entity, made.number)] = self._open[(entity, made.number)] = made
        self.by_key[description.split("|")[0]].append(made)
        return made

    def delete(self, journal: SimulatedJournal) -> None:
        """Take it away. Raises ``ValueError`` if it is posted."""
        if journal.posted:
            raise ValueError(f"Journal {journal.number} is posted and cannot be deleted.")
        place = (journal.entity, journal.number)
        del self.by_number[place], self._open[place]
        self.by_key[journal.description.split("|")[0]].remove(journal)

    def start(self, execution: str, made: SimulatedImport) -> None:
        """Take an import in hand. Raises ``PackageError``."""
        read_package(made.package, made.project)
        self.imports[execution] = made
        self._waiting.append(made)

    def pass_time(self) -> None:
        """The posting job comes by, then the batch server."""
        if self.posting:
            self.run_posting()
        if self.importing:
            for one in self._waiting:
                if one.status == "NotRun":
                    one.status = "Executing"
                else:
                    self._run(one)
            self._waiting = [one for one in self._waiting if one.status == "Executing"]

    def run_posting(self) -> None:
        """Post what has lines and was there before."""
        for place, journal in list(self._open.items()):
            if journal.lines and journal.seen and self._post(journal):
                del self._open[place]
            journal.seen = bool(journal.lines)

    def _post(self, journal: SimulatedJournal) -> bool:
        vouchers: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
        for line in journal.lines.values():
            vouchers[(line.voucher, line.on)] += line.amount
        first = journal.lines[min(journal.lines)]
        for (voucher, on), difference in vouchers.items():
            if difference:
                journal.log = f"The transactions on voucher {voucher} do not balance as per {on}."
                return False
        lines = [
            BookLine(line.account, line.amount, line.text, line.dimensions) for _, line in sorted(journal.lines.items())
        ]
        key = journal.description.split("|")[0]
        extra = {"number": journal.number, "document": first.document}
        try:
            self.books.book(key, first.on, first.currency, lines, company=self.company, extra=extra)
        except RefusalError as refusal:
            journal.log = str(refusal)
            return False
        journal.posted = True
        return True

    def _run(self, one: SimulatedImport) -> None:
        """Import what may be imported, row by row, as set-based imports leave it."""
        rows = read_package(one.package, one.project)
        homes: dict[str, SimulatedJournal] = {}
        errors = []
        for row in rows:
            try:
                line = check_row(
                    row,
                    self.segments,
                    journal_name=self.journal_name,
                    account_exists=lambda code: self.books.accounts is None or code in self.books.accounts,
                    period_open=lambda day: not any(first <= day <= last for first, last in self.books.closed),
                )
            except ValueError as wrong:
                errors.append({"RecordId": row.record, "Field": "", "ErrorMessage": str(wrong)})
                continue
            home = homes.get(row.journal) or self._home(one.entity, row)
            homes[row.journal] = home
            home.lines[line.number] = line
        one.errors = errors
        one.status = "Succeeded" if not errors else "PartiallySucceeded" if homes else "Failed"

    def _home(self, entity: str, row: Row) -> SimulatedJournal:
        """The journal with this number, if it is there and not posted; else a new one with a number of its own."""
        there = self.by_number.get((entity, row.journal))
        if there is not None and not there.posted:
            return there
        return self.open(entity, row.values.get("DESCRIPTION", ""))


_KEYS = re.compile(r"\((?P<keys>.*)\)$")


def keys_of(path: str) -> dict[str, str]:
    """The keys in the path of an entity. Raises ``ValueError``."""
    found = _KEYS.search(path)
    if found is None:
        raise ValueError("keys are expected")
    named = re.findall(r"(\w+)='((?:[^']|'')*)'", found.group("keys"))
    return {name: value.replace("''", "'") for name, value in named}


__all__ = ["PackageError", "SimulatedImport", "SimulatedJournal", "SimulatedJournals", "keys_of"]
