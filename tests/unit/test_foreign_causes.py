"""The cause of a message that cannot be mapped: one for all rows with the same fault."""

from __future__ import annotations

import pytest

from tillwire.exceptions.causes import foreign_cause


@pytest.mark.parametrize(
    ("pointer", "cause"),
    [
        ("line 17, Qty", "schema_drift:franchise-17:Qty"),
        ("line 9, Unit 2", "schema_drift:franchise-17:Unit 2"),
        ("line 17", "schema_drift:franchise-17"),
        ("/orders/3/lines/12", "schema_drift:franchise-17:/orders/*/lines/*"),
        ("line item", "schema_drift:franchise-17:line item"),
        ("", "schema_drift:franchise-17"),
    ],
)
def test_neither_line_nor_element_is_part_of_the_cause(pointer: str, cause: str) -> None:
    assert foreign_cause("schema_drift", pointer, "franchise-17") == cause
