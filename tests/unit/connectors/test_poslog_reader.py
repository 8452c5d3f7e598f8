"""Streams of XML: limits, refusals, encodings, and that every record can be read again alone."""

from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Iterator
from io import BytesIO, RawIOBase

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from unit.connectors.poslog_parts import cash, records, retail, sale, transaction

from tillwire.connectors.inbound import MalformedError, Source, body_source
from tillwire.connectors.poslog import SPEC, PoslogConnector, PoslogSettings
from tillwire.connectors.registry import examples_folder

SALE = transaction(retail(sale(), cash("10.00"), total="10.00"))
EXAMPLES = {one.file: (one, (examples_folder(SPEC) / one.file).read_bytes()) for one in SPEC.examples}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\x00\x01garbage", "does not begin with XML"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"<POSLog>", "cut off"),
        (b"<POSLog><Transaction>", "cut off"),
        (f"<POSLog>{SALE}".encode(), "cut off"),
        (f"<POSLog>{SALE}</Other>".encode(), "not open"),
        (b"<POSLog></POSLog>tail", "outside"),
        (b"<catalog><book/></catalog>", "no POSLog"),
        (b"<!DOCTYPE POSLog><POSLog/>", "DOCTYPE"),
        (b'<!DOCTYPE p [<!ENTITY a "b">]><POSLog>&a;</POSLog>', "DOCTYPE"),
        (b'<!DOCTYPE p SYSTEM "file:///etc/passwd"><POSLog/>', "DOCTYPE"),
        (b"<POSLog><Transaction><!DOCTYPE x></Transaction></POSLog>", "declaration"),
        (b"<POSLog><Transaction>&lol;</Transaction></POSLog>", "undefined entity"),
        (b"<POSLog><Transaction><a></b></Transaction></POSLog>", "mismatched tag"),
        (b"<POSLog><Transaction a='1' a='2'/></POSLog>", "duplicate attribute"),
        (b"<POSLog><Transaction>" + b"<a>" * 100 + b"</a>" * 100 + b"</Transaction></POSLog>", "deep"),
        (b"<a>" * 30, "levels"),
        (b"<POSLog " + b"a" * 100_000 + b"='1'/>", "without its end"),
        (b"<POSLog><Transaction>" + b"<a/>" * 500_000 + b"</Transaction></POSLog>", "most_elements"),
    ],
)
def test_what_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        records(text)


def test_a_gigantic_transaction_is_refused() -> None:
    text = b"<POSLog><Transaction><x>" + b"y" * 3_000_000 + b"</x></Transaction></POSLog>"
    with pytest.raises(MalformedError, match="most_record_bytes"):
        records(text, most_record_bytes=1000)


class Endless(RawIOBase):
    """A stream that never ends."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head, self.body, self.sent = head, body, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def read(self, size: int = -1) -> bytes:
        head, self.head = self.head, b""
        self.sent += size
        return head or (self.body * (size // len(self.body)))


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"", b"\0"),
        (b"", b"garbage "),
        (b"", b" "),
        (b"<", b"a"),
        (b"<a>", b"text "),
        (b"<a>", b"<b/>"),
        (b"<!--", b"-"),
        (b"<POSLog><Transaction>", b"<a>"),
        (b"<POSLog><Transaction><![CDATA[", b"x"),
        (b"<POSLog><Transaction x='", b"x"),
    ],
)
def test_endless_garbage_fails_soon_in_bounded_memory(head: bytes, body: bytes) -> None:
    stream = Endless(head, body)
    tracemalloc.start()
    with pytest.raises(MalformedError):
        list(PoslogConnector(PoslogSettings()).read(Source(stream)))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stream.sent < 64 << 20
    assert peak < 100 << 20


class Many(RawIOBase):
    """A log of many transactions, made while it is read."""

    def __init__(self, count: int) -> None:
        self.parts: Iterator[bytes] = (
            [b"<POSLog>"] + [transaction(retail(sale()), sequence=i).encode() for i in range(count)] + [b"</POSLog>"]
        ).__iter__()

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def read(self, size: int = -1) -> bytes:
        return b"".join(part for part, _ in zip(self.parts, range(100), strict=False))


def test_every_transaction_is_read_across_chunks() -> None:
    found = list(PoslogConnector(PoslogSettings()).read(Source(Many(1000))))  # type: ignore[arg-type]
    assert [one.events[0].data.sequence for one in found] == list(range(1000))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


class Dribble(BytesIO):
    """Gives one to three bytes at a time."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(1 + self.tell() % 3)


@pytest.mark.parametrize("file", EXAMPLES)
def test_chunks_make_no_difference(file: str) -> None:
    example, body = EXAMPLES[file]
    connector = SPEC.configure(example.settings, of=file)
    assert list(connector.read(Source(Dribble(body)))) == list(connector.read(body_source(body)))


