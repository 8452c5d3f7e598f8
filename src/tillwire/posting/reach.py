"""Which rules of the book never count: an earlier one takes all that they would, or they ask for what there is not."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tillwire.config import AccountRule
from tillwire.posting.accounts import PATTERNS
from tillwire.sales.entries import CHANGE, TAX, TENDER

_OF_TENDERS = ("acquirer", "tender_currency")
_OF_TAXES = ("jurisdiction",)


def name_of(rule: AccountRule, number: int) -> str:
    """What a rule is called: its own name, or its place in the book, counted from 1."""
    return rule.name or str(number)


def never_reached(rules: Sequence[AccountRule]) -> dict[int, str]:
    """The rules that never count, by their place (counted from 1), with the reason.

    It names what a single earlier rule takes wholly; not what several earlier ones take together.
    """
    found: dict[int, str] = {}
    for number, rule in enumerate(rules, 1):
        asked = _asks_in_vain(rule)
        if asked:
            found[number] = f"{rule.component} has no {asked}"
            continue
        for before, earlier in enumerate(rules[: number - 1], 1):
            if before not in found and _takes_all_of(earlier, rule):
                found[number] = f"rule {name_of(earlier, before)} takes all that it would"
                break
    return found


def _asks_in_vain(rule: AccountRule) -> str:
    """What the rule asks for and its component never has."""
    if rule.component == "*":
        return ""
    if rule.rate is not None and rule.component != TAX:
        return "rate"
    absent = () if rule.component in (TENDER, CHANGE) else _OF_TENDERS
    absent = absent if rule.component == TAX else (*absent, *_OF_TAXES)
    return next((name for name in absent if not fnmatchcase("", getattr(rule, name))), "")


def _takes_all_of(earlier: AccountRule, later: AccountRule) -> bool:
    """True if whatever the later rule matches, the earlier one does."""
    own = earlier.component in ("*", later.component) or (earlier.component == TENDER and later.component == CHANGE)
    if not own or (earlier.rate is not None and earlier.rate != later.rate):
        return False
    if earlier.effective_from and (later.effective_from is None or later.effective_from < earlier.effective_from):
        return False
    if earlier.effective_to and (later.effective_to is None or later.effective_to > earlier.effective_to):
        return False
    return all(_wider(getattr(earlier, name), getattr(later, name)) for name in PATTERNS)


def _wider(pattern: str, other: str) -> bool:
    """True if the pattern matches whatever the other does, as far as that is plain to see."""
    if pattern in ("*", other):
        return True
    return not set("*?[") & set(other) and fnmatchcase(other, pattern)
