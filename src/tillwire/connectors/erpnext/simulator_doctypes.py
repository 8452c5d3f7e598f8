"""The DocTypes of a simulated ERPNext: their fields, filters, and what Frappe validates of a Journal Entry."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from tillwire.model.money import ZERO, rounded

Record = dict[str, Any]

FIELDS: Mapping[str, frozenset[str]] = {
    "Company": frozenset({"name", "default_currency", "abbr"}),
    "Account": frozenset(
        {
            "name",
            "account_name",
            "account_number",
            "account_currency",
            "company",
            "is_group",
            "disabled",
            "root_type",
            "modified",
        }
    ),
    "Cost Center": frozenset({"name", "company", "is_group", "disabled"}),
    "Accounting Period": frozenset({"name", "company", "start_date", "end_date", "modified"}),
    "Item": frozenset(
        {"name", "item_code", "item_name", "item_group", "stock_uom", "disabled", "has_variants", "modified"}
    ),
    "Journal Entry": frozenset(
        {
            "doctype",
            "name",
            "docstatus",
            "voucher_type",
            "company",
            "posting_date",
            "title",
            "cheque_no",
            "cheque_date",
            "user_remark",
            "multi_currency",
            "naming_series",
            "accounts",
            "creation",
            "custom_tillwire_reference",
        }
    ),
    "GL Entry": frozenset(
        {
            "name",
            "voucher_type",
            "voucher_no",
            "account",
            "account_currency",
            "debit_in_account_currency",
            "credit_in_account_currency",
            "debit",
            "credit",
            "cost_center",
            "posting_date",
            "remarks",
            "is_cancelled",
            "creation",
        }
    ),
}
"""Of every DocType the fields that may be named. Frappe drops unknown fields of documents without a word; the simulator
refuses them."""

ROW_FIELDS = frozenset(
    {
        "account",
        "account_currency",
        "exchange_rate",
        "debit_in_account_currency",
        "credit_in_account_currency",
        "user_remark",
        "cost_center",
        "project",
    }
)
_OWN_FIELDS = {"name", "creation"}
_VOUCHER_TYPES = {"Journal Entry", "Bank Entry", "Cash Entry", "Opening Entry", "Exchange Rate Revaluation"}
_LONGEST = {"cheque_no": 140, "title": 140, "custom_tillwire_reference": 140, "company": 140}


class FrappeFault(Exception):
    """An exception of Frappe's own: its class by ``kind``, the status it is answered with, and its words."""

    def __init__(self, kind: str, words: str, status: int = 417) -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words
        self.status = status


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "in": lambda left, right: left in right,
    "not in": lambda left, right: left not in right,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def matching(doctype: str, records: Iterable[Record], filters: Any, fields: Any) -> list[Record]:
    """The records for which all filters hold, with these fields."""
    if not isinstance(filters, list) or not isinstance(fields, list):
        raise FrappeFault("DataError", "filters and fields must be lists")
    for one in filters:
        if not isinstance(one, list) or len(one) != 3 or one[1] not in _OPERATORS:
            raise FrappeFault("DataError", f"Invalid filter: {one!r}")
        if one[1] in ("in", "not in") and not isinstance(one[2], list):
            raise FrappeFault("DataError", f"Invalid filter: {one!r}")
    for name in [*(one[0] for one in filters), *fields]:
        if name not in FIELDS[doctype]:
            raise FrappeFault("DataError", f"Field not permitted in query: {name}")
    return [
        {name: record.get(name) for name in fields}
        for record in records
        if all(_OPERATORS[op](record.get(name), value) for name, op, value in filters)
    ]


