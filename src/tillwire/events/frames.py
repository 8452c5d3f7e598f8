"""Frames: several byte strings packed and compressed into one, as intake groups and event chunks are stored.

Baskets repeat their field names and products: a hundred of them shrink about tenfold, which saves more time in writing
and syncing than the compression takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import zstandard

LARGEST_GROUP_BYTES = 256 * 1024 * 1024
"""No group is ever larger unpacked; a larger size in a stored frame means damage."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[bytes])


def pack(pieces: Sequence[bytes]) -> bytes:
    """The byte strings as one compressed string."""
    return zstandard.ZstdCompressor(level=1).compress(_encoder.encode(pieces))


def unpack(packed: bytes) -> list[bytes]:
    """What ``pack`` was given. Raises ``ValueError`` on damaged content."""
    try:
        return _decoder.decode(zstandard.ZstdDecompressor().decompress(packed, max_output_size=LARGEST_GROUP_BYTES))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise ValueError(f"a stored frame is damaged: {error}") from error
