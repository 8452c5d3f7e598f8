"""A chain for the console's tests: stores in two companies and four regions, three days of trade, some of it amiss."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import psycopg
from builders import DAY, Event, day_close, line, masters, product, returned, sale, store, tender
from driving import accept, record
from posting_kit import BOOK, policy_of

from tillwire import clock
from tillwire.config import Settings
from tillwire.observability.observer import Observer
from tillwire.posting.build import build_journals

STORES = 24
HOSTILE = "<script>alert('x')</script> & \"tea\" 'n' {{ 7*7 }}"
"""A name that a page must show and not run."""

TOML = """
[[erps]]
name = "books"
kind = "odoo"
[erps.settings]
url = "http://127.0.0.1:9"
database = "shop"
username = "hub"
api_key = "not asked for in these tests"
company = "ACME"
"""


def number_of(place: int) -> str:
    """The number of the n-th store."""
    return str(7101 + place)


def chain() -> list[Event]:
    """Its master data."""
    stores = [
        store(
            number_of(place),
            company="ACME" if place < 16 else "NORTH",
            region=("east", "west", "north", "south")[place % 4],
            name=HOSTILE if place == 3 else f"Store {place + 1}",
        )
        for place in range(STORES)
    ]
    return [*masters(*stores), product("tea", "drinks", name=HOSTILE)]


def trade(day_back: int) -> list[Event]:
    """A day's trade: sales and returns, one unknown product, days that are closed, one of them with a wrong total."""
    day = DAY - timedelta(days=day_back)
    found: list[Event] = []
    for place in range(STORES - 2):
        number = number_of(place)
        own = [
            sale(
                one,
                line("milk", str(1 + (place + one) % 4), "2.00", tax=("STD", "0.40")),
                line("tea", "1", "3.50", description=HOSTILE),
                store=number,
                day=day,
                register=str(1 + one % 2),
                ended_at=f"{day}T{8 + one:02}:15:00Z",
                receipt=f"R-{number}-{one}",
            )
            for one in range(1, 7)
        ]
        own.append(returned(7, store=number, day=day, ended_at=f"{day}T17:00:00Z"))
        found += own
        if place == 5 and day_back == 0:
            found.append(sale(8, line("mystery", "3", "400.00"), store=number, day=day, tenders=[tender("1200.00")]))
        if day_back or place % 3:
            found.append(_closed(number, day, own, wrong=place == 7 and day_back == 0))
    return found


def _closed(number: str, day: date, own: list[Event], *, wrong: bool) -> Event:
    """What a store says of its day; one of them counts a sale that nobody sent."""
    return day_close([*own, *own[:1]] if wrong else own, store=number, day=day)


def fill(url: str) -> None:
    """Put the chain and its trade into a database, and build the journals of days that are closed."""
    accept(url, chain())
    record(url)
    for day_back in (2, 1, 0):
        accept(url, trade(day_back))
        record(url)
    with psycopg.connect(url, autocommit=True) as connection:
        while build_journals(connection, BOOK, policy_of()):
            pass
        Observer(connection, Settings(), ()).step(clock.now())
        connection.execute(
            "UPDATE journal SET state = 'posted', erp = 'books', document_id = 'd' || journal_id, sent_at = built_at,"
            " document_number = 'POS/2026/' || journal_id, posted_at = clock_timestamp(), confirmed_at = clock_timestamp()"
            " WHERE business_date < %s OR store < '7115'",
            (DAY,),
        )


def aside(work: Callable[..., Any], *given: Any) -> Any:
    """Done in another thread: this one has the browser's event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *given).result()
