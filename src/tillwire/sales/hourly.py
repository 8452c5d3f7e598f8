"""Sales by hour of the store's day, as an async projection: the first figure that store operations look at."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import psycopg

from tillwire.database import sql
from tillwire.events.recorded import Recorded
from tillwire.model.money import ZERO
from tillwire.model.reversal import TransactionReversed
from tillwire.model.transaction import SELLING, Transaction

_sql = sql.load("tillwire.sales", "sales.sql")


class HourlySales:
    """Transactions that sell, counted and added up by the hour on the register's own clock (its offset is kept)."""

    name = "hourly_sales"
    tables: Sequence[str] = ("hourly_sales",)

    def project(self, connection: psycopg.Connection, events: Sequence[Recorded]) -> None:
        """Add the events to their hours. A transaction without a time counts in no hour."""
        hours: dict[tuple[str, str, int, str], tuple[int, Decimal]] = {}
        for recorded in events:
            tx, effect = recorded.message, 1
            if isinstance(tx, TransactionReversed):
                tx, effect = tx.transaction, -1
            if not isinstance(tx, Transaction) or tx.kind not in SELLING or recorded.superseded():
                continue
            moment = tx.ended_at or tx.began_at
            if moment is None:
                continue
            place = (tx.store, str(tx.business_date), moment.hour, tx.currency)
            count, amount = hours.get(place, (0, ZERO))
            hours[place] = (count + effect, amount + effect * tx.total)
        if not hours:
            return
        places = sorted(hours)
        parameters = {
            "stores": [store for store, _, _, _ in places],
            "dates": [day for _, day, _, _ in places],
            "hours": [hour for _, _, hour, _ in places],
            "currencies": [currency for _, _, _, currency in places],
            "transactions": [hours[place][0] for place in places],
            "amounts": "{" + ",".join(str(hours[place][1]) for place in places) + "}",
        }
        connection.execute(_sql.add_hours, parameters)
