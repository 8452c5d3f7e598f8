"""``account.move.load`` of a simulated Odoo: rows of text to entries, found again by their external ids."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from tillwire.connectors.odoo.simulator_records import OdooFault, user_error
from tillwire.model.money import ZERO

HEAD = ("id", "move_type", "journal_id/.id", "date", "ref", "narration")
LINE = (
    "line_ids/id",
    "line_ids/account_id/.id",
    "line_ids/name",
    "line_ids/debit",
    "line_ids/credit",
    "line_ids/currency_id/.id",
    "line_ids/amount_currency",
    "line_ids/analytic_distribution",
)
_NEEDED = {"id", "move_type", "journal_id/.id", "line_ids/account_id/.id"}

Raw = dict[str, str]
Values = dict[str, Any]


def grouped(fields: Any, rows: Any) -> list[tuple[Raw, list[Raw], int, int]]:
    """Rows by entry: the entry's own fields, those of its lines, its first and last row."""
    if not isinstance(fields, list) or not isinstance(rows, list):
        raise OdooFault("builtins.TypeError", "load() takes fields and data, both lists")
    unknown = [name for name in fields if name not in HEAD + LINE]
    if unknown:
        raise OdooFault("builtins.ValueError", f"Invalid field name: {unknown[0]}")
    missing = _NEEDED - set(fields)
    if missing:
        raise user_error(f"Missing required value for the field {sorted(missing)[0]}")
    found: list[tuple[Raw, list[Raw], int, int]] = []
    for at, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(fields) or not all(isinstance(cell, str) for cell in row):
            raise OdooFault("builtins.TypeError", f"row {at}: {len(fields)} texts are expected")
        cells = dict(zip(fields, row, strict=True))
        head = {name: cells[name] for name in HEAD if cells.get(name)}
        line = {name: cells.get(name, "") for name in LINE}
        if head:
            found.append((head, [line], at, at))
        elif found:
            first = found.pop()
            found.append((first[0], [*first[1], line], first[2], at))
        else:
            raise OdooFault("builtins.ValueError", "the first row has no record")
    return found


def entry_values(head: Raw, lines: list[Raw], exists: Callable[[str, int], Any]) -> Values:
    """An entry's values. ``exists`` gives a record by model and number. Raises ``OdooFault`` in Odoo's words."""
    if head.get("move_type") != "entry":
        raise user_error(f"Value '{head.get('move_type')}' not found in selection field 'Type'")
    _external(head["id"])
    journal = _record(head.get("journal_id/.id", ""), "account.journal", "Journal", exists)
    return {
        "move_type": "entry",
        "journal_id": (journal["id"], journal["name"]),
        "company_id": journal["company_id"],
        "date": _date(head.get("date", "")),
        "ref": head.get("ref") or False,
        "narration": head.get("narration") or False,
        "lines": [_line(line, exists) for line in lines],
    }


def _line(raw: Raw, exists: Callable[[str, int], Any]) -> Values:
    if raw["line_ids/id"]:
        _external(raw["line_ids/id"])
    account = _record(raw["line_ids/account_id/.id"], "account.account", "Account", exists)
    currency = _record(raw["line_ids/currency_id/.id"], "res.currency", "Currency", exists)
    debit, credit = _amount(raw, "line_ids/debit", "Debit"), _amount(raw, "line_ids/credit", "Credit")
    amount_currency = _amount(raw, "line_ids/amount_currency", "Amount in Currency")
    if debit < 0 or credit < 0 or (debit and credit):
        raise user_error("Wrong credit or debit value in accounting entry!")
    balance = debit - credit
    if (balance > 0 > amount_currency) or (balance < 0 < amount_currency):
        raise user_error(
            "The amount expressed in the secondary currency must be positive when account is debited and negative when "
            "account is credited."
        )
    return {
        "external": raw["line_ids/id"],
        "account_id": (account["id"], f"{account['code']} {account['name']}"),
        "name": raw["line_ids/name"] or False,
        "debit": debit,
        "credit": credit,
        "currency_id": (currency["id"], currency["name"]),
        "amount_currency": amount_currency,
        "analytic_distribution": _distribution(raw["line_ids/analytic_distribution"], exists),
    }


def check_balanced(values: Mapping[str, Any]) -> None:
    """Raises as Odoo does for an entry whose debits and credits differ."""
    debit = sum((line["debit"] for line in values["lines"]), ZERO)
    credit = sum((line["credit"] for line in values["lines"]), ZERO)
    if debit != credit:
        raise user_error(
            f"The entry is not balanced.\nThe total of debits equals {debit} and the total of credits equals {credit}."
        )


def _external(name: str) -> None:
    if name.count(".") != 1 or " " in name or not all(name.split(".")):
        raise user_error(
            f"'{name}' contains too many dots. XML ids should not contain dots ! These are used to refer ..."
        )


def _record(number: str, model: str, label: str, exists: Callable[[str, int], Any]) -> Any:
    found = exists(model, int(number)) if number.isdigit() else None
    if found is None:
        raise user_error(f"No matching record found for database id '{number}' in field '{label}'")
    return found


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise user_error(f"'{text}' does not seem to be a valid date for field 'Date'") from None


def _amount(raw: Raw, name: str, label: str) -> Decimal:
    text = raw[name] or "0"
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise user_error(f"'{text}' does not seem to be a number for field '{label}'") from None
    return amount.quantize(Decimal("0.01"))


def _distribution(text: str, exists: Callable[[str, int], Any]) -> Any:
    if not text:
        return False
    try:
        shares = json.loads(text, parse_float=Decimal)
    except ValueError:
        raise user_error(f"'{text}' does not seem to be a valid JSON for field 'Analytic Distribution'") from None
    for accounts in shares:
        for number in accounts.split(","):
            _record(number, "account.analytic.account", "Analytic Distribution", exists)
    return shares
