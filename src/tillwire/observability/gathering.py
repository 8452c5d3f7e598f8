"""From the rows of a figure's query to samples: of each store, of each part, and of the hub as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from tillwire.observability import history
from tillwire.observability.figures import MONEY, Figure
from tillwire.observability.history import Sample

Row = tuple[Any, ...]
"""Store (empty: none), part, and what was measured: a value and how often, a numerator and its denominator, or a
number."""


def samples_of(figure: Figure, rows: Iterable[Row]) -> list[Sample]:
    """The samples of a figure. The hub's are there even if nothing was measured, where that is a number: none."""
    stores: dict[tuple[str, str], list[Row]] = defaultdict(list)
    parts: dict[str, list[Row]] = defaultdict(list)
    for store, part, *measured in rows:
        own = tuple(measured)
        if store and figure.per_store:
            stores[(store, part if figure.unit == MONEY else "")].append(own)
        if figure.hub_apart and store:
            continue
        parts[part].append(own)
        if part and figure.unit != MONEY:  # currencies are not added
            parts[""].append(own)
    if not figure.part and figure.kind in ("state", "count"):
        parts[""] = parts.get("", [])
    elif figure.part and figure.unit != MONEY and figure.kind in ("state", "count"):
        parts.setdefault("", [])
    make = _MAKERS[figure.kind]
    found = [make(figure, own, "", part) for part, own in parts.items()]
    found += [make(figure, own, store, part) for (store, part), own in stores.items()]
    return [one for one in found if one is not None]


def _distribution(figure: Figure, rows: Sequence[Row], store: str, part: str) -> Sample | None:
    if not rows:
        return None
    values = [(max(0.0, float(value)), int(times)) for value, times in rows]
    return history.distribution(figure.name, values, store=store, part=part)


def _ratio(figure: Figure, rows: Sequence[Row], store: str, part: str) -> Sample | None:
    total, n = sum(int(row[0]) for row in rows), sum(int(row[1]) for row in rows)
    return history.ratio(figure.name, total, n, store=store, part=part) if n else None


def _count(figure: Figure, rows: Sequence[Row], store: str, part: str) -> Sample | None:
    return history.count(figure.name, sum(int(row[0]) for row in rows), store=store, part=part)


def _state(figure: Figure, rows: Sequence[Row], store: str, part: str) -> Sample | None:
    if figure.combined == "ratio":
        total, n = sum(int(row[0]) for row in rows), sum(int(row[1]) for row in rows)
        return history.state(figure.name, Decimal(total) / n, store=store, part=part) if n else None
    values = [row[0] if isinstance(row[0], Decimal) else Decimal(str(row[0])) for row in rows]
    most = max(values, default=Decimal(0))
    value = most if figure.combined == "most" else sum(values, Decimal(0))
    return history.state(figure.name, value, store=store, part=part)


_MAKERS: dict[str, Callable[[Figure, Sequence[Row], str, str], Sample | None]] = {
    "distribution": _distribution,
    "ratio": _ratio,
    "count": _count,
    "state": _state,
}
