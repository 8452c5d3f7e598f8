"""From the rows of a group to one canonical event: the mapping, compiled and checked once."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any

import msgspec

from tillwire.connectors.flatfile.fields import NOTHING, Mapped, MappingError, matcher, text_of
from tillwire.connectors.flatfile.rows import ABSENT, JsonRow, Row
from tillwire.connectors.flatfile.settings import Event, Field, Flatfile, ListOf
from tillwire.connectors.flatfile.targets import Target, event_type, missing, target_of
from tillwire.connectors.inbound import Claim, Outgoing
from tillwire.errors import ConfigurationError
from tillwire.model.event import MESSAGES
from tillwire.model.money import ZERO, is_sound, rounded
from tillwire.model.transaction import SELLING, Transaction

Data = dict[str, Any]
_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_INDEX = re.compile(r"\[[^\]]*\]")
_EIGHT = Decimal("0.00000001")


def _put(into: Data, path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        into = into.setdefault(part, {})
    into[path[-1]] = value


def _compiled(
    fields: dict[str, Field], struct: type[Any], settings: Flatfile, where: str, further: set[str]
) -> list[tuple[tuple[str, ...], Mapped]]:
    """Fields by path. Raises ``ConfigurationError`` for what is unknown, and for what is required and not mapped."""
    found: list[tuple[tuple[str, ...], Mapped]] = []
    for path, field in fields.items():
        place = f"{where}.fields.{path}"
        target = target_of(struct, path, place)
        if target.kind in ("struct", "structs", "map"):
            how = "under lists" if target.kind == "structs" else f"its parts, such as {path}.x"
            raise ConfigurationError(f"{place}: map {how}")
        found.append((tuple(path.split(".")), Mapped(field, target, settings, place)))
    lacking = missing(struct, set(fields) | further)
    if lacking:
        raise ConfigurationError(f"{where}.fields: {struct.__name__} needs {', '.join(lacking)}")
    return sorted(found, key=lambda one: one[1].computed)


class _List:
    """A list of the event, compiled, with the lists inside of it."""

    def __init__(self, mapping: ListOf, struct: type[Any], settings: Flatfile, where: str) -> None:
        self.mapping = mapping
        self.where = where
        self.path = tuple(mapping.into.split("."))
        self.inner: list[_List] = []
        self.fits = matcher(mapping.when, where)
        self.kinds = frozenset(mapping.rows)
        unknown = self.kinds - settings.rows.keys()
        if unknown:
            raise ConfigurationError(f"{where}.rows: there is no kind of row {sorted(unknown)[0]!r}")
        if mapping.each and settings.format != "json":
            raise ConfigurationError(f"{where}.each: only JSON has arrays")
        self.struct = struct
        self.settings = settings
        self.fields: list[tuple[tuple[str, ...], Mapped]] = []

    def compile(self) -> None:
        """Check and compile the fields, once the inner lists are known."""
        self.fields = _compiled(
            self.mapping.fields, self.struct, self.settings, self.where, {one.path[-1] for one in self.inner}
        )

    def takes(self, row: Row) -> bool:
        """True if a row makes an item of this list."""
        return (not self.kinds or row.kind in self.kinds) and self.fits(row)

    def places(self, row: Row) -> Iterator[Row]:
        """What of a row makes items: itself, or the entries of its array. Raises ``MappingError``."""
        path = self.mapping.each
        if not path or not isinstance(row, JsonRow):
            yield row
            return
        found = row.get(path)
        if found is ABSENT or found == "":
            if not self.mapping.optional:
                raise MappingError(row, path, "is missing")
            return
        if not isinstance(found, list):
            raise MappingError(row, path, "is no list", found)
        for number, entry in enumerate(found):
            if not isinstance(entry, dict):
                raise MappingError(row, f"{path}[{number}]", "is no object", entry)
            yield row.item(entry)


class _Building:
    """One event on its way: its data, and which row each part was made from."""

    def __init__(self) -> None:
        self.data: Data = {}
        self.rows: dict[int, Row] = {}
        self.last: dict[tuple[str, ...], Data] = {}
        self.seen: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        self.used: set[int] = set()


class EventMapping:
    """One kind of event. Raises ``ConfigurationError`` that names the path, if the mapping cannot work."""

    def __init__(self, mapping: Event, settings: Flatfile, where: str) -> None:
        self.type = event_type(mapping.type, where)
        self.struct = MESSAGES[self.type]
        self.fits = matcher(mapping.when, where)
        self._settings = settings
        self._kinds = bool(settings.rows)
        self._lists, flat = self._make_lists(mapping, settings, where)
        self.all_lists = flat
        self._fields = _compiled(
            mapping.fields, self.struct, settings, where, {".".join(one.path) for one in self._lists}
        )
        for _, mapped in self._fields:
            if mapped.field.row and mapped.field.row not in settings.rows:
                raise ConfigurationError(f"{mapped.where}.row: there is no kind of row {mapped.field.row!r}")
        self._scalar_kinds = {mapped.field.row for _, mapped in self._fields if mapped.field.row}
        self._scalar_kinds |= {name for name, kind in settings.rows.items() if kind.starts}
        money = Target("decimal")
        claim = mapping.claim or mapping.fields.get("total")
        self._claim = None
        if claim is not None and (claim.column or claim.columns) and self.struct is Transaction:
            self._claim = Mapped(claim, money, settings, f"{where}.claim")
        if mapping.claim is not None and self._claim is None:
            raise ConfigurationError(f"{where}.claim: it must name a column, and only transactions claim")
        self._version = None
        if mapping.version is not None:
            if self.struct is not Transaction:
                raise ConfigurationError(f"{where}.version: only transactions have one; other states have a revision")
            self._version = Mapped(mapping.version, Target("integer"), settings, f"{where}.version")

    def mapped(self) -> Iterator[Mapped]:
        """Every compiled field."""
        for _, one in self._fields:
            yield one
        for some in self.all_lists:
            for _, one in some.fields:
                yield one
        yield from (one for one in (self._claim, self._version) if one is not None)

    def kinds_used(self) -> set[str]:
        """The kinds of rows that this event is made from, where they are named."""
        return self._scalar_kinds.union(*(some.kinds for some in self.all_lists))

    def uses_all_kinds(self) -> bool:
        """True if rows of every kind make items, or the event itself."""
        return not self._lists or any(not some.kinds for some in self._lists)

    def _make_lists(self, mapping: Event, settings: Flatfile, where: str) -> tuple[list[_List], list[_List]]:
        outer: list[_List] = []
        known: dict[str, _List] = {}
        flat: list[_List] = []
        for number, one in sorted(enumerate(mapping.lists), key=lambda pair: pair[1].into.count(".")):
            place = f"{where}.lists[{number}]"
            head, _, name = one.into.rpartition(".")
            above = known.get(head)
            target = target_of(above.struct if above else self.struct, name if above else one.into, f"{place}.into")
            if target.kind != "structs" or target.struct is None:
                raise ConfigurationError(f"{place}.into: {one.into} is no list of parts")
            made = _List(one, target.struct, settings, place)
            flat.append(made)
            known.setdefault(one.into, made)
            if above is None:
                outer.append(made)
            else:
                above.inner.append(made)
        for made in flat:
            made.compile()
        return outer, flat

    def build(self, rows: Sequence[Row], header: Row | None) -> tuple[Outgoing, tuple[Claim, ...]]:
        """The event that the rows of a group make. Raises ``MappingError`` that names row, column and value."""
        built = _Building()
        computed: list[tuple[tuple[str, ...], Mapped]] = []
        for path, mapped in self._fields:
            if mapped.computed:
                computed.append((path, mapped))
                continue
            row, value = self._scalar(mapped, rows, header)
            if value is not NOTHING:
                _put(built.data, path, value)
                if row is not None:
                    built.rows[id(mapped)] = row
        for number, row in enumerate(rows):
            for some in self._lists:
                self._add(some, row, number == 0, built, built.data, some.path)
        if self._lists:
            for row in rows[1:]:
                if id(row) not in built.used and row.kind not in self._scalar_kinds:
                    raise MappingError(row, "(whole row)", "it fits no list of the mapping")
        for path, mapped in computed:
            _put(built.data, path, self._sum(mapped, built.data, rows[0]))
        data = self._converted(built, rows)
        return self._outgoing(data, rows, header), self._claims(data, rows, header)

    def _scalar(self, mapped: Mapped, rows: Sequence[Row], header: Row | None) -> tuple[Row | None, Any]:
        field = mapped.field
        if mapped.constant is not NOTHING:
            return None, mapped.constant
        if field.header:
            if header is None:
                raise MappingError(rows[0], field.header, "the file's header record has not come")
            return header, mapped.guarded(header)
        if field.row:
            chosen = [row for row in rows if row.kind == field.row]
            if not chosen:
                return None, NOTHING
        else:
            chosen = list(rows)
        row = chosen[-1] if field.take == "last" else chosen[0]
        if field.take == "same" and not (self._kinds and not field.row) and len(chosen) > 1:
            for column in mapped.columns:
                first = text_of(row, column)
                for other in chosen:
                    if text_of(other, column) != first:
                        raise MappingError(
                            other,
                            column,
                            f"differs from {first!r} in line {row.first}, in one group",
                            text_of(other, column),
                        )
        return row, mapped.guarded(row)

    def _add(self, some: _List, row: Row, first: bool, built: _Building, into: Data, path: tuple[str, ...]) -> None:
        """The items that a row makes, with the items inside of them."""
        taken = some.takes(row)
        if taken:
            built.used.add(id(row))
        if taken and (first or not some.mapping.first) and self._new(some, row, built):
            for place in some.places(row):
                item: Data = {}
                self._fill(some, place, item, built)
                inner = into
                for part in path[:-1]:
                    inner = inner.setdefault(part, {})
                inner.setdefault(path[-1], []).append(item)
                built.rows[id(item)] = place
                built.last[some.path] = item
                for part_of in some.inner:
                    if not part_of.kinds or row.kind in part_of.kinds:
                        self._add(part_of, place, first, built, item, part_of.path[-1:])
            return
        for part_of in some.inner:
            if part_of.kinds and row.kind in part_of.kinds and row.kind not in some.kinds and part_of.takes(row):
                above = built.last.get(some.path)
                if above is None:
                    raise MappingError(row, part_of.mapping.into, f"no {some.mapping.into} came before this row")
                self._add(part_of, row, first, built, above, part_of.path[-1:])

    @staticmethod
    def _new(some: _List, row: Row, built: _Building) -> bool:
        if not some.mapping.distinct:
            return True
        key = tuple(text_of(row, column) for column in some.mapping.distinct)
        seen = built.seen.setdefault((some.where,), set())
        if key in seen:
            return False
        seen.add(key)
        return True

    def _fill(self, some: _List, row: Row, item: Data, built: _Building) -> None:
        for path, mapped in some.fields:
            value = self._computed(mapped, item, built.data, row) if mapped.computed else mapped.guarded(row)
            if value is not NOTHING:
                _put(item, path, value)

    @staticmethod
    def _computed(mapped: Mapped, item: Data, data: Data, row: Row) -> Any:
        """A product or a quotient of fields of the same item."""
        field = mapped.field
        parts = [item.get(name) for name in field.product or field.quotient]
        if not all(isinstance(part, Decimal) for part in parts):
            return NOTHING
        with localcontext() as context:
            context.prec = 50
            if field.quotient:
                value = (parts[0] / parts[1]).quantize(_EIGHT).normalize() if parts[1] else ZERO
                value = value.quantize(Decimal(1)) if value == value.to_integral_value() else value
            else:
                value = Decimal(1)
                for part in parts:
                    value *= part or ZERO
                currency = data.get("currency")
                value = rounded(value, currency) if isinstance(currency, str) else value.quantize(_EIGHT)
            value = -value if field.negate else value
        if not is_sound(value):
            raise MappingError(row, "+".join(field.product or field.quotient), f"come to {value}, which is no amount")
        return value

    @staticmethod
    def _sum(mapped: Mapped, data: Data, row: Row) -> Any:
        total = ZERO
        for path in mapped.field.sum:
            nodes: list[Any] = [data]
            for part in path.split("."):
                found = [node.get(part) for node in nodes if isinstance(node, dict) and node.get("voided") is not True]
                nodes = [one for some in found for one in (some if isinstance(some, list) else [some])]
            total += sum((Decimal(node) for node in nodes if isinstance(node, Decimal | int)), ZERO)
        if not is_sound(total):
            raise MappingError(row, "+".join(mapped.field.sum), f"add up to {total}, which is no amount")
        total = -total if mapped.field.negate else total
        if mapped.target.kind == "integer":
            if total != total.to_integral_value():
                raise MappingError(row, "+".join(mapped.field.sum), f"add up to {total}, which is no whole number")
            return int(total)
        return total

    def _converted(self, built: _Building, rows: Sequence[Row]) -> Any:
        try:
            return msgspec.convert(built.data, self.struct)
        except (msgspec.ValidationError, OverflowError) as error:
            text = str(error)
            found = _PLACE.search(text)
            path = found.group(1) if found else ""
            reason = text[: found.start()] if found else text
            raise self._located(path, reason, built, rows) from error

    def _located(self, path: str, reason: str, built: _Building, rows: Sequence[Row]) -> MappingError:
        """The row and column that the model's complaint is about."""
        node: Any = built.data
        row: Row = rows[0]
        for part in re.findall(r"[^.\[\]]+", path):
            if isinstance(node, list) and part.isdigit():
                node = node[int(part)]
                row = built.rows.get(id(node), row)
            else:
                node = node.get(part) if isinstance(node, dict) else node
        plain = _INDEX.sub("", path)
        lacking = re.search(r"missing required field `(\w+)`", reason)
        if lacking:
            plain = f"{plain}.{lacking.group(1)}".lstrip(".")
            reason = "needs a value, and there is none"
        for mapped in self.mapped():
            if mapped.where.endswith(f".fields.{plain}") or (
                any(
                    one.mapping.into + "." + str(mapped.where.rpartition(".fields.")[2]) == plain
                    and mapped.where.startswith(one.where)
                    for one in self.all_lists
                )
            ):
                row = built.rows.get(id(mapped), row)
                column = mapped.name or plain
                value = mapped.field.separator.join(text_of(row, one) for one in mapped.columns)
                return MappingError(row, column, f"{plain}: {reason}", value)
        return MappingError(row, plain or "(whole row)", reason)

    def _outgoing(self, data: Any, rows: Sequence[Row], header: Row | None) -> Outgoing:
        short = self.type.removeprefix("tillwire.").removesuffix(".v1")
        key = f"{short}:{data.key}"
        time = getattr(data, "ended_at", None) or getattr(data, "at", None)
        entity, version = "", 0
        if self._version is not None:
            _, value = self._scalar(self._version, rows, header)
            if value is NOTHING or value < 0 or value > 2**63 - 2:
                raise MappingError(rows[0], self._version.name, "is needed to tell the newer version")
            entity, version = f"transaction:{data.base_key}", value
            key = f"{key}#{version}"
        if len(key) > 200 or not key.isprintable():
            key = f"{short}:sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"
        return Outgoing(type=self.type, data=data, id=key, time=time, entity=entity, version=version)

    def at_risk(self, rows: Sequence[Row], header: Row | None) -> Data:
        """Store, business date, total and currency of a group that cannot be mapped, as far as they can be read."""
        found: Data = {}
        rows = [row for row in rows if not row.error] or rows
        for path, mapped in self._fields:
            if len(path) == 1 and path[0] in ("store", "business_date", "total", "currency") and not mapped.computed:
                with contextlib.suppress(MappingError):
                    _, value = self._scalar(mapped, rows, header)
                    if value is not NOTHING:
                        found["amount" if path[0] == "total" else path[0]] = value
        return found

    def _claims(self, data: Any, rows: Sequence[Row], header: Row | None) -> tuple[Claim, ...]:
        if self._claim is None or data.kind not in SELLING:
            return ()
        _, amount = self._scalar(self._claim, rows, header)
        return () if amount is NOTHING else (Claim(amount=amount, currency=data.currency),)
