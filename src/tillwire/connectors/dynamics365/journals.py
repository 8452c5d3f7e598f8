"""What Finance holds under our references: headers by their description, and their lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from tillwire.connectors.dynamics365 import labels
from tillwire.connectors.dynamics365.odata import FinanceClient, Row, quoted
from tillwire.connectors.dynamics365.settings import ACCOUNT, Dynamics365Settings
from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.erp_run import pieces
from tillwire.model.ledger import ErpDocument, JournalLine

HEADERS = "LedgerJournalHeaders"
LINES = "LedgerJournalLines"
MOST_NAMED = 25
"""So many are named in one query: they stand in the URL."""

Place = tuple[str, str]
"""Legal entity and journal batch number."""


class Header(msgspec.Struct, frozen=True):
    """A journal of Finance that is one of ours."""

    legal_entity: str
    number: str
    label: labels.Label
    posted: bool

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.legal_entity, self.number

    @property
    def document_id(self) -> str:
        """Its place in one word."""
        return f"{self.legal_entity}/{self.number}"

    def document(self, reference: str) -> ErpDocument:
        """As the hub speaks of it."""
        number = self.number if self.posted else None
        return ErpDocument(reference=reference, document_id=self.document_id, number=number, posted=self.posted)


class Journals:
    """Looks them up. Asks nothing of nobody twice: it keeps nothing."""

    def __init__(self, client: FinanceClient, settings: Dynamics365Settings) -> None:
        self._client = client
        self._settings = settings
        self._ours = {entity.lower() for entity in settings.legal_entities.values()}

    def by_references(self, references: Iterable[str]) -> dict[str, list[Header]]:
        """All headers under each reference; a missing key means that there is none."""
        by_key = {labels.key_of(reference): reference for reference in references}
        found: dict[str, list[Header]] = defaultdict(list)
        for named in pieces(sorted(by_key), MOST_NAMED):
            condition = " or ".join(f"Description eq {quoted(f'{key}|*')}" for key in named)
            for row in self._client.rows(HEADERS, condition, "dataAreaId,JournalBatchNumber,Description,IsPosted"):
                header = self._header(row)
                if header is not None and header.label.key in by_key:
                    found[by_key[header.label.key]].append(header)
        return found

    def _header(self, row: Row) -> Header | None:
        label = labels.read(row.get("Description") or "")
        legal_entity = str(row["dataAreaId"]).lower()
        if label is None or legal_entity not in self._ours:
            return None
        return Header(legal_entity, row["JournalBatchNumber"], label, row["IsPosted"] == "Yes")

    def line_counts(self, headers: Iterable[Header]) -> Counter[Place]:
        """How many lines each has."""
        rows = self._lines(headers, "dataAreaId,JournalBatchNumber,LineNumber")
        return Counter((str(row["dataAreaId"]).lower(), row["JournalBatchNumber"]) for row in rows)

    def _lines(self, headers: Iterable[Header], select: str) -> Iterable[Row]:
        by_entity: dict[str, list[str]] = defaultdict(list)
        for header in headers:
            by_entity[header.legal_entity].append(header.number)
        for entity, numbers in sorted(by_entity.items()):
            for named in pieces(sorted(set(numbers)), MOST_NAMED):
                alternatives = " or ".join(f"JournalBatchNumber eq {quoted(number)}" for number in named)
                yield from self._client.rows(LINES, f"dataAreaId eq {quoted(entity)} and ({alternatives})", select)

    def with_lines(self, found: Mapping[str, Header]) -> dict[str, ErpDocument]:
        """Documents with their lines, in the currency of the transaction."""
        lines: dict[Place, list[tuple[Decimal, date, JournalLine]]] = defaultdict(list)
        select = "dataAreaId,JournalBatchNumber,LineNumber,AccountDisplayValue,DebitAmount,CreditAmount,Text,TransDate"
        for row in self._lines(found.values(), select):
            place = str(row["dataAreaId"]).lower(), row["JournalBatchNumber"]
            day = date.fromisoformat(str(row["TransDate"])[:10])
            lines[place].append((Decimal(row["LineNumber"]), day, self._line(row)))
        documents = {}
        for reference, header in found.items():
            mine = sorted(lines[header.place], key=lambda one: one[0])
            documents[reference] = msgspec.structs.replace(
                header.document(reference),
                posting_date=mine[0][1] if mine else None,
                lines=tuple(line for _, _, line in mine),
            )
        return documents

    def _line(self, row: Row) -> JournalLine:
        parts = str(row["AccountDisplayValue"]).split(self._settings.delimiter)
        account, dimensions = "", {}
        for segment, part in zip(self._settings.segments, parts, strict=False):
            if segment == ACCOUNT:
                account = part
            elif part:
                named = {there: ours for ours, there in self._settings.dimension_values.get(segment, {}).items()}
                dimensions[segment] = named.get(part, part)
        return JournalLine(
            account=account,
            debit=Decimal(row["DebitAmount"]),
            credit=Decimal(row["CreditAmount"]),
            description=row.get("Text") or "",
            dimensions=dimensions,
        )


def chosen(found: Mapping[str, Sequence[Header]]) -> dict[str, Header]:
    """Of the headers under each reference the posted one, else the first. Raises ``DuplicatePostingError``."""
    single: dict[str, Header] = {}
    duplicates: dict[str, tuple[ErpDocument, ...]] = {}
    for reference, headers in found.items():
        posted = [header for header in headers if header.posted]
        if len(posted) > 1:
            duplicates[reference] = tuple(header.document(reference) for header in posted)
        else:
            single[reference] = (posted or list(headers))[0]
    if duplicates:
        raise DuplicatePostingError(
            duplicates, {reference: header.document(reference) for reference, header in single.items()}
        )
    return single
