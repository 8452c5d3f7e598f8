"""The exceptions at the demo's end: ranked by money at risk, and one root cause mended by the record it lacked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import psycopg

from tillwire.demo.books import Books
from tillwire.demo.faults import NEW, UNKNOWN_PRODUCT
from tillwire.demo.retailer import CURRENCY
from tillwire.exceptions.queue import Cause, causes
from tillwire.model.master import ProductRecord
from tillwire.model.money import ZERO


class Ranked(msgspec.Struct, frozen=True):
    """A root cause with what depends on it."""

    cause: str
    owner: str
    exceptions: int
    at_risk: Decimal
    """In dollars."""
    mended: bool = False


class Mended(msgspec.Struct, frozen=True):
    """The queue before the fix, most money at risk first, with what one record mended."""

    ranking: list[Ranked]
    record: str = ""
    transactions: int = 0
    amount: Decimal = ZERO


def ranked(connection: psycopg.Connection) -> list[Ranked]:
    """The queue by root cause, most money at risk first."""
    return [
        Ranked(one.cause, one.owner, one.exceptions, _dollars(one))
        for one in causes(connection)
        if one.code != "duplicate_conflict"
    ]


def _dollars(cause: Cause) -> Decimal:
    return sum((money.amount for money in cause.money if money.currency == CURRENCY), ZERO)


def mend_dearest(
    connection: psycopg.Connection,
    books: Books,
    products: Callable[[str], ProductRecord],
    send: Callable[[ProductRecord], None],
    wait: Callable[[Callable[[], bool]], None],
) -> Mended:
    """Send the master record that the dearest unknown product lacks, and wait until all that waited for it is recorded.

    ``products`` gives the record of a known product that is like it; ``send`` hands one to the hub; ``wait`` waits.
    """
    ranking = ranked(connection)
    dearest = next((one for one in ranking if one.cause.startswith(UNKNOWN_PRODUCT + ":")), None)
    if dearest is None:
        return Mended(ranking)
    sku = dearest.cause.partition(":")[2]
    keys = _keys(connection, dearest.cause)
    record = msgspec.structs.replace(products(sku.removeprefix(NEW)), sku=sku, gtins=())
    send(record)
    wait(lambda: not _keys(connection, dearest.cause))
    for key in keys:
        books.mend(books.spoilt[key])
    amount = sum((books.spoilt[key].total for key in keys), ZERO)
    told = [msgspec.structs.replace(one, mended=one.cause == dearest.cause) for one in ranking]
    return Mended(told, f"product {sku}", len(keys), amount)


def _keys(connection: psycopg.Connection, cause: str) -> list[str]:
    rows = connection.execute(
        "SELECT key FROM exception WHERE cause = %s AND severity = 'blocking'"
        " AND state NOT IN ('resolved', 'dismissed', 'superseded')",
        (cause,),
    )
    return [key for (key,) in rows]
