"""OData batches as the simulated Finance reads them: one change set of POSTs, taken or refused as a whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import uuid4

from tillwire.connectors.simulation import Answer, Request

_BOUNDARY = re.compile(r"^multipart/mixed; *boundary=([A-Za-z0-9_-]{1,70})$")


class BatchError(Exception):
    """A batch that does not keep to the standard."""


def requests_of(request: Request) -> list[Request]:
    """The requests of the only change set in a batch. Raises ``BatchError`` that says what is wrong."""
    (only,) = _one(_parts(request.headers.get("content-type", ""), request.body), "a batch of one change set")
    headers, body = only
    found = []
    numbers = set()
    for inner, content in _parts(headers.get("content-type", ""), body):
        if inner.get("content-type") != "application/http":
            raise BatchError("a part of a change set is application/http")
        if inner.get("content-transfer-encoding") != "binary" or not inner.get("content-id"):
            raise BatchError("a part of a change set is binary and has a Content-ID")
        numbers.add(inner["content-id"])
        line, _, rest = content.partition(b"\r\n")
        given, text = _head(rest)
        words = line.decode("ascii", "replace").split(" ")
        if len(words) != 3 or words[0] != "POST" or words[2] != "HTTP/1.1":
            raise BatchError(f"no POST of HTTP/1.1: {line[:80]!r}")
        found.append(Request("POST", words[1], {}, given, text))
    if not found or len(numbers) != len(found):
        raise BatchError("Content-IDs are unique")
    return found


def answer_of(answers: Sequence[Answer]) -> Answer:
    """The batch's answer: every request's, or the only one that refuses them all."""
    outer, inner = f"batchresponse_{uuid4()}", f"changesetresponse_{uuid4()}"
    refused = next((answer for answer in answers if answer.status >= 400), None)
    if refused is not None:
        content = _part(outer, refused, None) + f"--{outer}--\r\n".encode()
    else:
        content = f"--{outer}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n".encode()
        content += b"".join(_part(inner, answer, number) for number, answer in enumerate(answers, start=1))
        content += f"--{inner}--\r\n--{outer}--\r\n".encode()
    return Answer(200, content, {"Content-Type": f"multipart/mixed; boundary={outer}", "OData-Version": "4.0"})


def _part(boundary: str, answer: Answer, number: int | None) -> bytes:
    told = f"Content-ID: {number}\r\n" if number is not None else ""
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    head = (
        f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{told}\r\n"
        f"HTTP/1.1 {answer.status} {'Created' if answer.status == 201 else 'Bad Request'}\r\n{headers}\r\n"
    )
    return head.encode() + answer.body + b"\r\n"


def _parts(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise BatchError(f"multipart/mixed with a boundary is expected, not {content_type!r}")
    mark = b"--" + found.group(1).encode()
    pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if len(pieces) < 3 or pieces[-1].strip() != b"--" or pieces[0].strip():
        raise BatchError(f"the parts of {found.group(1)} do not begin and end with its boundary")
    return [_head(piece.removeprefix(b"\r\n")) for piece in pieces[1:-1]]


def _head(piece: bytes) -> tuple[dict[str, str], bytes]:
    head, blank, body = piece.partition(b"\r\n\r\n")
    if not blank:
        raise BatchError("a blank line ends the headers of a part")
    headers = {}
    for line in head.split(b"\r\n"):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, body


def _one(parts: Sequence[tuple[dict[str, str], bytes]], what: str) -> Sequence[tuple[dict[str, str], bytes]]:
    if len(parts) != 1:
        raise BatchError(f"{what} is expected, not {len(parts)} parts")
    return parts
