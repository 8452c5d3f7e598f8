"""A hub with two stores, alpha and bravo, each with whatever a store can have, for tests of who sees which.

Whatever is of bravo has its name in it, or an amount of seven million; nothing of alpha has either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from builders import (
    Event,
    changed,
    corrected,
    day_close,
    event,
    level,
    line,
    mapping,
    masters,
    movement,
    original_of,
    price,
    returned,
    sale,
    store,
    till_close,
)
from driving import accept, load, record, rows, scalar
from fixture_types import NewDatabase
from posting_kit import book_of, build
from serving import Api, serving

from tillwire.config import AccountRule
from tillwire.exceptions import fixes
from tillwire.governance.access import Grant
from tillwire.governance.clients import add_client

ALPHA, BRAVO = "alpha", "bravo"
COMPANIES = {ALPHA: "FIRST", BRAVO: "BRAVOCO"}
LARGE = "7000000.00"

CONFIGURATION = """
[erp]
kind = "file"
[erp.settings]
folder = "{folder}"
[[connections]]
name = "files"
connector = "poslog"
[[connections]]
name = "web-shop"
connector = "shopify"
"""


def events_of(number: str) -> list[Event]:
    """What happens in a store on a day, the good and the bad."""
    amount = "2.00" if number == ALPHA else LARGE
    first = sale(1, line("milk", "1", amount, tax=("STD", "0.20")), store=number, order=f"ORDER-{number}")
    second = corrected(sale(2, line("bread", "1", amount), store=number), 2, line("bread", "2", amount))
    bad = sale(3, line("nothing", "1", amount), store=number)
    worse = sale(4, line("nothing", "1", amount), store=number)
    warned = sale(5, line("milk", "1", amount), store=number, register="99")
    sold = [first, sale(2, line("bread", "1", amount), store=number)]
    return [
        *sold,
        second,
        bad,
        worse,
        warned,
        movement(f"DOC-{number}", store=number),
        level(store=number),
        till_close([*sold, bad], "1", store=number, first_sequence=1, last_sequence=9),
        day_close(sold, store=number),
    ]


def masters_of(number: str) -> list[Event]:
    """A store's own master records, and those of its company."""
    company = COMPANIES[number]
    amount = "2.00" if number == ALPHA else LARGE
    own = {"company": company, "revision": 1}
    return [
        event("master.register", {"store": number, "register": "7", "revision": 1}),
        price("milk", amount, store=number),
        event("master.account", {"account": "4000", "name": f"Sales {number}", **own}),
        event("master.period", {"period": "2026-03", "first": "2026-03-01", "last": "2026-03-31", **own}),
        mapping("store", f"X-{number}", number),
    ]


def conflicts_of(number: str) -> list[Event]:
    """What comes once more with other content."""
    return [changed(sale(1, line("milk", "1", "3.00"), store=number), operator=f"{number} clerk")]


def fill(url: str) -> None:
    """Both stores' days: recorded, in exceptions, in journals, some of it in suspense, a fix that waits."""
    both = (ALPHA, BRAVO)
    stores = [store(number, name=f"The {number} store", company=COMPANIES[number]) for number in both]
    load(url, *masters(*stores), *[one for number in both for one in masters_of(number)])
    load(url, *[one for number in both for one in events_of(number)])
    accept(url, [one for number in both for one in conflicts_of(number)])
    elsewhere = returned(
        8, line("milk", "-1", LARGE), store=BRAVO, original=original_of(sale(1, store=ALPHA)), reason="of alpha"
    )
    twice = sale(9, line("milk", "1", LARGE), store=BRAVO, order=f"ORDER-{ALPHA}", source="urn:oms:bravo")
    accept(url, [elsewhere, twice])
    record(url)
    with psycopg.connect(url, autocommit=True) as connection:
        rules = [AccountRule(component=one, account="1") for one in ("tender", "tax", "discount")]
        assert build(connection, book=book_of(*rules)) >= 2
        exception_id = id_of(connection, BRAVO, "unknown_product", last=True)
        told: dict[str, Any] = {"by": "first", "reason": "of bravo", "limit": Decimal(1)}
        assert fixes.dismiss(connection, exception_id, **told).state == "approval"


def id_of(connection: psycopg.Connection, number: str, code: str, *, last: bool = False) -> int:
    """The first, or the last, of a store's exceptions of a code."""
    which = "max" if last else "min"
    query = f"SELECT {which}(exception_id) FROM exception WHERE store = %s AND code = %s"
    return int(scalar(connection, query, number, code))


def references(connection: psycopg.Connection, number: str) -> list[str]:
    """The references of a store's journals."""
    query = "SELECT reference FROM journal WHERE store = %s ORDER BY journal_id"
    return [reference for (reference,) in rows(connection, query, number)]


@contextmanager
def two_stores(new_database: NewDatabase, folder: Path) -> Iterator[tuple[Api, psycopg.Connection]]:
    """An API on such a hub that asks for keys."""
    (folder / "tillwire.toml").write_text(CONFIGURATION.format(folder=folder / "erp"))
    variables = {
        "HTTP_API_KEYS": "required",
        "CLIENTS_TOKEN_KEY": "k" * 40,
        "CONNECTION_WEB_SHOP_SECRET": "whsec",
        "CONNECTION_WEB_SHOP_SHOP": "my-shop.myshopify.com",
    }
    with new_database() as url:
        fill(url)
        with serving(url, folder, **variables) as api, psycopg.connect(url, autocommit=True) as connection:
            yield api, connection


def client(connection: psycopg.Connection, name: str, *grants: Grant) -> str:
    """A new client's key."""
    return add_client(connection, name, grants)
