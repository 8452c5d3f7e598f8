"""The console's sections: what is in its menu, for whom."""

from __future__ import annotations

from typing import NamedTuple

from tillwire.governance.access import Operation, Principal


class Section(NamedTuple):
    """One entry of the menu. ``key``: pressed after ``g``, it goes there."""

    path: str
    title: str
    operation: Operation
    key: str
    icon: str
    """The ``d`` of a path in a box of 20 by 20."""


_DIAL = "M3 15a7 7 0 0114 0M10 15l4-5M3 17h14"
_DATA = "M3 5c0-3 14-3 14 0v10c0 3-14 3-14 0zM3 10c0 3 14 3 14 0"
_PLUG = "M7 3v5M13 3v5M5 8h10v2a5 5 0 01-10 0zM10 15v3"

SECTIONS = (
    Section("/", "Overview", Operation.READ_SALES, "o", "M3 10l7-7 7 7M5 9v8h10V9"),
    Section("/stores", "Stores", Operation.READ_SALES, "s", "M3 3h5v5H3zM12 3h5v5h-5zM3 12h5v5H3zM12 12h5v5h-5z"),
    Section(
        "/transactions", "Transactions", Operation.READ_SALES, "t", "M5 2h10v16l-2.5-2-2.5 2-2.5-2L5 18zM8 7h4M8 11h4"
    ),
    Section("/exceptions", "Exceptions", Operation.READ_EXCEPTIONS, "e", "M10 3l8 14H2zM10 8v4M10 14.5v.5"),
    Section("/posting", "Posting", Operation.READ_LEDGER, "p", "M3 10h11M10 6l4 4-4 4M17 3v14"),
    Section("/proof", "Proof", Operation.READ_SALES, "f", "M10 2l7 3v5c0 4-3 7-7 8-4-1-7-4-7-8V5zM7 10l2 2 4-4"),
    Section("/service-levels", "Service levels", Operation.READ_SERVICE_LEVELS, "l", _DIAL),
    Section("/stock", "Stock", Operation.READ_STOCK, "k", "M3 6l7-3 7 3v8l-7 3-7-3zM3 6l7 3 7-3M10 9v8"),
    Section("/master-data", "Master data", Operation.READ_MASTER_DATA, "m", _DATA),
    Section("/connectors", "Connectors", Operation.READ_CONNECTORS, "c", _PLUG),
    Section("/events", "Events", Operation.READ_EVENTS, "v", "M3 5h14M3 10h14M3 15h9"),
    Section(
        "/people",
        "People",
        Operation.ADMINISTER_ACCESS,
        "u",
        "M10 3a3.500 3.500 0 100 7 3.500 3.500 0 000-7M3 17c0-7 14-7 14 0",
    ),
    Section("/audit", "Audit", Operation.READ_AUDIT, "a", "M10 2a8 8 0 100 16 8 8 0 000-16zM10 6v4l3 2"),
)
"""The menu, in its order."""


def sections_of(principal: Principal) -> list[Section]:
    """What somebody may open."""
    return [section for section in SECTIONS if principal.may(section.operation)]
