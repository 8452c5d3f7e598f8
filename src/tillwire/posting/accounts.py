"""From components of the subledger to accounts: the first rule that matches counts, what none maps goes to suspense."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from tillwire.config import AccountRule
from tillwire.model.ledger import JournalLine
from tillwire.model.money import ZERO
from tillwire.sales.entries import COMPONENTS


class Posting(msgspec.Struct, frozen=True):
    """One line of a journal with the component it comes from."""

    line: JournalLine
    component: str
    code: str


class AccountBook:
    """The mapping in force."""

    def __init__(self, rules: Sequence[AccountRule], suspense_account: str) -> None:
        self._rules = rules
        self._suspense = suspense_account
        self._found: dict[tuple[str, str], str] = {}

    def account(self, component: str, code: str) -> str:
        """The account of a component and code."""
        place = (component, code)
        found = self._found.get(place)
        if found is None:
            found = self._found[place] = self._look_up(component, code)
        return found

    def _look_up(self, component: str, code: str) -> str:
        for rule in self._rules:
            if rule.component in ("*", component) and rule.code in ("*", code):
                return rule.account
        return self._suspense

    def lines(self, entries: Sequence[tuple[str, str, Decimal]]) -> list[Posting]:
        """Entries (component, code, amount; debit positive) as journal lines, one each; zero amounts make none."""
        return [
            Posting(
                JournalLine(
                    account=self.account(component, code),
                    debit=max(amount, ZERO),
                    credit=max(-amount, ZERO),
                    description=f"{component} {code}",
                ),
                component,
                code,
            )
            for component, code, amount in entries
            if amount
        ]


def unmapped(rules: Sequence[AccountRule]) -> list[str]:
    """Components that would go to suspense for some code: those without a rule for every code."""
    covered = {rule.component for rule in rules if rule.code == "*"}
    return [] if "*" in covered else [component for component in COMPONENTS if component not in covered]
