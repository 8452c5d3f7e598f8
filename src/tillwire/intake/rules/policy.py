"""The policy: which rules are in force, for which source, how they weigh, who owns them, and what they tolerate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase

from tillwire.errors import ConfigurationError
from tillwire.exceptions.codes import CODES, SEVERITIES, Code

_BY_EXTENSION = frozenset({"line_extension_mismatch", "line_tax_mismatch"})
_BY_TOTAL = frozenset({"total_mismatch", "net_mismatch", "discount_mismatch", "tax_mismatch", "line_discount_mismatch"})

_MOST_SOURCES = 10_000
"""Sources whose severities are remembered: a source is any text that a client sends."""

Severities = Mapping[str, str]
"""The severity of every code, for one source."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Tolerances, severities and owners of the rules. ``*_units`` are in minor units of the transaction's currency.

    Raises ``ConfigurationError`` for codes that do not exist and values that cannot be.
    """

    extension_tolerance_units: Decimal = Decimal(1)
    total_tolerance_units: Decimal = Decimal(0)
    over_payment_units: Decimal = Decimal(0)
    """By how much tenders may exceed the total before that is a ``tender_mismatch``."""
    under_payment_units: Decimal = Decimal(0)
    """By how much they may fall short of it."""
    future_days: int = 1
    """How far ahead of the hub's date a business date may be (time zones, clocks that are fast)."""
    past_days: int = 3660
    """How old a business date may be before it is taken for a mistake."""
    severities: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    tolerances: Mapping[str, Decimal] = field(default_factory=dict)
    """By code, where it is not the general one."""
    sources: Sequence[tuple[str, Mapping[str, str]]] = ()
    """Patterns of sources (``*``, ``?``, ``[...]``) with severities: the first that matches and names a code counts."""
    _known: dict[str, Severities] = field(default_factory=dict, init=False, repr=False, compare=False)
    _shared: dict[tuple[int, ...], Severities] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for code, severity in self.severities.items():
            _check_severity("rules.codes", code, severity)
        for i, (pattern, severities) in enumerate(self.sources):
            if not pattern:
                raise ConfigurationError(f"rules.sources[{i}].pattern is empty: name sources, as in urn:pos:shop-*")
            for code, severity in severities.items():
                _check_severity(f"rules.sources[{i}].severity", code, severity)
        for code, owner in self.owners.items():
            _check_code("rules.codes", code)
            if not owner.strip():
                raise ConfigurationError(f"rules.codes.{code}.owner is empty: name who works its exceptions")
        for code, tolerance in self.tolerances.items():
            if _check_code("rules.codes", code).tolerance is None:
                raise ConfigurationError(
                    f"rules.codes.{code}.tolerance: this rule has no tolerance, it compares nothing"
                )
            _check_units(f"rules.codes.{code}.tolerance", tolerance)
        for name in (
            "extension_tolerance_units",
            "total_tolerance_units",
            "over_payment_units",
            "under_payment_units",
        ):
            _check_units(f"rules.{name}", getattr(self, name))

    def severities_for(self, source: str) -> Severities:
        """The severity of every code for a source. Sources that no pattern tells apart share one mapping."""
        known = self._known.get(source)
        if known is None:
            matching = tuple(i for i, (pattern, _) in enumerate(self.sources) if fnmatchcase(source, pattern))
            known = self._shared.get(matching)
            if known is None:
                known = self._shared[matching] = self._weighed(matching)
            if len(self._known) >= _MOST_SOURCES:
                self._known.clear()
            self._known[source] = known
        return known

    def _weighed(self, matching: tuple[int, ...]) -> Severities:
        found = {code: self.severities.get(code, one.severity) for code, one in CODES.items()}
        for i in reversed(matching):
            found.update(self.sources[i][1])
        return found

    def severity(self, code: str, source: str = "") -> str:
        """How a fault of this code weighs in an event of this source: blocking, warning or off."""
        return self.severities_for(source)[code]

    def owner(self, code: str) -> str:
        """Who works exceptions of this code."""
        return self.owners.get(code) or CODES[code].owner

    def tolerance(self, code: str) -> Decimal | None:
        """What a rule lets through, in minor units (pieces for ``item_count_mismatch``); none: it compares nothing."""
        if code in self.tolerances:
            return self.tolerances[code]
        if code in _BY_EXTENSION:
            return self.extension_tolerance_units
        return self.total_tolerance_units if code in _BY_TOTAL else CODES[code].tolerance


def _check_code(place: str, code: str) -> Code:
    known = CODES.get(code)
    if known is None:
        near = get_close_matches(code, CODES, 1)
        hint = f"did you mean {near[0]}?" if near else "`tillwire rules` lists them"
        raise ConfigurationError(f"{place}: there is no code {code!r}; {hint}")
    return known


def _check_severity(place: str, code: str, severity: str) -> None:
    known = _check_code(place, code)
    if severity not in SEVERITIES:
        raise ConfigurationError(f"{place}.{code}: severity is one of {', '.join(SEVERITIES)}, not {severity!r}")
    if known.fixed and severity != known.severity:
        raise ConfigurationError(f"{place}.{code}: stays {known.severity}, not {severity}: {known.reason}")


def _check_units(place: str, units: Decimal) -> None:
    if not units.is_finite() or units < 0:
        raise ConfigurationError(f"{place} must be a finite number from zero on, not {units}")
