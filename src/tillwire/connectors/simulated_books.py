"""The books of a simulated ERP: accounts, periods, documents, and the refusals that every ERP has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.erp import RejectionKind
from tillwire.model.money import ZERO


class RefusalError(Exception):
    """The books do not take it; each ERP says so in words of its own, by ``kind`` (or ``duplicate``)."""

    def __init__(self, kind: RejectionKind | str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


class BookLine(msgspec.Struct, frozen=True):
    """One line: ``amount`` is positive with a debit."""

    account: str
    amount: Decimal
    description: str = ""
    dimensions: Mapping[str, str] = {}


class BookedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What the books hold under a number of theirs."""

    number: str
    reference: str
    on: date
    currency: str
    lines: tuple[BookLine, ...]
    company: str = ""
    extra: Mapping[str, Any] = {}
    """What this ERP keeps beside."""


class SimulatedBooks:
    """One company's, or several companies', books in memory. Not locked: the simulator serves one call at a time."""

    def __init__(
        self,
        accounts: Iterable[str] | None = None,
        *,
        unique_references: bool,
        prefix: str = "",
        first_number: int = 1,
    ) -> None:
        """``accounts``: those there are; none: any. ``unique_references``: whether this ERP itself refuses a second."""
        self.accounts = None if accounts is None else set(accounts)
        self.unique_references = unique_references
        self.closed: list[tuple[date, date]] = []
        """First and last days of closed periods."""
        self.documents: dict[str, BookedDocument] = {}
        """By number, in the order in which they were booked."""
        self._by_reference: dict[str, list[str]] = defaultdict(list)
        self._prefix, self._next = prefix, first_number

    def check(self, reference: str, on: date, lines: Iterable[BookLine]) -> None:
        """Raises ``RefusalError`` for what cannot be booked: unbalanced, an unknown account, a closed period, or a
        reference that is there already."""
        given = list(lines)
        if not given:
            raise RefusalError("other", "a journal needs lines")
        if self.accounts is not None:
            for line in given:
                if line.account not in self.accounts:
                    raise RefusalError("unknown_account", f"account {line.account} does not exist")
        difference = sum((line.amount for line in given), ZERO)
        if difference:
            raise RefusalError("unbalanced", f"debits and credits differ by {difference}")
        if any(first <= on <= last for first, last in self.closed):
            raise RefusalError("closed_period", f"the period of {on} is closed")
        if self.unique_references and reference and self._by_reference[reference]:
            raise RefusalError("duplicate", f"{reference} is there already")

    def book(
        self,
        reference: str,
        on: date,
        currency: str,
        lines: Iterable[BookLine],
        *,
        company: str = "",
        extra: Mapping[str, Any] | None = None,
        number: str | None = None,
    ) -> BookedDocument:
        """Check and book; the document with its number, which is the next one unless the ERP makes numbers of its own.
        Raises ``RefusalError``."""
        given = tuple(lines)
        self.check(reference, on, given)
        number = number or f"{self._prefix}{self._next}"
        self._next += 1
        made = BookedDocument(
            number=number,
            reference=reference,
            on=on,
            currency=currency,
            lines=given,
            company=company,
            extra=extra or {},
        )
        self.documents[number] = made
        self._by_reference[reference].append(number)
        return made

    def under(self, reference: str) -> list[BookedDocument]:
        """What is booked under a reference, oldest first."""
        return [self.documents[number] for number in self._by_reference.get(reference, ())]

    def trial_balance(self) -> dict[tuple[str, str, str], Decimal]:
        """Balances by company, currency and account, debit positive, without those that are zero."""
        sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for document in self.documents.values():
            for line in document.lines:
                sums[(document.company, document.currency, line.account)] += line.amount
        return {place: amount for place, amount in sums.items() if amount}
