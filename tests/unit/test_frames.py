"""Frames: byte strings packed into one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwire.events.frames import pack, unpack


@given(st.lists(st.binary(max_size=200), max_size=30))
def test_what_is_packed_comes_back(pieces: list[bytes]) -> None:
    assert unpack(pack(pieces)) == pieces


def test_baskets_that_repeat_shrink() -> None:
    pieces = [b'{"sku":"milk","quantity":"1","unit_price":"2.00","amount":"2.00"}'] * 200
    assert len(pack(pieces)) < len(b"".join(pieces)) / 5


@pytest.mark.parametrize("damage", [b"", b"no frame", pack([b"a" * 500])[:-9], b"\x00" + pack([b"a"])])
def test_damage_is_told(damage: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        unpack(damage)
