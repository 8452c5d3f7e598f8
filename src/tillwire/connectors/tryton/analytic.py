"""Dimensions of journal lines as Tryton's analytic accounts, where its module for them is and the settings say which.

A dimension is an analytic root; its values are the codes of accounts below it. What no setting maps is told by the
line's description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tillwire.connectors.tryton.books import ANALYTIC, Company, Objection
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.settings import TrytonSettings
from tillwire.errors import ConfigurationError
from tillwire.model.ledger import Journal, JournalLine


class Dimensions(msgspec.Struct, frozen=True):
    """Analytic accounts by dimension and value; for the dimensions that are mapped."""

    roots: Mapping[str, str]
    accounts: Mapping[tuple[str, str], int]

    def objection(self, lines: Iterable[JournalLine]) -> Objection | None:
        """What is wrong with the dimensions of lines."""
        unknown = sorted(
            {
                (name, value)
                for line in lines
                for name, value in self._mapped(line)
                if (name, value) not in self.accounts
            }
        )
        if not unknown:
            return None
        named = ", ".join(f"{value} below {self.roots[name]} ({name})" for name, value in unknown)
        return Objection(f"the ERP has no analytic account {named}")

    def values(self, line: JournalLine, debit: Decimal, credit: Decimal, day: date) -> dict[str, Any]:
        """The analytic lines of a line, as values to create; none of a line that is zero."""
        entries = [
            {"account": self.accounts[name, value], "debit": debit, "credit": credit, "date": day}
            for name, value in self._mapped(line)
        ]
        return {"analytic_lines": [["create", entries]]} if entries and (debit or credit) else {}

    def told(self, line: JournalLine) -> list[str]:
        """The dimensions that no analytic account carries, as text."""
        return [f"[{name}: {value}]" for name, value in line.dimensions.items() if name not in self.roots and value]

    def _mapped(self, line: JournalLine) -> list[tuple[str, str]]:
        return [(name, value) for name, value in line.dimensions.items() if name in self.roots and value]


def look_up_dimensions(
    client: TrytonClient, company: Company, settings: TrytonSettings, journals: Sequence[Journal]
) -> Dimensions:
    """The analytic accounts that journals speak of, by one call; none where nothing is mapped.

    Raises ``ConfigurationError`` if dimensions are mapped and the ERP has no analytic accounts.
    """
    roots = settings.dimensions
    if not roots:
        return Dimensions({}, {})
    if ANALYTIC not in company.has:
        raise ConfigurationError(
            "dimensions: the ERP has no analytic accounts: activate its module analytic_account, or unset it"
        )
    spoken = sorted(
        {value for journal in journals for line in journal.lines for n, value in line.dimensions.items() if n in roots}
    )
    if not spoken:
        return Dimensions(roots, {})
    rows = client.call(
        "model.analytic_account.account.search_read",
        [["company", "=", company.company_id], ["code", "in", spoken], ["root.code", "in", sorted(roots.values())]],
        0, None, None, ["code", "root.code"],
    )  # fmt: skip
    by_code = {(row["root."]["code"], row["code"]): row["id"] for row in rows}
    return Dimensions(
        roots,
        {
            (name, value): by_code[root, value]
            for name, root in roots.items()
            for value in spoken
            if (root, value) in by_code
        },
    )
