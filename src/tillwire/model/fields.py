"""The field types that every message of the canonical model is made of, with their limits."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated

from msgspec import Meta

# Patterns are told in the schema and checked once, at the door: as constraints here they would cost every later
# decoding a tenth of its time.
Identifier = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema={"pattern": r"^[^\x00-\x1f\x7f/;|]+$"})]
"""A store, register or other part of a key: printable, and none of the separators of keys ( / ; | )."""
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=500)]
Currency = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=3,
        description="ISO 4217 alphabetic code",
        extra_json_schema={"pattern": "^[A-Z]{3}$"},
    ),
]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
Sequence = Annotated[int, Meta(ge=0, le=2**63 - 2)]
"""A number of a bigint column whose successor is one, too (the end of a range)."""
Count = Annotated[int, Meta(ge=0, le=10**12)]
"""A number of things; sums of many fit a bigint."""
Amount = Decimal
"""An amount of money in the currency its message names: a decimal written as a JSON string ("12.50")."""
Quantity = Decimal
"""A quantity in the unit of measure beside it: a decimal written as a JSON string."""


@lru_cache(maxsize=4096)
def iso_text(day: date) -> str:
    """A date as ISO 8601 text. Few dates are in use at a time, and making the text costs ten times the look-up."""
    return day.isoformat()