@pytest.mark.parametrize("file", EXAMPLES)
def test_a_record_is_readable_alone(file: str) -> None:
    example, body = EXAMPLES[file]
    connector = SPEC.configure(example.settings, of=file)
    for one in connector.read(body_source(body)):
        (again,) = connector.read(body_source(one.raw))
        assert (again.events, again.troubles, again.claims, again.ignored) == (
            one.events,
            one.troubles,
            one.claims,
            one.ignored,
        )
        assert again.raw == one.raw


def test_comments_cdata_and_names_inside_do_not_end_a_transaction() -> None:
    noise = "<!-- </Transaction> <x --><Note><![CDATA[</Transaction><Transaction>]]></Note><?pi </Transaction>?>"
    nested = "<x:Transaction xmlns:x='u'><x:Transaction/></x:Transaction><Transaction><a b='>'/></Transaction>"
    (made,) = records(f"<POSLog>{SALE.replace('<RetailTransaction>', noise + nested + '<RetailTransaction>')}</POSLog>")
    assert made.events[0].data.total == 10
    assert made.raw.count(b"</Transaction>") == 4


@pytest.mark.parametrize(
    "codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso-2022-jp", "cp932", "euc-jp"]
)
def test_encodings(codec: str) -> None:
    text = SALE.replace("<ItemID>A</ItemID>", "<ItemID>A</ItemID><Description>お茶</Description>")
    label = codec.removesuffix("-sig") if codec != "cp932" else "Shift_JIS"
    body = f'<?xml version="1.0" encoding="{label}"?>\n<POSLog>{text}</POSLog>'.encode(codec)
    (made,) = records(body)
    assert made.events[0].data.lines[0].description == "お茶"
    assert made.place == "Transaction 1, line 2"
    (again,) = records(made.raw)
    assert again.events == made.events


def test_text_in_another_encoding_than_it_says() -> None:
    text = SALE.replace("<ItemID>A</ItemID>", "<ItemID>A</ItemID><Description>Köln</Description>")
    body = f'<?xml version="1.0" encoding="UTF-8"?><POSLog>{text}</POSLog>'.encode("cp1252")
    (made,) = records(body, fallback_encodings=("cp1252",))
    assert (made.events[0].data.lines[0].description, "cp1252" in made.place) == ("Köln", True)
    with pytest.raises(MalformedError, match="none of the encodings"):
        records(body, fallback_encodings=("ascii",))


def test_characters_that_xml_does_not_allow_are_told() -> None:
    for noise in ("\x1b@", "&#27;", "&#x0;"):
        (made,) = records(
            f"<POSLog>{SALE.replace('<RetailTransaction>', f'<Note>{noise}</Note><RetailTransaction>')}</POSLog>"
        )
        assert "U+FFFD" in made.place
        assert made.events[0].data.total == 10


def test_logs_one_after_another_and_without_transactions() -> None:
    one = f'<?xml version="1.0"?><POSLog>{SALE}</POSLog>\n'
    assert len(records(one * 3)) == 3
    assert len(records(SALE)) == 1
    for empty in ('<?xml version="1.0"?><POSLog xmlns="u"></POSLog>', "<POSLog/>"):
        (none,) = records(empty)
        assert none.ignored == "a POSLog without transactions"
        assert records(none.raw) == [none]


def _read_all(body: bytes, given: dict[str, object]) -> None:
    """Nothing but ``MalformedError`` may come out, and no record without a word."""
    connector = SPEC.configure(given, of="test")
    try:
        for one in connector.read(body_source(body)):
            assert one.events or one.troubles or one.ignored
    except MalformedError:
        pass


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_broken_bytes_never_crash(data: st.DataObject) -> None:
    example, body = EXAMPLES[data.draw(st.sampled_from(sorted(EXAMPLES)))]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(body) - 1, 0)))
        end = at + data.draw(st.integers(0, 30))
        body = body[:at] + data.draw(st.binary(max_size=6)) + body[end:]
    _read_all(body, dict(example.settings))


WILD = st.sampled_from(
    ["", " ", "-1", "0", "-0.00", "1e9", "1E-20", "NaN", "Infinity", "999999999999999", "9" * 40, "0.123456789123", "true",
     "x" * 600, "2025-02-30", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "24:00:00", "４", "a/b;c|d", "\u00a0"]
)  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_wild_values_and_missing_elements_never_crash(data: st.DataObject) -> None:
    import re

    example, body = EXAMPLES[data.draw(st.sampled_from(sorted(EXAMPLES)))]
    text = body.decode("cp932" if "sjis" in example.file else "utf-8")
    for _ in range(data.draw(st.integers(1, 6))):
        spans = [found.span(1) for found in re.finditer(r"[>\"]([^<>\"]+)(?=[<\"])", text)]
        start, end = data.draw(st.sampled_from(spans))
        text = text[:start] + data.draw(WILD) + text[end:]
        leaves = [found.span() for found in re.finditer(r"<([\w:]+)[^<>]*>[^<]*</\1>", text)]
        if leaves and data.draw(st.booleans()):
            start, end = data.draw(st.sampled_from(leaves))
            text = text[:start] + data.draw(st.sampled_from(["", text[start:end] * 2])) + text[end:]
    _read_all(text.encode(), dict(example.settings))
