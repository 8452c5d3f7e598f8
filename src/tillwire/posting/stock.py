"""Stock movements as documents for the ERP: a range's added up by reason and item, or one event's as they are."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model.ledger import StockLine
from tillwire.posting.drafts import STOCK, Draft
from tillwire.posting.due import Day

_sql = sql.load("tillwire.posting", "stock.sql")
NO_CURRENCY = "XXX"
"""What ISO 4217 says where no currency is meant: goods are sent as quantities."""


class _Body(msgspec.Struct):
    lines: list[StockLine]


def gather(connection: psycopg.Connection, days: Sequence[Day]) -> list[Draft]:
    """The stock documents of these days' ranges, for stores that send any. Movements that cancel out make none."""
    chosen = [day for day in days if day.policy.stock != "off"]
    if not chosen:
        return []
    parameters = {
        "days": list(range(len(chosen))),
        "stores": [day.store for day in chosen],
        "dates": [day.business_date for day in chosen],
        "froms": [day.from_offset for day in chosen],
        "tos": [day.to_offset for day in chosen],
        "each": [day.policy.stock == "each" for day in chosen],
    }
    found: dict[tuple[int, int | None], _Body] = {}
    for number, item, reason, sku, bucket, quantity, unit in connection.execute(_sql.movements, parameters):
        line = StockLine(sku=sku, quantity=quantity, unit=unit, reason=reason, bucket=bucket)
        found.setdefault((number, item), _Body([])).lines.append(line)
    return [_draft(chosen[number], item, body) for (number, item), body in found.items()]


def _draft(day: Day, item: int | None, body: _Body) -> Draft:
    return Draft(
        day=day,
        from_offset=day.from_offset if item is None else item,
        to_offset=day.to_offset if item is None else item + 1,
        currency=NO_CURRENCY,
        kind=STOCK,
        company=day.company,
        suffix="/stock",
        body=msgspec.json.encode(body),
    )
