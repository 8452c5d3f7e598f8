"""Sequence numbers as runs, as PostgreSQL's multiranges write them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.sales.completeness import _multirange


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], "{}"),
        ([5], "{[5,6)}"),
        ([3, 1, 2, 7], "{[1,4),[7,8)}"),
        ([2, 2, 1, 1], "{[1,3)}"),
        ([0, 2, 4], "{[0,1),[2,3),[4,5)}"),
        ([2**62, 2**62 + 1], f"{{[{2**62},{2**62 + 2})}}"),
    ],
)
def test_numbers_become_runs(numbers: list[int], expected: str) -> None:
    assert _multirange(numbers) == expected


@given(st.lists(st.integers(0, 60)))
def test_runs_hold_exactly_the_numbers_and_do_not_touch(numbers: list[int]) -> None:
    runs = [(int(a), int(b)) for a, b in re.findall(r"\[(\d+),(\d+)\)", _multirange(numbers))]
    assert {n for first, end in runs for n in range(first, end)} == set(numbers)
    assert all(end < following for (_, end), (following, _) in zip(runs, runs[1:], strict=False))