def checked_entry(given: Any, linked: Callable[[str, str], Record | None], currency: str) -> Record:
    """A Journal Entry with its amounts valued in the company's ``currency``. Raises ``FrappeFault``."""
    if not isinstance(given, dict) or given.get("doctype", "Journal Entry") != "Journal Entry":
        raise FrappeFault("ValidationError", "a Journal Entry is expected")
    unknown = sorted(set(given) - (FIELDS["Journal Entry"] - _OWN_FIELDS))
    if unknown:
        raise FrappeFault("ValidationError", f"Journal Entry has no field {unknown[0]}")
    for name in ("company", "posting_date", "voucher_type"):
        if not given.get(name):
            raise FrappeFault("MandatoryError", f"[Journal Entry, new-journal-entry]: {name}")
    _check_texts(given)
    if linked("Company", given["company"]) is None:
        raise FrappeFault("LinkValidationError", f"Could not find Company: {given['company']}")
    rows = given.get("accounts")
    if not isinstance(rows, list) or not rows:
        raise FrappeFault("ValidationError", "Accounts table cannot be blank.")
    checked = [
        _checked_row(at, row, linked, currency, bool(given.get("multi_currency"))) for at, row in enumerate(rows, 1)
    ]
    difference = sum((row["debit"] - row["credit"] for row in checked), ZERO)
    if difference:
        words = f"Total Debit must be equal to Total Credit. The difference is {difference}"
        raise FrappeFault("ValidationError", words)
    return {"docstatus": 0, **given, "accounts": checked}


def _check_texts(given: Mapping[str, Any]) -> None:
    if given["voucher_type"] not in _VOUCHER_TYPES:
        raise FrappeFault("ValidationError", f'Entry Type cannot be "{given["voucher_type"]}".')
    if given.get("docstatus", 0) not in (0, 1):
        raise FrappeFault("DocstatusTransitionError", f"Invalid docstatus {given['docstatus']}")
    for name, most in _LONGEST.items():
        if len(str(given.get(name) or "")) > most:
            words = f"'{name}' ({given[name]}) will get truncated, as max characters allowed is {most}"
            raise FrappeFault("CharacterLengthExceededError", words)
    if given.get("cheque_no") and not given.get("cheque_date"):
        raise FrappeFault("MandatoryError", "Please enter Reference date")
    for name in ("posting_date", "cheque_date"):
        if given.get(name):
            _date(given[name])


def _date(text: Any) -> date:
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise FrappeFault("ValidationError", f"{text} is not a valid date") from None


def _checked_row(
    at: int, row: Any, linked: Callable[[str, str], Record | None], currency: str, multi_currency: bool
) -> Record:
    if not isinstance(row, dict) or not set(row) <= ROW_FIELDS:
        raise FrappeFault("ValidationError", f"Row #{at}: Journal Entry Account has no such fields: {row!r}")
    account = linked("Account", str(row.get("account")))
    if account is None:
        raise FrappeFault("LinkValidationError", f"Could not find Row #{at}: Account: {row.get('account')}")
    if row.get("cost_center") and linked("Cost Center", row["cost_center"]) is None:
        raise FrappeFault("LinkValidationError", f"Could not find Row #{at}: Cost Center: {row['cost_center']}")
    debit, credit = _amount(at, row, "debit_in_account_currency"), _amount(at, row, "credit_in_account_currency")
    if not debit and not credit:
        raise FrappeFault("ValidationError", f"Row {at}: Both Debit and Credit values cannot be zero")
    if debit and credit:
        raise FrappeFault("ValidationError", "You cannot credit and debit same account at the same time")
    if account["account_currency"] != currency and not multi_currency:
        words = "Please check Multi Currency option to allow accounts with other currency"
        raise FrappeFault("ValidationError", words)
    own = account["account_currency"] == currency
    rate = Decimal(1) if own else Decimal(str(row.get("exchange_rate") or 0))
    if rate <= 0:
        raise FrappeFault("ValidationError", f"Row {at}: Exchange Rate is mandatory")
    valued = {"debit": rounded(debit * rate, currency), "credit": rounded(credit * rate, currency)}
    return {**row, "account_currency": account["account_currency"], **valued}


def _amount(at: int, row: Mapping[str, Any], name: str) -> Decimal:
    value = row.get(name, 0)
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        amount = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise FrappeFault("ValidationError", f"Row #{at}: {name} {value!r} is no number") from None
    if amount < 0:
        raise FrappeFault("NonNegativeError", f"Row #{at}: {name} cannot be negative")
    return amount


def in_order(records: list[Record], order: str, names: Sequence[str]) -> list[Record]:
    """Records in an order such as ``name asc``, by a field that may not be among those asked for."""
    name, _, direction = order.partition(" ")
    if name not in names:
        raise FrappeFault("ValidationError", f"Invalid order by: {order}")
    return sorted(records, key=lambda one: str(one.get(name)), reverse=direction.strip().lower() == "desc")
