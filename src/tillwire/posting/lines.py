"""From entries to lines: each gets account and dimensions by the rule book; those alike are one line of the ERP's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database.copying import escaped
from tillwire.errors import TillwireError
from tillwire.model.money import ZERO
from tillwire.posting import rule_books
from tillwire.posting.accounts import AccountBook, Place
from tillwire.posting.drafts import Draft, EntryKey

_NONE = "\\N"


class Books:
    """The rule book in force, and those that earlier journals were built by: what takes one back goes where it went."""

    def __init__(self, connection: psycopg.Connection, book: AccountBook) -> None:
        self._connection = connection
        self._version = rule_books.version_of(connection, book)
        self._found = {self._version: book}

    def version(self, earlier: int | None) -> int:
        """The version: of an earlier book, or of the one in force."""
        return self._version if earlier is None else earlier

    def of(self, earlier: int | None) -> AccountBook:
        """An earlier book, or the one in force."""
        version = self.version(earlier)
        if version not in self._found:
            self._found[version] = rule_books.load(self._connection, version)
        return self._found[version]


class Line(msgspec.Struct, gc=False):
    """One line at the finest, with the line of the ERP's document that it is part of."""

    key: EntryKey
    account: str
    amount: Decimal
    """Debit positive."""
    foreign: Decimal
    dimensions: Mapping[str, str]
    rule: str
    erp_line: int


def lines_of(draft: Draft, book: AccountBook) -> list[Line]:
    """The lines of a journal. Raises ``TillwireError`` if they do not balance, which no recorded event can cause."""
    place = Place(draft.company, draft.day.store, draft.day.region, draft.currency)
    numbers: dict[tuple[object, ...], int] = {}
    found: list[Line] = []
    for key, (amount, foreign) in draft.entries.items():
        if not amount:
            continue
        day = key.original_date or draft.day.business_date
        mapped = book.resolve(place, day, key.kind, key.component, key.code)
        alike = (mapped.account, *mapped.dimensions.items(), key.original_date, key.foreign_currency)
        number = numbers.setdefault(alike, len(numbers) + 1)
        found.append(Line(key, mapped.account, amount, foreign, mapped.dimensions, mapped.rule, number))
    difference = sum([line.amount for line in found], ZERO)
    if difference:
        raise TillwireError(
            f"the entries of {draft.reference} are out of balance by {difference} {draft.currency}: nothing is built"
        )
    return found


def nothing_to_send(lines: Iterable[Line]) -> bool:
    """True if every line of the ERP's comes to zero."""
    sums: dict[int, Decimal] = {}
    for line in lines:
        sums[line.erp_line] = sums.get(line.erp_line, ZERO) + line.amount
    return not any(sums.values())


def copy_rows_of(journal_id: int, lines: Iterable[Line]) -> Iterator[str]:
    """The lines as rows of a COPY into journal_line."""
    for number, line in enumerate(lines, 1):
        key = line.key
        dimensions = escaped(msgspec.json.encode(line.dimensions).decode()) if line.dimensions else _NONE
        yield (
            f"{journal_id}\t{number}\t{escaped(line.account)}\t{max(line.amount, ZERO)}\t{max(-line.amount, ZERO)}\t"
            f"{key.component}\t{escaped(key.code)}\t{key.original_date or _NONE}\t{key.kind}\t{line.erp_line}\t"
            f"{dimensions}\t{escaped(line.rule)}\t{line.foreign or _NONE}\t{key.foreign_currency or _NONE}\n"
        )
