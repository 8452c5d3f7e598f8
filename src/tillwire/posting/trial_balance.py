"""The trial balance of what was built: per company, currency and account, and how much of it the ERP has."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.governance.access import ALL, Reach

_sql = sql.load("tillwire.posting", "trial_balance.sql")


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One account. Amounts are debit positive, in ``currency``."""

    company: str
    currency: str
    account: str
    built: Decimal
    """Of every journal there is."""
    posted: Decimal
    """Of those that the ERP says it has posted."""


def trial_balance(
    connection: psycopg.Connection,
    *,
    company: str | None = None,
    store: str | None = None,
    first: date = date.min,
    last: date = date.max,
    reach: Reach = ALL,
) -> list[Balance]:
    """The trial balance of journals of stores within reach, whose business date is in [first, last]; each currency adds
    up to zero.
    """
    parameters = {"company": company, "store": store, "first": first, "last": last, "reach": reach.parameter}
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return [Balance(**row) for row in cursor.execute(_sql.balances, parameters)]
