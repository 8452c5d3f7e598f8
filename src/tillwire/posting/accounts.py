"""The rule book: from components of the subledger to accounts and dimensions.

The first rule that matches counts; what none maps goes to suspense.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from string import Formatter
from typing import NamedTuple

from tillwire.config import AccountRule, Posting
from tillwire.errors import ConfigurationError
from tillwire.sales.entries import CHANGE, COMPONENTS, QUALIFIED, TAX, TENDER, parts_of

SUSPENSE_RULE = "suspense"
"""The name of the rule that takes what no other does."""

PLACEHOLDERS = (
    "store", "code", "kind", "rate", "jurisdiction", "acquirer", "tender_currency", "region", "company", "currency",
)  # fmt: skip
"""What the text of a dimension may have in braces."""


_MOST_FOUND = 200_000


class Place(NamedTuple):
    """Where something is posted."""

    company: str
    store: str
    region: str
    currency: str


class Mapped(NamedTuple):
    """What the rule book says of an entry."""

    account: str
    dimensions: Mapping[str, str]
    rule: str
    """The rule's name: its own, or its place in the book, counted from 1; ``suspense`` if none matches."""


class AccountBook:
    """One version of the rule book."""

    def __init__(self, posting: Posting) -> None:
        """Raises ``ConfigurationError`` that names rule and dimension, for a placeholder that there is not."""
        self.rules: Sequence[AccountRule] = posting.accounts
        self.dimensions: Mapping[str, str] = posting.dimensions
        self.suspense_account = posting.suspense_account
        _check_dimensions("posting.dimensions", posting.dimensions)
        for number, rule in enumerate(posting.accounts):
            _check_dimensions(f"posting.accounts[{number}].dimensions", rule.dimensions)
            if rule.component != "*" and rule.component not in COMPONENTS:
                known = ", ".join(COMPONENTS)
                raise ConfigurationError(
                    f"posting.accounts[{number}].component: there is no {rule.component!r}; there are {known}"
                )
        self.turns = sorted({day for rule in posting.accounts for day in _ends(rule)})
        """The days from which on other rules may count than on the day before."""
        self._found: dict[tuple[object, ...], Mapped] = {}

    def resolve(self, place: Place, day: date, kind: str, component: str, code: str) -> Mapped:
        """Account and dimensions of an entry: ``day`` is the business date it is of, ``code`` as the entry has it."""
        key = (place, bisect_right(self.turns, day) if self.turns else 0, kind, component, code)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            found = self._found[key] = self._look_up(place, day, kind, component, code)
        return found

    def _look_up(self, place: Place, day: date, kind: str, component: str, code: str) -> Mapped:
        facts = facts_of(place, kind, component, code)
        for number, rule in enumerate(self.rules, 1):
            if matches(rule, facts, component, day):
                return Mapped(rule.account, self._rendered(rule.dimensions, facts), rule.name or str(number))
        return Mapped(self.suspense_account, self._rendered({}, facts), SUSPENSE_RULE)

    def _rendered(self, own: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, str]:
        texts = {name: text.format(**facts) for name, text in {**self.dimensions, **own}.items()}
        return {name: text for name, text in texts.items() if text}


def _ends(rule: AccountRule) -> list[date]:
    return [day for day in (rule.effective_from, rule.effective_to) if day is not None]


def facts_of(place: Place, kind: str, component: str, code: str) -> dict[str, str]:
    """What conditions and dimensions look at; empty where there is none."""
    first, second, third = parts_of(code) if component in QUALIFIED else (code, "", "")
    taxed = component == TAX
    return {
        "company": place.company,
        "store": place.store,
        "region": place.region,
        "currency": place.currency,
        "kind": kind,
        "code": first,
        "rate": second if taxed else "",
        "jurisdiction": third if taxed else "",
        "tender_currency": "" if taxed else second,
        "acquirer": "" if taxed else third,
    }


PATTERNS = ("code", "kind", "jurisdiction", "acquirer", "tender_currency", "currency", "company", "store", "region")
"""The conditions of a rule that are patterns."""


def matches(rule: AccountRule, facts: Mapping[str, str], component: str, day: date) -> bool:
    """True if every condition of the rule holds. A rule for tenders holds for change, too."""
    if rule.component not in ("*", component) and not (component == CHANGE and rule.component == TENDER):
        return False
    if rule.effective_from is not None and day < rule.effective_from:
        return False
    if rule.effective_to is not None and day >= rule.effective_to:
        return False
    if rule.rate is not None and (not facts["rate"] or Decimal(facts["rate"]) != rule.rate):
        return False
    return all(
        pattern == "*" or fnmatchcase(facts[name], pattern)
        for name, pattern in ((name, getattr(rule, name)) for name in PATTERNS)
    )


def _check_dimensions(place: str, dimensions: Mapping[str, str]) -> None:
    for name, text in dimensions.items():
        try:
            asked = {field for _, field, _, _ in Formatter().parse(text) if field is not None}
        except ValueError as error:
            raise ConfigurationError(f"{place}.{name}: {text!r}: {error}") from error
        unknown = asked - set(PLACEHOLDERS)
        if unknown:
            named = ", ".join(f"{{{one}}}" for one in sorted(unknown))
            raise ConfigurationError(f"{place}.{name}: there is no {named}; there are {', '.join(PLACEHOLDERS)}")


def unmapped(rules: Sequence[AccountRule]) -> list[str]:
    """Components that would go to suspense for some code: those without a rule for everything."""
    plain = AccountRule(component="*", account="")
    covered = {
        rule.component
        for rule in rules
        if all(
            getattr(rule, name) == getattr(plain, name)
            for name in ("rate", "effective_from", "effective_to", *PATTERNS)
        )
    }
    if TENDER in covered:
        covered.add(CHANGE)
    return [] if "*" in covered else [one for one in COMPONENTS if one not in covered and one != "suspense"]
