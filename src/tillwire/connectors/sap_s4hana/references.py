"""Our references in SAP's fields, most of which are too short for them.

``DocumentReferenceID`` (16 characters) is what a journal is found by. A reference of up to 15 capital letters, digits
and ``/ _ . -`` stands there as it is; any other becomes 16 characters of base 32: the first 80 bits of its SHA-256. The
two never look alike, for they differ in length. The first 40 characters of the reference itself go to
``Reference1InDocumentHeader`` and ``Reference2InDocumentHeader``, for people.
"""

from __future__ import annotations

import base64
import hashlib
import re

MOST_ID = 35
"""Characters of a ``MessageHeader/ID``, by which a confirmation names what it confirms."""

_AS_IT_IS = re.compile(r"[A-Z0-9][A-Z0-9/_.-]{0,14}")
_HASHED = "#"


def _digest(reference: str) -> str:
    return base64.b32encode(hashlib.sha256(reference.encode()).digest()[:10]).decode()


def document_reference(reference: str) -> str:
    """What stands in ``DocumentReferenceID`` for a reference."""
    return reference if _AS_IT_IS.fullmatch(reference) else _digest(reference)


def header_references(reference: str) -> tuple[str, str]:
    """The reference as far as two header fields of 20 characters hold it."""
    return reference[:20], reference[20:40]


def message_id(reference: str) -> str:
    """The ``MessageHeader/ID`` of a journal: its reference, or a hash where that is too long for it."""
    if len(reference) <= MOST_ID and not reference.startswith(_HASHED):
        return reference
    return _HASHED + _digest(reference)


def of_message_id(told: str) -> str | None:
    """The reference that a confirmation names; none where only a hash of it fitted."""
    return None if told.startswith(_HASHED) or not told else told
