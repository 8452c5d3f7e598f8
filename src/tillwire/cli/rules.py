"""``tillwire rules``: the validation rules as configuration has them in force."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec
from rich.table import Column, Table

from tillwire.cli.common import console, print_json, styled
from tillwire.exceptions.codes import CODES
from tillwire.intake.rules import NOTES, Policy

_COLOURS = {"blocking": "red", "warning": "yellow", "off": "dim"}


class RuleInForce(msgspec.Struct, frozen=True):
    """One code as it is in force. ``tolerance`` is in minor units (pieces for ``item_count_mismatch``)."""

    code: str
    severity: str
    owner: str
    tolerance: Decimal | None
    judged: str
    meaning: str
    reason: str
    by_source: dict[str, str]
    """Severities of sources that have their own, by pattern."""


def in_force(policy: Policy, source: str = "") -> Iterator[RuleInForce]:
    """Every code of the catalogue, as it weighs for events of ``source``."""
    for code, one in CODES.items():
        yield RuleInForce(
            code,
            policy.severity(code, source),
            policy.owner(code),
            policy.tolerance(code),
            one.judged,
            one.meaning,
            one.reason,
            {pattern: severities[code] for pattern, severities in policy.sources if code in severities},
        )


def show(policy: Policy, *, source: str, code: str | None, json: bool) -> int:
    """Print the rules, or one of them; 1 if there is none of that code."""
    found = [one for one in in_force(policy, source) if code in (None, one.code)]
    if not found:
        console.print(f"there is no code {code!r}; `tillwire rules` lists them")
        return 1
    if json:
        print_json(found)
        return 0
    table = Table(
        Column("code", no_wrap=True), "severity", "owner", Column("tolerance", justify="right"), "meaning", "reason"
    )
    for one in found:
        severity = styled((one.severity, _COLOURS[one.severity]))
        for pattern, own in one.by_source.items():
            severity.append(f"\n{pattern}: {own}", "dim")
        tolerance = "" if one.tolerance is None else str(one.tolerance)
        table.add_row(one.code, severity, one.owner, tolerance, one.meaning, one.reason)
    if code is None:
        for name, meaning in NOTES.items():
            table.add_row(name, styled(("let through", "dim")), "", "", meaning, "counted, and shown per store and day")
    console.print(table)
    return 0
