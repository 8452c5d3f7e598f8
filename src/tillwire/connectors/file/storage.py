"""A journal's files in their folders, step by step so that a crash between any two can be told afterwards.

1. The data file into the outbox. 2. ``NAME.ready``, which is the control file, into the archive. 3. ``NAME.record``
into the archive. 4. ``NAME.ready`` is renamed to the control file in the outbox. Step 4 is the hand-over: one rename,
that has happened or has not. Every file comes into being under its name whole, by a rename, and is on disk before the
next step.

Without a record nothing was handed over. With a record, ``NAME.ready`` says that step 4 is missing; without
``NAME.ready`` it has happened, wherever the ERP may have taken the files since.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from tillwire.connectors.file.settings import FileSettings
from tillwire.errors import ConfigurationError

State = Literal["nothing", "draft", "handed_over", "accepted", "rejected"]
MOST_WORDS = 2_000
_MOST_ATTEMPTS = 1_000


class RecordLine(msgspec.Struct, frozen=True):
    """A line as it was written; amounts are texts."""

    account: str
    debit: str
    credit: str
    description: str


class Record(msgspec.Struct, frozen=True):
    """What we keep of a journal that was handed over, or was about to be."""

    control: dict[str, Any]
    lines: list[RecordLine]


class Attempt(msgspec.Struct, frozen=True):
    """The newest attempt to hand a journal over, and what became of it."""

    name: str
    state: State
    record: Record | None = None
    words: str = ""
    """Of an answer: the ERP's number, or its reason."""


class Storage:
    """The folders of one ERP. Raises ``OSError`` where they cannot be used."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings

    def newest(self, base: str) -> Attempt:
        """The newest attempt for a journal: after a rejection comes another one, under another name."""
        latest = Attempt(base, "nothing")
        for number in range(1, _MOST_ATTEMPTS):
            found = self._attempt(base if number == 1 else f"{base}-{number}")
            if found.state == "nothing":
                return latest if latest.state != "nothing" else found
            latest = found
            if found.state != "rejected":
                return found
        return latest

    def next_name(self, base: str, newest: Attempt) -> str:
        """The name of the next attempt after one that was rejected."""
        if newest.state == "nothing":
            return base
        number = 1 if newest.name == base else int(newest.name.rpartition("-")[2])
        return f"{base}-{number + 1}"

    def write(self, name: str, data: bytes, control: bytes, record: Record) -> None:
        """Steps 1 to 3: everything but the hand-over."""
        outbox, kept = self._settings.outbox, self._settings.kept
        if not kept.is_dir():
            kept.mkdir()
        if kept.stat().st_dev != outbox.stat().st_dev:
            raise ConfigurationError(f"archive: {kept} must be on the same file system as {outbox}")
        _write(outbox / f"{name}{self._settings.data_suffix}", data)
        _write(kept / f"{name}.ready", control)
        _write(kept / f"{name}.record", msgspec.json.encode(record))

    def hand_over(self, name: str) -> None:
        """Step 4. Nothing if it has happened already."""
        ready = self._settings.kept / f"{name}.ready"
        try:
            os.replace(ready, self._settings.outbox / f"{name}{self._settings.control_suffix}")
        except FileNotFoundError:
            if not self._settings.outbox.is_dir():
                raise
            return
        _sync_folder(self._settings.outbox)
        _sync_folder(self._settings.kept)

    def _attempt(self, name: str) -> Attempt:
        kept = self._settings.kept
        try:
            record = msgspec.json.decode((kept / f"{name}.record").read_bytes(), type=Record)
        except FileNotFoundError:
            if not self._settings.outbox.is_dir():
                raise
            return Attempt(name, "nothing")
        if (kept / f"{name}.ready").exists():
            return Attempt(name, "draft", record)
        if self._settings.acknowledge == "files":
            answers = self._settings.answers
            accepted = _text(answers / f"{name}{self._settings.accepted_suffix}")
            if accepted is not None:
                return Attempt(name, "accepted", record, accepted.partition("\n")[0].strip())
            rejected = _text(answers / f"{name}{self._settings.rejected_suffix}")
            if rejected is not None:
                return Attempt(name, "rejected", record, " ".join(rejected.split()) or "the ERP gave no reason")
            if not answers.is_dir():
                raise FileNotFoundError(f"there is no folder {answers}")
        return Attempt(name, "handed_over", record)


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes()[:MOST_WORDS].decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all, and stays when the machine stops."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
