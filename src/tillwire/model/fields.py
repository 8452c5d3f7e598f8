"""The field types that every message of the canonical model is made of, with their limits."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f/;|]+$")]
"""A store, register or other part of a key: no control characters and none of the separators of keys ( / ; | )."""

# Patterns cost a tenth of the decoding of a basket: what is no part of a key goes without.
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=500)]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$", description="ISO 4217 alphabetic code")]
Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]
Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Amount = Decimal
"""An amount of money in the currency its message names: a decimal written as a JSON string ("12.50")."""
Quantity = Decimal
"""A quantity in the unit of measure beside it: a decimal written as a JSON string."""
