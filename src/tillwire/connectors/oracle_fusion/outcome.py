"""Why an import refused a journal: what the files of its jobs say, by batch name.

Journal Import leaves its codes (EF04, EP01 ...) and their texts on the refused rows of the interface. With
``ExtractFileType=ALL`` those rows come as CSV in the zip of the job; reports and logs are read line by line.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from tillwire.connectors.erp import RejectionKind

INTERFACE_COLUMNS = 67
"""A row of at least so many columns is one of the interface; its status stands first."""
MOST_BYTES = 64 * 1024 * 1024
"""So much of the files of one job is read."""
_CODE = re.compile(r"\bE[A-Z]\d{2}\b")
_KINDS: dict[str, RejectionKind] = {"EP": "closed_period", "EF": "unknown_account", "EU": "unbalanced"}
"""By the first two letters of a code: periods, flexfields (account combinations), unbalanced entries."""


class Refusal(NamedTuple):
    """Why one journal was refused."""

    words: str
    kind: RejectionKind


def failed_jobs(tree: Any) -> list[str]:
    """The numbers of the jobs in a tree that ended otherwise than well, the inner ones first."""
    return [number for number, status in _walk(tree) if status in ("ERROR", "WARNING")]


def _walk(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for part in node:
            yield from _walk(part)
    elif isinstance(node, dict):
        for name in ("JOBS", "CHILD"):
            yield from _walk(node.get(name))
        if node.get("REQUESTID"):
            yield str(node["REQUESTID"]), str(node.get("STATUS") or "").upper()


def texts(archive: bytes) -> Iterator[str]:
    """The text files of a job's zip; none if it is no zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            left = MOST_BYTES
            for entry in zipped.infolist():
                if not entry.filename.lower().endswith((".csv", ".txt", ".log", ".out", ".xml")):
                    continue
                with zipped.open(entry) as file:
                    content = file.read(left)
                left -= len(content)
                yield content.decode("utf-8", "replace")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return


def refusals(content: str, names: frozenset[str]) -> dict[str, Refusal]:
    """What a file says of the batches of these names, as far as it has codes of errors."""
    found: dict[str, dict[str, None]] = {}
    rows = list(csv.reader(io.StringIO(content)))
    header = rows[0] if rows and "STATUS" in rows[0] else []
    for row in rows:
        name = next((cell for cell in row if cell in names), None) or _named(row, names)
        codes = _CODE.findall(_status(row, header)) if name else []
        if name and codes:
            found.setdefault(name, {})[_words(row, header, codes)] = None
    return {name: Refusal("; ".join(said), _kind("; ".join(said))) for name, said in found.items()}


def _named(row: list[str], names: frozenset[str]) -> str | None:
    """The batch that a line of a report names among other words."""
    words = set(" ".join(row).split())
    return next((name for name in sorted(names) if name in words), None)


def _status(row: list[str], header: list[str]) -> str:
    """Where a row has its codes: an interface row in its status, a report's line anywhere."""
    if header:
        return dict(zip(header, row, strict=False)).get("STATUS", "")
    return row[0] if len(row) >= INTERFACE_COLUMNS else ",".join(row)


def _words(row: list[str], header: list[str], codes: list[str]) -> str:
    """Codes and description of a refused row; a report's line as it is."""
    if header:
        told = dict(zip(header, row, strict=False))
        return f"{told.get('STATUS', '')} {told.get('STATUS_DESCRIPTION', '')}".strip()
    line = ",".join(row).strip()
    return line if len(line) <= 500 else f"{line[:500]} ({', '.join(codes)})"


def _kind(words: str) -> RejectionKind:
    for code in _CODE.findall(words):
        if code[:2] in _KINDS:
            return _KINDS[code[:2]]
    return "other"
