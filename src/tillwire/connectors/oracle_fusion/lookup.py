"""What Oracle's general ledger holds under our references: journal batches, by the first word of their names.

An imported batch is not posted yet. Those that are superfluous (the same journal was loaded twice) and those that are
damaged (two loads met in the interface) are deleted before anything posts them; that is what "exactly once" rests on
here, as an import knows no key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from tillwire.connectors.erp import DuplicatePostingError
from tillwire.connectors.erp_run import pieces
from tillwire.connectors.oracle_fusion.client import BASE, BATCHES, OracleFusionClient, Row
from tillwire.connectors.oracle_fusion.fbdi import batch_name, told_total
from tillwire.connectors.oracle_fusion.settings import ACCOUNT
from tillwire.errors import ContractChangedError, RejectedError, TransientError
from tillwire.model.ledger import ErpDocument, JournalLine

BATCH_FIELDS = "JeBatchId,BatchName,BatchDescription,Status,StatusMeaning,ErrorMessage,RunningTotalDr"
POSTED, WAITING = "P", ("U", "S", "I")
"""``Status`` of a batch: posted; unposted, selected for posting, being posted. Any other is an error of posting."""


class Batch(NamedTuple):
    """One journal batch of ours."""

    reference: str
    batch_id: str
    name: str
    status: str
    trouble: str
    """Oracle's words, where ``status`` is an error."""

    @property
    def posted(self) -> bool:
        """Whether it counts in the ledger."""
        return self.status == POSTED

    def document(self) -> ErpDocument:
        """As the hub's document, without lines."""
        number = self.name if self.posted else None
        return ErpDocument(reference=self.reference, document_id=self.batch_id, number=number, posted=self.posted)


def batches(client: OracleFusionClient, references: Sequence[str]) -> dict[str, Batch]:
    """One batch per reference, posted or not; deletes superfluous and damaged ones that are not posted.

    Raises ``DuplicatePostingError`` if two are posted under one reference, ``TransientError`` if a superfluous one
    cannot be deleted.
    """
    single, twice = _named(client, {batch_name(reference): reference for reference in references})
    if twice:
        raise DuplicatePostingError(twice, {reference: batch.document() for reference, batch in single.items()})
    return single


def tidy(client: OracleFusionClient) -> None:
    """Delete what is superfluous or damaged among all batches of our source that wait for being posted, as AutoPost
    would post them. Raises ``TransientError`` as ``batches`` does; what is posted twice already, ``batches`` tells.
    """
    condition = f"UserJeSourceName='{client.settings.source}' and Status='U'"
    rows = client.rows(BATCHES, q=condition, fields="BatchName", onlyData="true")
    names = {_text(row, "BatchName").split(" ")[0] for row in rows}
    _named(client, {name: name for name in names})


def _named(
    client: OracleFusionClient, ours: Mapping[str, str]
) -> tuple[dict[str, Batch], dict[str, tuple[ErpDocument, ...]]]:
    """By the references of these names: the batch to keep, and those of which more than one is posted."""
    found: dict[str, list[Batch]] = defaultdict(list)
    for some in pieces(sorted(ours), client.settings.batch_references):
        condition = " or ".join(f"BatchName LIKE '{name} %'" for name in some)
        for row in client.rows(BATCHES, q=condition, fields=BATCH_FIELDS, orderBy="JeBatchId:asc", onlyData="true"):
            reference = ours.get(_text(row, "BatchName").split(" ")[0])
            if reference is not None:
                batch = _batch(row, reference)
                if batch.posted or not _damaged(row):
                    found[reference].append(batch)
                else:
                    discard(client, batch)
    single: dict[str, Batch] = {}
    twice: dict[str, tuple[ErpDocument, ...]] = {}
    for reference, several in found.items():
        posted = [batch for batch in several if batch.posted]
        kept = posted or several[:1]
        for batch in several:
            if batch not in kept:
                discard(client, batch)
        if len(kept) > 1:
            twice[reference] = tuple(batch.document() for batch in kept)
        else:
            single[reference] = kept[0]
    return single, twice


def discard(client: OracleFusionClient, batch: Batch) -> None:
    """Delete a batch that is not posted. Raises ``TransientError`` if Oracle will not."""
    try:
        client.delete(f"{BATCHES}/{batch.batch_id}")
    except RejectedError as refusal:
        raise TransientError(
            f"{batch.reference}: batch {batch.name} ({batch.batch_id}) is superfluous and not posted, and Oracle will "
            f"not delete it: {refusal}. Delete it there, before somebody posts it"
        ) from refusal


def _batch(row: Row, reference: str) -> Batch:
    status = _text(row, "Status")
    trouble = ""
    if status != POSTED and status not in WAITING:
        trouble = f"{row.get('StatusMeaning') or status} {row.get('ErrorMessage') or ''}".strip()
    return Batch(reference, str(row.get("JeBatchId")), _text(row, "BatchName"), status, trouble)


def _damaged(row: Row) -> bool:
    expected = told_total(str(row.get("BatchDescription") or ""))
    return expected is not None and _decimal(row.get("RunningTotalDr")) != expected


def with_lines(client: OracleFusionClient, batch: Batch) -> ErpDocument:
    """A posted batch with the lines of its journals."""
    lines: list[JournalLine] = []
    day: date | None = None
    path = f"{BATCHES}/{batch.batch_id}/child/journalHeaders"
    for header in client.rows(path):
        day = date.fromisoformat(_text(header, "DefaultEffectiveDate")[:10])
        rows = client.rows(_child(header, "journalLines"), orderBy="JeLineNumber:asc", onlyData="true")
        lines += [_line(row, client) for row in rows]
    return ErpDocument(
        reference=batch.reference,
        document_id=batch.batch_id,
        number=batch.name,
        posted=True,
        posting_date=day,
        lines=tuple(lines),
    )


def _child(row: Row, name: str) -> str:
    """The path of a child collection, whose key only Oracle can compute. Never another host's."""
    for link in row.get("links") or ():
        href = str(link.get("href", ""))
        if link.get("name") == name and BASE in href:
            return BASE + href.split(BASE, 1)[1]
    raise ContractChangedError(f"a journal header of Oracle's has no link to its {name}: {row}")


def _line(row: Row, client: OracleFusionClient) -> JournalLine:
    settings = client.settings
    parts = _text(row, "AccountCombination").split(settings.segment_delimiter)
    if len(parts) != len(settings.segments):
        raise ContractChangedError(
            f"account combination {row['AccountCombination']} has {len(parts)} segments, the settings name "
            f"{len(settings.segments)}: see to segments and segment_delimiter"
        )
    named = dict(zip(settings.segments, parts, strict=True))
    fixed = {name for ledger in settings.ledgers.values() for name in ledger.values}
    return JournalLine(
        account=named[ACCOUNT],
        debit=_decimal(row.get("EnteredDr")),
        credit=_decimal(row.get("EnteredCr")),
        description=str(row.get("Description") or ""),
        dimensions=dict(_dimensions(named, fixed, settings.segment_defaults)),
    )


def _dimensions(named: dict[str, str], fixed: set[str], defaults: Any) -> Iterator[tuple[str, str]]:
    for name, value in named.items():
        if name != ACCOUNT and name not in fixed and value != defaults.get(name):
            yield name, value


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise ContractChangedError(f"Oracle answers {name} = {value!r}, where a text is expected")
    return value


def _decimal(told: Any) -> Decimal:
    try:
        return Decimal(str(told if told is not None else 0))
    except InvalidOperation as error:
        raise ContractChangedError(f"Oracle answers {told!r}, where a number is expected") from error
