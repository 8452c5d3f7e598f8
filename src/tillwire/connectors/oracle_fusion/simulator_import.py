"""Journal Import as it treats groups: one bad line refuses its whole group and no other; and the jobs around it."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tillwire.connectors.oracle_fusion.simulator_files import InterfaceRow
from tillwire.connectors.simulated_books import SimulatedBooks


class Job:
    """One scheduled process with what it started: loading (its number plus 1), importing (plus 2)."""

    def __init__(self, kind: str, group: str = "", archive: bytes = b"", options: str = "") -> None:
        self.kind = kind
        self.group = group
        self.archive = archive
        self.options = options
        self.files: dict[str, str] = {}
        self._status = "RUNNING"
        self._failed = ""
        self._failed_as = "ERROR"

    def finish(self, status: str, *, failed: str = "", failed_as: str = "ERROR") -> None:
        """It is over; ``failed``: the last digit of the job within that failed."""
        self._status, self._failed, self._failed_as = status, failed, failed_as

    def status_of(self, number: str) -> str:
        """Of the job, or of one within."""
        if number[-1] == "0":
            return self._status
        return self._failed_as if number[-1] == self._failed else self._status

    def tree(self, number: str) -> dict[str, Any]:
        """As ESSExecutionDetailsRF tells it."""
        stem = number[:-1]
        names = {"1": "Load File to Interface", "2": "Import Journals: Child"} if self.kind == "import" else {}
        children = [
            {"JOBNAME": name, "REQUESTID": stem + digit, "STATUS": self.status_of(stem + digit)}
            for digit, name in names.items()
        ]
        name = "Load Interface File for Import" if self.kind == "import" else "AutoPost Journals"
        return {"JOBS": {"JOBNAME": name, "REQUESTID": number, "STATUS": self._status, "CHILD": children}}


def zipped(files: Mapping[str, str]) -> bytes:
    """The files of a job."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("request.log", "Process log\n")
        for name, content in files.items():
            made.writestr(name, content)
    return archive.getvalue()


def imported(
    rows: list[InterfaceRow], books: SimulatedBooks, segment_values: Mapping[int, tuple[str, ...]]
) -> tuple[list[list[InterfaceRow]], str]:
    """The journals of the groups that pass, and the refused rows as CSV with a header (empty: none)."""
    groups: dict[str, list[InterfaceRow]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    good: list[list[InterfaceRow]] = []
    refused: list[list[str]] = []
    for group in groups.values():
        by_name: dict[str, list[InterfaceRow]] = defaultdict(list)
        for row in group:
            by_name[row.name].append(row)
        balanced = all(_balance(journal) == 0 for journal in by_name.values())
        told = [_trouble(row, books, segment_values, balanced=balanced) for row in group]
        if any(code != "P" for code, _ in told):
            refused += [
                [code, words, row.group, row.name, row.description, str(row.debit or ""), str(row.credit or "")]
                for row, (code, words) in zip(group, told, strict=True)
            ]
        else:
            good += list(by_name.values())
    if not refused:
        return good, ""
    text = io.StringIO()
    writer = csv.writer(text)
    header = ["STATUS", "STATUS_DESCRIPTION", "GROUP_ID", "REFERENCE1", "REFERENCE2", "ENTERED_DR", "ENTERED_CR"]
    writer.writerows([header, *refused])
    return good, text.getvalue()


def _balance(rows: list[InterfaceRow]) -> Decimal:
    return sum((row.debit - row.credit for row in rows), Decimal(0))


def _trouble(
    row: InterfaceRow, books: SimulatedBooks, segment_values: Mapping[int, tuple[str, ...]], *, balanced: bool
) -> tuple[str, str]:
    """Code and text as Journal Import leaves them on a row; ``P`` for one that passes."""
    if books.accounts is not None and row.account not in books.accounts:
        return "EF04", f"FLEX-VALUE DOES NOT EXIST (SEGMENT=Account) (VALUESET=Account) (VALUE={row.account})"
    for place, values in segment_values.items():
        if row.segments[place] not in values:
            return "EF04", f"FLEX-VALUE DOES NOT EXIST (SEGMENT={place + 1}) (VALUE={row.segments[place]})"
    if any(first <= row.on <= last for first, last in books.closed):
        return "EP01", f"The date {row.on} is not in any open or future enterable period"
    if not balanced:
        return "EU02", "The journal entry is unbalanced and suspense posting isn't allowed in the ledger."
    return "P", ""
