"""Counts and totals that a file says of itself, against what was in it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tillwire.connectors.flatfile.fields import NOTHING, Mapped, MappingError, matcher
from tillwire.connectors.flatfile.rows import Row
from tillwire.connectors.flatfile.settings import Check, Flatfile
from tillwire.connectors.flatfile.targets import Target
from tillwire.connectors.inbound import MalformedError
from tillwire.errors import ConfigurationError
from tillwire.model.money import ZERO


class CompiledCheck:
    """A check, compiled. Raises ``ConfigurationError`` that names the path."""

    def __init__(self, check: Check, settings: Flatfile, where: str) -> None:
        self.check = check
        claimed = check.claimed
        if not (claimed.column or claimed.header):
            raise ConfigurationError(f"{where}.claimed: name a column of the trailer, or with header one of the header")
        roles = {kind.role for kind in settings.rows.values()}
        if ("header" if claimed.header else "trailer") not in roles:
            raise ConfigurationError(f"{where}.claimed: no kind of row has the role it is taken from")
        self.claimed = Mapped(claimed, Target("decimal"), settings, f"{where}.claimed")
        self.sum = Mapped(check.sum, Target("decimal"), settings, f"{where}.sum") if check.sum else None
        if self.sum is not None and not self.sum.field.column:
            raise ConfigurationError(f"{where}.sum: name the column that is added up")
        if check.extra and check.sum:
            raise ConfigurationError(f"{where}.extra: it is for counts, not for sums")
        unknown = set(check.rows) - settings.rows.keys()
        if unknown:
            raise ConfigurationError(f"{where}.rows: there is no kind of row {sorted(unknown)[0]!r}")
        self.kinds = frozenset(check.rows)
        self.fits = matcher(check.when, where)


class Tally:
    """What was in a file so far, by check."""

    def __init__(self, checks: Sequence[CompiledCheck]) -> None:
        self._checks = checks
        self._found = [ZERO] * len(checks)
        self._unsure = [""] * len(checks)

    def add(self, rows: Sequence[Row]) -> None:
        """Count a group."""
        for number, check in enumerate(self._checks):
            for row in rows:
                if (check.kinds and row.kind not in check.kinds) or not check.fits(row):
                    continue
                self._found[number] += self._value(number, check, row)
                if check.check.per == "group":
                    break

    def _value(self, number: int, check: CompiledCheck, row: Row) -> Decimal:
        if check.sum is None:
            return Decimal(1)
        if row.error:
            self._unsure[number] = self._unsure[number] or f"line {row.first}: {row.error}"
            return ZERO
        try:
            value = check.sum.guarded(row)
        except MappingError as error:
            self._unsure[number] = self._unsure[number] or str(error)
            return ZERO
        return ZERO if value is NOTHING else Decimal(value)

    def verify(self, header: Row | None, trailer: Row | None) -> str:
        """Raises ``MalformedError`` where the file says something else; returns why a sum could not be checked."""
        unsure = ""
        for number, check in enumerate(self._checks):
            row = header if check.check.claimed.header else trailer
            if row is None:
                continue
            name = check.claimed.name
            try:
                claimed = check.claimed.guarded(row)
            except MappingError as error:
                raise MalformedError(f"line {row.first}", str(error)) from error
            if claimed is NOTHING:
                raise MalformedError(f"line {row.first}, column {name}", "is empty, and the file is checked by it")
            if self._unsure[number]:
                unsure = unsure or f"{name} says {claimed}, which cannot be checked: {self._unsure[number]}"
                continue
            found = self._found[number] + check.check.extra
            if claimed != found:
                what = f"add up to {found}" if check.sum else f"are {found}"
                reason = f"says {claimed}, and the {check.check.per}s that were read {what}"
                raise MalformedError(f"line {row.first}, column {name}", reason)
        return unsure
