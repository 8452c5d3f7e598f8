"""How references travel in Finance, whose journals have no field for one: in the description of the header.

``REFERENCE|JOB|LINES``: our reference, the import that was to bring the lines, and how many they are. So a look-up by
the reference alone tells whether a journal is whole, and whom to ask if it is not.
"""

from __future__ import annotations

import hashlib
import string
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from tillwire import clock

MOST_DESCRIPTION = 60
MOST_KEY = 41
_KEPT = 8
_STAMP = 6
_DIGITS = string.digits + string.ascii_lowercase


class Label(msgspec.Struct, frozen=True):
    """What a header's description says."""

    key: str
    """Of the reference."""
    job: str
    lines: int


def key_of(reference: str) -> str:
    """The reference itself, or its beginning and a hash of the whole if it is too long, or has signs that a look-up
    takes for others."""
    if len(reference) <= MOST_KEY and not set(reference) & set("|*~") and reference == reference.strip():
        return reference
    kept = "".join(sign for sign in reference[:_KEPT] if sign not in "|*~").strip()
    return f"{kept}~{_hash(reference, 32)}"


def document_of(reference: str) -> str:
    """What lines carry as document and voucher, 20 characters."""
    return "T" + _hash(reference, 19)


def describe(label: Label) -> str:
    """The description of a header."""
    told = f"{label.key}|{label.job}|{label.lines}"
    assert len(told) <= MOST_DESCRIPTION, told
    return told


def read(description: str) -> Label | None:
    """What a description says; none if it is not one of ours."""
    parts = description.split("|")
    if len(parts) != 3 or len(parts[1]) != 2 * _STAMP or not parts[2].isdigit():
        return None
    return Label(parts[0], parts[1], int(parts[2]))


def new_job() -> str:
    """A name for an import that says when it was begun."""
    return _base36(int(clock.now().timestamp())).rjust(_STAMP, "0") + uuid4().hex[:_STAMP]


def age_s(job: str) -> float:
    """How long ago an import was begun."""
    try:
        began = datetime.fromtimestamp(int(job[:_STAMP], 36), UTC)
    except ValueError:  # no name of ours
        return 0.0
    return (clock.now() - began).total_seconds()


def execution_id(job: str) -> str:
    """The job as Finance's data management knows it."""
    return f"Tillwire-{job}"


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits
