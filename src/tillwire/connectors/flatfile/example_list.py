"""The examples: one file each, with the mapping that reads it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tillwire.connectors.spec import Example

_FOLDER = Path(__file__).parent / "examples"


def _mapping(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / name).read_text("utf-8"))


EXAMPLES = (
    Example(
        file="franchise.csv",
        about="CSV with a header, rows of a receipt repeating it, quoted texts over two lines, returns by a flag;"
        " mapping: franchise.toml",
        settings=_mapping("franchise.toml"),
    ),
    Example(
        file="day.txt",
        about="record types file header, header, line, discount, tax, payment, change, day close, trailer; cents;"
        " counts and totals held; mapping: day.toml",
        settings=_mapping("day.toml"),
    ),
    Example(
        file="movements.fix",
        about="fixed width with header and trailer: stock movements of several rows; mapping: movements.toml",
        settings=_mapping("movements.toml"),
    ),
    Example(
        file="orders.jsonl",
        about="JSON Lines with arrays inside, numbers beyond 2^53, one order that does not fit; mapping: orders.toml",
        settings=_mapping("orders.toml"),
        codes=("schema_drift",),
    ),
    Example(
        file="artikel.csv",
        about="semicolons, decimal commas, cp1252: products with units; mapping: artikel.toml",
        settings=_mapping("artikel.toml"),
    ),
    Example(
        file="zaiko.csv",
        about="Shift-JIS: stock levels as of a moment; mapping: zaiko.toml",
        settings=_mapping("zaiko.toml"),
    ),
)
