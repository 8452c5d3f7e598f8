"""The settings of a flat file: how its rows look, and the mapping of their columns to canonical events.

A column is named by its header, by its position from 1 on where there is no header, by the name of a span (fixed
width), or by a dotted path (JSON; ``$.`` before it starts at the row again inside of ``each``).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Words = tuple[str, ...]
Positive = Annotated[int, Meta(ge=1)]


class Condition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row fits if the text of ``column`` (blanks around it removed) is, or is not, one of these."""

    column: str
    is_in: Words = ()
    not_in: Words = ()
    """``[""]`` means: not empty."""


class Field(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a canonical field comes from, and how its text is read. Exactly one of the sources must be given."""

    column: str = ""
    columns: Words = ()
    """Several, joined by ``separator``: a date and a time, say."""
    header: str = ""
    """A column of the file's header record."""
    constant: str | int | bool | None = None
    """Numbers with decimals are written as text: "0.5"."""
    sum: Words = ()
    """Canonical paths of the same event, added up: ["lines.amount", "lines.taxes.amount"], without what is voided."""
    product: Words = ()
    """Fields of the same struct, multiplied and rounded to the currency where it is known."""
    quotient: Annotated[tuple[str, ...], Meta(max_length=2)] = ()
    """Two fields of the same struct: the first divided by the second, to eight decimals; 0 where the second is 0."""
    row: str = ""
    """The kind of row of the group it is taken from, where not from the first."""
    take: Literal["same", "first", "last"] = "same"
    """Of the rows of a flat group: ``same`` holds that all say the same."""
    separator: str = " "
    type: Literal["", "text", "integer", "decimal", "date", "datetime", "boolean"] = ""
    """Follows from the canonical field; may be written down."""
    format: str = ""
    """Of a date or time, in the codes of strptime; empty: ISO 8601. ``epoch`` and ``epoch_ms``: seconds and
    milliseconds since 1970 in UTC."""
    time_zone: str = ""
    decimal_separator: str | None = None
    thousands_separator: str | None = None
    decimals: Annotated[int, Meta(ge=0, le=8)] = 0
    """Implied decimals: 2 where the file has cents. Only for numbers without a decimal separator of their own."""
    factor: str = ""
    """A decimal to multiply by: "0.01" makes a fraction of a percentage."""
    true: Words = ("true", "t", "yes", "y", "1")
    false: Words = ("false", "f", "no", "n", "0", "")
    """Words of a boolean, in any case."""
    lookup: str = ""
    """A table of ``tables``: what is not in it is a trouble, unless it has ``*``; ``*`` to ``=`` keeps the text."""
    default: str | int | bool | None = None
    """For an empty cell."""
    empty: Words = ()
    """Texts that mean an empty cell: "NULL", "00000000"."""
    optional: bool = False
    """The file may lack the column altogether."""
    sign_column: str = ""
    """The column that says by a word whether the number counts negative."""
    negative: Words = ()
    """Its words for negative: ["CR", "R"]. With these the number's own sign does not count."""
    positive: Words = ()
    """Its words for positive; empty: every other one."""
    negate: bool = False
    absolute: bool = False
    strip_zeros: bool = False
    """Zeros before the text are padding: 00042 is 42."""
    pattern: str = ""
    """A regular expression whose first group (or whole match) is taken; what does not match is a trouble."""
    cut: Annotated[int, Meta(ge=0)] = 0
    """Longer text is cut to so many characters."""
    upper: bool = False
    split: str = ""
    """Between the parts of a list in one cell."""


class ListOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items of a list of the event: lines, tenders, lines.taxes. Each row that fits makes one, or each entry of an
    array of the row (JSON). Items of a list inside a list belong to the last item made before them."""

    into: str
    fields: dict[str, Field]
    rows: Words = ()
    """Kinds of rows; empty: of all that carry data (for a list inside a list: the same as the outer one's)."""
    when: tuple[Condition, ...] = ()
    each: str = ""
    """JSON: the path of the array, inside of the outer item for a list in a list."""
    optional: bool = False
    """JSON: the array may be absent."""
    first: bool = False
    """Only the first row of a group: what every row repeats."""
    distinct: Words = ()
    """Rows of one group with the same text in these columns make one item."""


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of canonical event that rows make."""

    type: str
    """Such as transaction, day.closed, stock.movement, master.product; docs/reference/events.md has all."""
    fields: dict[str, Field]
    lists: tuple[ListOf, ...] = ()
    when: tuple[Condition, ...] = ()
    """Judged by the first row of the group."""
    claim: Field | None = None
    """What the file says a transaction comes to; without it the column of ``total``."""
    version: Field | None = None
    """Transactions that the source sends again when they change: a number (or time) that rises with each change."""


class Rows(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of row."""

    values: Words = ()
    """Texts of the discriminator column; empty: the kind's own name."""
    columns: Words = ()
    """Names of the columns by position, for files without a header line."""
    spans: dict[str, str] = {}
    """Fixed width: name to "first-last", characters counted from 1."""
    role: Literal["data", "header", "trailer", "ignored"] = "data"
    """``header`` and ``trailer`` are the file's own; ``ignored`` rows are read over, and counted as such."""
    starts: bool = False
    """A row of this kind begins a new group."""


class Check(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says of itself, against what was in it. Where they differ the whole file has no effect."""

    claimed: Field
    """A column of the trailer record, or with ``header`` one of the header record."""
    rows: Words = ()
    """Kinds that count; empty: all that carry data."""
    when: tuple[Condition, ...] = ()
    sum: Field | None = None
    """The number that is added up; without it rows are counted."""
    per: Literal["row", "group"] = "row"
    """``group``: only the first row that fits of each group."""
    extra: int = 0
    """Added to a count: 2 where the file counts its header and trailer, too."""


class Flatfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of rows, and what they mean."""

    format: Literal["csv", "fixed", "json"] = "csv"
    """``json``: JSON Lines."""
    encoding: str = "utf-8"
    """A byte-order mark counts more than this."""
    delimiter: str = ","
    quote: str = '"'
    """Empty: a quote is a character like any other."""
    escape: str = ""
    """The character that makes the next one plain, where quotes are not doubled."""
    header: bool = True
    """CSV: the first row names the columns."""
    columns: Words = ()
    """CSV without header: the names of the columns by position."""
    spans: dict[str, str] = {}
    """Fixed width: the columns of every kind of row."""
    record_length: Annotated[int, Meta(ge=0)] = 0
    """Fixed width without line ends: the bytes of a row."""
    skip_lines: Annotated[int, Meta(ge=0)] = 0
    """Lines before the first that counts."""
    comment: str = ""
    """Lines that begin so are not read."""
    last_line_end: Literal["any", "needed"] = "any"
    """``needed``: a last line without line end is a trouble, for sources that always write one. A file that was cut
    off is then found out even without a trailer."""
    short_rows: bool = False
    """Rows may end before their last columns, which are then empty."""
    decimal_separator: str = "."
    thousands_separator: str = ""
    date_format: str = ""
    datetime_format: str = ""
    time_zone: str = ""
    """IANA name; of times that do not name one themselves."""
    discriminator: str = ""
    """The column (fixed width: or "first-last") that says of which kind a row is."""
    rows: dict[str, Rows] = {}
    unknown_rows: Literal["trouble", "ignored"] = "trouble"
    group_by: Words = ()
    """Columns whose same texts make adjacent rows one event; empty: every row is one, unless a kind ``starts``."""
    tables: dict[str, dict[str, str]] = {}
    events: Annotated[tuple[Event, ...], Meta(min_length=1)]
    """The first whose conditions fit is made."""
    other_groups: Literal["trouble", "ignored"] = "trouble"
    """What happens where no event's conditions fit."""
    checks: tuple[Check, ...] = ()
    most_row_bytes: Annotated[int, Meta(ge=64, le=2**26)] = 1_048_576
    most_row_lines: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Lines that a quoted text may span."""
    most_group_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    most_troubles: Positive = 10_000
    """With more the file is not what the mapping describes, and fails whole."""
