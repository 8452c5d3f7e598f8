"""Identifiers of the trade: GTIN and GLN with check digit (GS1 General Specifications, 7.9), UUIDv7 (RFC 9562)."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable


def check_digit(digits: str) -> int:
    """The GS1 check digit (modulo 10, weights 3 and 1 from the right) for ``digits`` without one.

    Raises ``ValueError`` if there is anything but the digits 0 to 9.
    """
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"only the digits 0 to 9 are allowed, got {digits!r}")
    total = sum(int(digit) * (3 if i % 2 == 0 else 1) for i, digit in enumerate(reversed(digits)))
    return -total % 10


def _has_check_digit(code: str) -> bool:
    return code.isascii() and code.isdigit() and check_digit(code[:-1]) == int(code[-1])


def is_gtin(code: str) -> bool:
    """True for a GTIN-8, -12, -13 or -14 whose check digit is right."""
    return len(code) in (8, 12, 13, 14) and _has_check_digit(code)


def is_gln(code: str) -> bool:
    """True for a Global Location Number: 13 digits, the last a right check digit."""
    return len(code) == 13 and _has_check_digit(code)


def gtin14(code: str) -> str:
    """The 14-digit form of a GTIN, by which the same item in different forms compares equal.

    Raises ``ValueError`` if ``code`` is no valid GTIN.
    """
    if not is_gtin(code):
        raise ValueError(f"{code!r} is no GTIN: it needs 8, 12, 13 or 14 digits, the last a right check digit")
    return code.zfill(14)


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


def uuid7(*, unix_ms: Callable[[], int] = _unix_ms, random_bits: Callable[[int], int] = secrets.randbits) -> uuid.UUID:
    """A time-ordered UUID of version 7. Time and randomness are seams, so that a seeded run repeats."""
    value = (unix_ms() & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | random_bits(12) << 64
    value |= 0b10 << 62 | random_bits(62)
    return uuid.UUID(int=value)
