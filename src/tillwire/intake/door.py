"""The door: raw bytes in, prepared events or refusals out. Pure: no database, no clock.

What is refused here is structurally wrong (RFC 9457 problem, with a JSON pointer to the field); what is merely wrong in
business is accepted and raised as an exception later.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import msgspec

from tillwire.events.partitions import partition_for
from tillwire.intake.card_numbers import DETAIL, first_card_number
from tillwire.intake.depth import MOST_DEPTH, is_deeper
from tillwire.intake.light import LIGHT_DECODER, LightTransaction, numbers_are_sound
from tillwire.intake.sound import first_misspelt, first_unsound
from tillwire.intake.texts import first_unfit
from tillwire.model.event import EVENT_DECODER, MASTER_TYPES, business_date_of, key_of, type_of


class Prepared(msgspec.Struct, gc=False):
    """An event that may be stored: its keys, and its raw bytes untouched."""

    id: str
    source: str
    type: str
    key: str
    partition: int
    raw: bytes
    store: str | None
    business_date: date | None


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why an event was refused, with a JSON pointer into it."""

    title: str
    detail: str
    pointer: str = ""
    id: str | None = None


class BodyRefused(Exception):
    """The request body as a whole is no list of events."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


_BATCH_DECODER = msgspec.json.Decoder(list[msgspec.Raw])
_PATH = re.compile(r" - at `(?:key in )?\$([^`]*)`$")
_MOST_WORDS = 500
"""Characters of a detail: it may quote the event, and must not send a hostile one back."""
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STEP = re.compile(r"\.([^.\[]+)|\[([^\]]*)\]")


def pointer_of(error: msgspec.ValidationError, prefix: str = "") -> tuple[str, str]:
    """The plain words of a validation error and the JSON pointer of the place it names."""
    text = str(error)
    found = _PATH.search(text)
    if found is None:
        return text[:_MOST_WORDS], prefix
    steps = "".join("/" + (name or index) for name, index in _STEP.findall(found.group(1)))
    return text[: min(found.start(), _MOST_WORDS)], prefix + steps


def read_event(raw: bytes, most_depth: int = MOST_DEPTH) -> Prepared | Refusal:
    """One event from its raw JSON, or why it is refused."""
    try:
        event = LIGHT_DECODER.decode(raw)
        if isinstance(event.data, LightTransaction) and not numbers_are_sound(event.data):
            event = EVENT_DECODER.decode(raw)  # the long way: it says which number is wrong, or that none is
        if is_deeper(raw, event.data, most_depth):
            return Refusal("nested too deep", f"the event is nested more than {most_depth} deep, which is the limit")
        return _judged(event, raw)
    except msgspec.ValidationError as error:
        detail, pointer = pointer_of(error)
        return Refusal("invalid event", detail, pointer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Refusal("malformed JSON", str(error))
    except RecursionError:
        return Refusal("nested too deep", "the event is nested deeper than the limit")


def _judged(event: Any, raw: bytes) -> Prepared | Refusal:
    message = event.data
    if not isinstance(message, LightTransaction):
        unsound = first_unsound(message)
        if unsound is not None:
            detail = "a number must be finite, below 10^15 and have at most 8 decimals"
            return Refusal("invalid event data", detail, "/data" + unsound, event.id)
        misspelt = first_misspelt(raw)
        if misspelt is not None:
            detail = "a number is written with the digits 0 to 9, a sign, a point and an exponent, nothing else"
            return Refusal("invalid event data", detail, "/data" + misspelt, event.id)
    unfit = first_unfit(event)
    if unfit is not None:
        return Refusal("invalid event", unfit[1], unfit[0], event.id)
    if b"\\" in raw and _NUL.search(raw):
        return Refusal("invalid event", "the character U+0000 is not allowed in text", "", event.id)
    card = first_card_number(raw)
    if card is not None:
        return Refusal("card number", DETAIL, card, event.id)
    event_type = type_of(event)
    store = None if event_type in MASTER_TYPES else message.store
    return Prepared(
        event.id,
        event.source,
        event_type,
        key_of(message),
        partition_for(event_type, store),
        raw,
        store,
        business_date_of(message),
    )


def _checked_text(body: bytes) -> None:
    if body.isascii():
        return
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8: byte 0x{body[error.start]:02x} at position {error.start}"
        raise BodyRefused(Refusal("wrong encoding", detail)) from error


def read_one(body: bytes, *, most_depth: int = MOST_DEPTH) -> Prepared | Refusal:
    """A body of one event (``application/cloudevents+json``). Raises ``BodyRefused`` if it is not UTF-8."""
    _checked_text(body)
    return read_event(body, most_depth)


def read_batch(body: bytes, *, most_events: int, most_depth: int = MOST_DEPTH) -> list[Prepared | Refusal]:
    """A body of many events (``application/cloudevents-batch+json``), each judged by itself.

    Raises ``BodyRefused`` if the body is no JSON array or has more than ``most_events``.
    """
    _checked_text(body)
    try:
        raws = _BATCH_DECODER.decode(body)
    except RecursionError as error:
        raise BodyRefused(Refusal("nested too deep", "the body is nested deeper than the limit")) from error
    except msgspec.DecodeError as error:
        raise BodyRefused(Refusal("malformed batch", f"the body is no JSON array of events: {error}")) from error
    if len(raws) > most_events:
        detail = f"{len(raws)} events in one batch; the limit is {most_events}: send several batches"
        raise BodyRefused(Refusal("batch too large", detail))
    return [read_event(bytes(raw), most_depth) for raw in raws]
