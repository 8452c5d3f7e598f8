"""Several rows made by one call: an OData batch with one change set, which Finance takes as a whole or not at all.

OData 4.0, part 1, 11.7: a change set is multipart/mixed in multipart/mixed; its requests and responses are
application/http.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message
from email.parser import BytesParser
from typing import NamedTuple
from uuid import uuid4

import msgspec

MOST_ROWS = 100
"""So many rows are made by one call."""


class Part(NamedTuple):
    """The response to one request of a batch."""

    status: int
    body: bytes


def change_set(entity_set: str, contents: Sequence[dict[str, object]]) -> tuple[str, bytes]:
    """The content type and the body of a batch that makes these rows."""
    outer, inner = f"batch_{uuid4()}", f"changeset_{uuid4()}"
    lines = [f"--{outer}", f"Content-Type: multipart/mixed; boundary={inner}", ""]
    for number, content in enumerate(contents, start=1):
        lines += [
            f"--{inner}",
            "Content-Type: application/http",
            "Content-Transfer-Encoding: binary",
            f"Content-ID: {number}",
            "",
            f"POST /data/{entity_set} HTTP/1.1",
            "Content-Type: application/json",
            "Accept: application/json",
            "",
            msgspec.json.encode(content).decode(),
        ]
    lines += [f"--{inner}--", f"--{outer}--", ""]
    return f"multipart/mixed; boundary={outer}", "\r\n".join(lines).encode()


def responses(content_type: str, body: bytes) -> list[Part]:
    """The responses in a batch's answer, in their order; of a change set that was refused there is one. Raises
    ``ValueError`` for what is no such answer."""
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    if not message.is_multipart() or message.defects:
        raise ValueError(f"it has no parts: {content_type}")
    return [_response(part) for part in message.walk() if not part.is_multipart()]


def _response(part: Message) -> Part:
    if part.get_content_type() != "application/http":
        raise ValueError(f"a part is {part.get_content_type()}, not application/http")
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    head, _, body = content.lstrip(b"\r\n").replace(b"\r\n", b"\n").partition(b"\n\n")
    words = head.split(b"\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise ValueError(f"a part begins with {head[:80]!r}")
    return Part(int(words[1]), body)
