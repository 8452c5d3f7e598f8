"""A franchise store that drops one CSV a day: rows of several kinds between a header and a trailer with its total."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from tillwire.demo.retailer import CURRENCY
from tillwire.model.money import ZERO
from tillwire.model.till import DayClosed, DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import SELLING, Transaction

_KEY = ("store", "register", "date", "number")
_ROWS: dict[str, tuple[str, ...]] = {
    "FH": ("file_store", "file_date"),
    "FT": ("transactions", "turnover"),
    "S": (
        *_KEY, "transaction", "sells", "total", "tax", "at", "receipt",
        "original_register", "original_date", "original_number",
    ),
    "L": (*_KEY, "product", "quantity", "unit", "price", "amount"),
    "D": (*_KEY, "off", "reason"),
    "X": (*_KEY, "tax_code", "tax_rate", "tax_amount"),
    "P": (*_KEY, "means", "paid", "is_change"),
    "O": (*_KEY, "opened_at", "float"),
    "C": (*_KEY, "closed_at", "count", "amount", "first", "last"),
    "N": (*_KEY, "means", "calculated", "counted"),
    "B": (*_KEY, "begun_at"),
    "E": (*_KEY, "ended_at", "count", "amount"),
}  # fmt: skip
"""Kinds of rows, by the letter each begins with, and their columns."""


def written(messages: Iterable[Any], store: str) -> bytes:
    """Canonical messages of one store's day as its file."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    rows: list[list[object]] = []
    count, turnover, controls = 0, ZERO, 0
    day = ""
    for message in messages:
        day = f"{message.business_date}"
        if isinstance(message, Transaction):
            if message.kind in SELLING:
                count, turnover = count + 1, turnover + message.total
            rows += _transaction(message)
        else:
            controls += 1
            rows += _control(message, controls)
    out.writerow(["FH", store, day])
    out.writerows(rows)
    out.writerow(["FT", count, turnover])
    return text.getvalue().encode()


def _transaction(tx: Transaction) -> Iterable[list[object]]:
    key = [tx.store, tx.register, tx.business_date, tx.sequence]
    was = tx.original
    yield [
        "S", *key, tx.kind.value, "yes" if tx.kind in SELLING else "no", tx.total, tx.tax if tx.tax is not None else "",
        tx.ended_at.isoformat() if tx.ended_at else "", tx.receipt or "",
        was.register if was else "", was.business_date if was else "", was.sequence if was else "",
    ]  # fmt: skip
    for line in tx.lines:
        yield ["L", *key, line.sku, line.quantity, line.unit, line.unit_price, line.amount]
        yield from (["D", *key, discount.amount, discount.reason] for discount in line.discounts)
        yield from (["X", *key, tax.code, tax.rate, tax.amount] for tax in line.taxes)
    yield from (["P", *key, tender.type, tender.amount, "yes" if tender.change else "no"] for tender in tx.tenders)


def _control(message: Any, number: int) -> Iterable[list[object]]:
    key = [message.store, getattr(message, "register", ""), message.business_date, f"c{number}"]
    at = message.at.isoformat() if message.at else ""
    match message:
        case DayOpened():
            yield ["B", *key, at]
        case DayClosed(totals=totals):
            yield ["E", *key, at, totals.transactions, totals.amount]
        case TillOpened():
            yield ["O", *key, at, message.opening_float]
        case TillClosed(totals=totals):
            yield ["C", *key, at, totals.transactions, totals.amount, totals.first_sequence, totals.last_sequence]
            yield from (["N", *key, one.type, one.calculated, one.counted] for one in message.tenders)
        case _:
            raise TypeError(f"no row for {type(message).__name__}")


def settings() -> dict[str, object]:
    """The mapping that reads such a file: the settings of a ``flatfile`` connection."""
    return {
        "header": False,
        "discriminator": "1",
        "rows": {
            kind: {"columns": ["kind", *columns]}
            | ({"role": "header"} if kind == "FH" else {"role": "trailer"} if kind == "FT" else {})
            for kind, columns in _ROWS.items()
        },
        "group_by": list(_KEY),
        "checks": [
            {"claimed": {"column": "transactions"}, "rows": ["S"], "when": [{"column": "sells", "is_in": ["yes"]}]},
            {
                "claimed": {"column": "turnover"},
                "rows": ["S"],
                "when": [{"column": "sells", "is_in": ["yes"]}],
                "sum": {"column": "total"},
            },
        ],
        "events": _events(),
    }


def _columns(**fields: str) -> dict[str, dict[str, object]]:
    return {name: {"column": column} for name, column in fields.items()}


def _events() -> list[dict[str, object]]:
    place = _columns(store="store", business_date="date")
    till = place | _columns(register="register")
    money: dict[str, dict[str, object]] = {"currency": {"constant": CURRENCY}}
    original = {
        "original.store": {"column": "store"},
        "original.register": {"column": "original_register"},
        "original.business_date": {"column": "original_date"},
        "original.sequence": {"column": "original_number"},
    }
    totals = {"totals.transactions": {"column": "count"}, "totals.amount": {"column": "amount"}}
    sold: dict[str, object] = {
        "type": "transaction",
        "when": [{"column": "kind", "is_in": ["S"]}, {"column": "original_number", "is_in": [""]}],
        "fields": till
        | money
        | _columns(sequence="number", kind="transaction", total="total", tax="tax", ended_at="at", receipt="receipt"),
        "lists": [
            {
                "into": "lines",
                "rows": ["L"],
                "fields": _columns(
                    sku="product", quantity="quantity", unit="unit", unit_price="price", amount="amount"
                ),
            },
            {"into": "lines.discounts", "rows": ["D"], "fields": _columns(amount="off", reason="reason")},
            {
                "into": "lines.taxes",
                "rows": ["X"],
                "fields": _columns(code="tax_code", rate="tax_rate", amount="tax_amount"),
            },
            {"into": "tenders", "rows": ["P"], "fields": _columns(type="means", amount="paid", change="is_change")},
        ],
    }
    taken_back: dict[str, object] = sold | {
        "when": [{"column": "kind", "is_in": ["S"]}, {"column": "original_number", "not_in": [""]}],
        "fields": {
            **till,
            **money,
            **_columns(
                sequence="number", kind="transaction", total="total", tax="tax", ended_at="at", receipt="receipt"
            ),
            **original,
        },
    }
    return [
        sold,
        taken_back,
        {
            "type": "till.opened",
            "when": [{"column": "kind", "is_in": ["O"]}],
            "fields": till | money | _columns(opening_float="float", at="opened_at"),
        },
        {
            "type": "till.closed",
            "when": [{"column": "kind", "is_in": ["C"]}],
            "fields": till
            | money
            | totals
            | {"totals.first_sequence": {"column": "first"}, "totals.last_sequence": {"column": "last"}}
            | _columns(at="closed_at"),
            "lists": [
                {
                    "into": "tenders",
                    "rows": ["N"],
                    "fields": _columns(type="means", calculated="calculated", counted="counted"),
                }
            ],
        },
        {
            "type": "day.opened",
            "when": [{"column": "kind", "is_in": ["B"]}],
            "fields": place | _columns(at="begun_at"),
        },
        {
            "type": "day.closed",
            "when": [{"column": "kind", "is_in": ["E"]}],
            "fields": place | money | totals | _columns(at="ended_at"),
        },
    ]
