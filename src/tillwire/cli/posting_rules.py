"""How ``tillwire rules posting`` shows the rule book, and a transaction that it explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec
from rich.table import Column, Table

from tillwire.cli.common import console, print_json, styled
from tillwire.config import AccountRule
from tillwire.posting.accounts import PATTERNS, SUSPENSE_RULE, AccountBook
from tillwire.posting.explain import Explained, ExplainedEntry, Journaled
from tillwire.posting.reach import name_of, never_reached


class RuleInBook(msgspec.Struct, frozen=True):
    """One rule at its place in the book."""

    rule: str
    component: str
    account: str
    conditions: dict[str, str]
    effective_from: date | None
    effective_to: date | None
    dimensions: Mapping[str, str]
    never_reached: str
    """The reason, if it never counts."""


class RuleBook(msgspec.Struct, frozen=True):
    """A rule book, in the order in which its rules are tried."""

    version: int | None
    """None: the one in force, whether or not a journal was built by it."""
    suspense_account: str
    dimensions: Mapping[str, str]
    rules: list[RuleInBook]


def conditions_of(rule: AccountRule) -> dict[str, str]:
    """What a rule asks for, beside its component and its dates."""
    asked = {name: getattr(rule, name) for name in PATTERNS if getattr(rule, name) != "*"}
    return asked if rule.rate is None else asked | {"rate": str(rule.rate)}


def listed(book: AccountBook, version: int | None) -> RuleBook:
    """The book as it is listed."""
    unreached = never_reached(book.rules)
    return RuleBook(
        version,
        book.suspense_account,
        book.dimensions,
        [
            RuleInBook(
                name_of(rule, number),
                rule.component,
                rule.account,
                conditions_of(rule),
                rule.effective_from,
                rule.effective_to,
                rule.dimensions,
                unreached.get(number, ""),
            )
            for number, rule in enumerate(book.rules, 1)
        ],
    )


def show_book(book: AccountBook, version: int | None, *, json: bool) -> int:
    """Print a rule book."""
    found = listed(book, version)
    if json:
        print_json(found)
        return 0
    title = "rule book in force" if version is None else f"version {version} of the rule book"
    table = Table(
        "rule",
        Column("component", no_wrap=True),
        "conditions",
        Column("account", no_wrap=True),
        "dimensions",
        "from",
        "before",
        title=title,
    )
    for one in found.rules:
        conditions = styled(_told(one.conditions, " = "))
        if one.never_reached:
            conditions.append(f"\nnever reached: {one.never_reached}", "yellow")
        dates = (str(one.effective_from or ""), str(one.effective_to or ""))
        table.add_row(one.rule, one.component, conditions, one.account, _told(one.dimensions, " "), *dates)
    table.add_row(SUSPENSE_RULE, "*", "what no rule maps", found.suspense_account, "", "", "")
    console.print(table)
    if found.dimensions:
        console.print(f"dimensions of every line: {_told(found.dimensions, ' ')}", soft_wrap=True)
    return 0


def show_explained(key: str, found: Sequence[Explained], version: int | None, *, json: bool) -> int:
    """Print what the rule book says of a transaction; 1 if nothing of it is recorded."""
    if json:
        print_json({"key": key, "rule_book": version, "recorded": found})
        return 0 if found else 1
    if not found:
        console.print(
            f"nothing is recorded under {key!r} in the ledger; `tillwire trace {key}` tells what is known of it"
        )
        return 1
    for one in found:
        table = Table(
            "component",
            "code",
            Column("amount", justify="right", no_wrap=True),
            "rule",
            Column("account", no_wrap=True),
            "dimensions",
            "journaled",
            title=_title(key, one),
        )
        for entry in one.entries:
            rule = styled((entry.rule, "red" if entry.rule == SUSPENSE_RULE else ""))
            there = "\n".join(_journaled(entry, line, version) for line in entry.journaled)
            amount = f"{entry.amount:,}"
            table.add_row(entry.component, entry.code, amount, rule, entry.account, _told(entry.dimensions, " "), there)
        table.add_row("", "", f"{sum((entry.amount for entry in one.entries), Decimal(0)):,}", "", "", "", "")
        console.print(table)
    console.print(
        "The entries are the ledger's: debit positive, revenue gross of discounts and without tax, added up by code."
    )
    return 0


def _title(key: str, one: Explained) -> str:
    what = f"reversal of a {one.kind}" if one.reversal else one.kind
    late = f", came late: posted to {one.business_date}" if one.original_date else ""
    return f"{key}: {what} of {one.company}, in {one.currency}{late}"


def _journaled(entry: ExplainedEntry, line: Journaled, version: int | None) -> str:
    """Where an entry is journaled, and what was otherwise then."""
    told = f"{line.reference} ({line.state})"
    if (line.account, line.rule) != (entry.account, entry.rule):
        told += f" on {line.account} by rule {line.rule}"
    if line.rule_book is not None and line.rule_book != version:
        told += f" of version {line.rule_book}"
    return told


def _told(pairs: Mapping[str, str], between: str) -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in pairs.items())
