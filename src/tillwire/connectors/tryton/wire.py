"""Tryton's JSON-RPC on the wire: values with types, and replies sorted into our tree of errors.

Tryton answers most failures with status 200 and ``{"error": [kind, [message, ...]]}``; its web server and whatever
stands in front of it answer with a status and HTML.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any

from tillwire import clock
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    TillwireError,
    TransientError,
)

_LOCKED = re.compile(r"could not obtain lock|deadlock detected|could not serialize|lock timeout", re.IGNORECASE)
_CUT_OFF = re.compile(
    r"server closed the connection|terminating connection|consuming input failed|connection (is|already) closed"
    r"|connection (was )?lost|connection reset|sending (query|data) .*failed",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^>]*>")


class ErpFaultError(RejectedError):
    """The ERP broke down over a request instead of judging it; the message is what its programmers would see."""


class SessionExpiredError(AuthenticationError):
    """The session is over, so the call was not looked at: log in again and repeat it."""


class ErpWarningError(TillwireError):
    """The ERP wants ``text`` confirmed under ``name`` before it goes on; it has done nothing."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name
        self.text = text


def encode(value: object) -> bytes:
    """``value`` as Tryton's JSON: decimals, dates and bytes are wrapped with their class."""
    return json.dumps(value, default=_wrap, separators=(",", ":")).encode()


def decode(payload: bytes) -> Any:
    """The reverse of ``encode``. Raises ``ValueError`` on what is not JSON, such as a cut-off reply."""
    return json.loads(payload, object_hook=_unwrap, parse_float=Decimal)


def _wrap(value: object) -> object:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{part: getattr(value, part) for part in parts}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, bytes):
        return {"__class__": "bytes", "base64": base64.encodebytes(value).decode()}
    raise TypeError(f"Tryton's JSON has no form for {type(value).__name__}")


def _unwrap(found: dict[str, Any]) -> Any:
    match found.get("__class__"):
        case "Decimal":
            return Decimal(found["decimal"])
        case "date":
            return date(found["year"], found["month"], found["day"])
        case "datetime":
            parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
            return datetime(*(found[part] for part in parts))  # noqa: DTZ001  Tryton's own times carry no zone
        case "time":
            return time(found["hour"], found["minute"], found["second"], found["microsecond"])
        case "timedelta":
            return timedelta(seconds=float(found["seconds"]))
        case "bytes":
            return base64.decodebytes(found["base64"].encode())
        case _:
            return found


def result_of(payload: bytes, *, writes: bool) -> Any:
    """The result in a reply with status 200. ``writes`` says whether the call could have changed anything.

    Raises what ``error_of`` returns, and ``OutcomeUnknownError`` (a read: ``TransientError``) for half a reply.
    """
    try:
        reply = decode(payload)
    except ValueError as cause:
        raise lost("the reply was cut off", writes=writes) from cause
    if not isinstance(reply, dict) or not reply.keys() & {"result", "error"}:
        raise lost("the reply is not Tryton's", writes=writes)
    if "error" in reply:
        raise error_of(reply["error"], writes=writes)
    return reply["result"]


def error_of(error: object, *, writes: bool) -> TillwireError:
    """The exception for the ``error`` of a JSON-RPC reply; the ERP has rolled its transaction back."""
    match error:
        case ["UserWarning", [str(name), str(text), *_]]:
            return ErpWarningError(name, text)
        case ["ConcurrencyException", message, *_]:
            return TransientError(f"the ERP's records were in use: {message}")
        case ["LoginException", [_, str(text), *_]]:
            return AuthenticationError(f"the ERP asks for more to log in: {text}")
        case ["UserError", [str(message), *more]]:
            details = str(more[0]) if more and more[0] else ""
            return _refusal(" ".join(part for part in (message, details) if part))
        case [str(text), *_]:
            return _breakdown(text, writes=writes)
        case _:
            return ErpFaultError(f"the ERP failed: {error!r}")


def _refusal(text: str) -> TillwireError:
    return TransientError(f"the ERP's records were in use: {text}") if _LOCKED.search(text) else RejectedError(text)


def _breakdown(text: str, *, writes: bool) -> TillwireError:
    if _LOCKED.search(text):
        return TransientError(f"the ERP's records were in use: {text}")
    if _CUT_OFF.search(text):
        # It may have been cut off while it waited for its commit.
        return lost(f"the ERP lost its database: {text}", writes=writes)
    return ErpFaultError(f"the ERP failed: {text}")


def status_error(status: int, headers: Mapping[str, str], payload: bytes, *, writes: bool) -> TillwireError:
    """The exception for a reply whose status is not 200. Said by Tryton's web server or by one in front of it."""
    said = f"the ERP answered {status}: {_plain(payload)}"
    if status == 401:
        return SessionExpiredError(said)
    if status == 403:
        return AuthenticationError(said)
    if status == 429:
        return RateLimitedError(said, retry_after_s=retry_after_s(headers))
    if status == 503:
        if _CUT_OFF.search(said):
            return lost(said, writes=writes)
        return TransientError(said, retry_after_s=retry_after_s(headers))
    if status == 404:
        # Tryton says "not found" of its database also while PostgreSQL is down.
        return TransientError(f"{said}; is the database's name right, and is it up?")
    if 300 <= status < 400:
        return ConfigurationError(f"{said}; the ERP's URL leads elsewhere: set the one it leads to")
    if 400 <= status < 500:
        return RejectedError(said)
    return lost(said, writes=writes)


def lost(what: str, *, writes: bool) -> TillwireError:
    """A reply that cannot be trusted: nothing is known of a write; a read can simply be made again."""
    return OutcomeUnknownError(what) if writes else TransientError(what)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the header ``Retry-After`` (seconds or an HTTP date); none if it is missing or unreadable."""
    stated = headers.get("retry-after", "").strip()
    if not stated:
        return None
    if stated.isdigit():
        return float(stated)
    try:
        moment = parsedate_to_datetime(stated)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - clock.now()).total_seconds())


def _plain(payload: bytes, limit: int = 300) -> str:
    text = html.unescape(_TAG.sub(" ", payload.decode("utf-8", "replace")))
    return " ".join(text.split())[:limit]
