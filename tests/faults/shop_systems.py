"""Shops whose systems speak their own words: POSLog messages that are posted, flat files that are dropped into an inbox.

What they say is known as canonical events too, from which everything that must come of it can be computed.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from builders import Event, day_close, line, sale
from driving import until

from tillwire.config import Connection, Drop

POSTED, DROPPED = "stores", "franchise"
DAY = date(2025, 1, 2)
BATCH_RECORDS = 5
_RECEIPTS = 60
"""Receipts in a file: several batches, so that a process may die between any two."""
_PER_MESSAGE = 5
_REPEATED = 0.2
_PATIENCE_S = 120.0

_HEADER = "store,no,sku,quantity,price,amount,tax,total"
_MAPPING: dict[str, Any] = {
    "group_by": ["store", "no"],
    "events": [
        {
            "type": "transaction",
            "fields": {
                "store": {"column": "store"},
                "register": {"constant": "1"},
                "business_date": {"constant": DAY.isoformat()},
                "sequence": {"column": "no"},
                "kind": {"constant": "sale"},
                "currency": {"constant": "USD"},
                "total": {"column": "total"},
            },
            "lists": [
                {
                    "into": "lines",
                    "fields": {
                        "sku": {"column": "sku"},
                        "quantity": {"column": "quantity"},
                        "unit_price": {"column": "price"},
                        "amount": {"column": "amount"},
                    },
                },
                {"into": "lines.taxes", "fields": {"code": {"constant": "STD"}, "amount": {"column": "tax"}}},
                {
                    "into": "tenders",
                    "first": True,
                    "fields": {"type": {"constant": "cash"}, "amount": {"column": "total"}},
                },
            ],
        }
    ],
}


def connections(inbox: Path) -> tuple[Connection, ...]:
    """Both connections, as they are configured."""
    drop = Drop(quiet_s=0, batch_records=BATCH_RECORDS)
    return (
        Connection(name=POSTED, connector="poslog"),
        Connection(name=DROPPED, connector="flatfile", settings=_MAPPING, inbox=str(inbox), drop=drop),
    )


def poslog(transactions: list[Event]) -> bytes:
    """Sales as POSLog."""
    return f"<POSLog>{''.join(_element(one['data']) for one in transactions)}</POSLog>".encode()


def _element(data: dict[str, Any]) -> str:
    lines = "".join(
        f"<LineItem><Sale><ItemID>{one['sku']}</ItemID><RegularSalesUnitPrice>{one['unit_price']}</RegularSalesUnitPrice>"
        f"<ExtendedAmount>{one['amount']}</ExtendedAmount><Quantity>{one['quantity']}</Quantity>"
        f'<Tax TaxType="Sales"><TaxableAmount>{one["amount"]}</TaxableAmount><Amount>{one["taxes"][0]["amount"]}</Amount>'
        f"<TaxGroupID>{one['taxes'][0]['code']}</TaxGroupID></Tax></Sale></LineItem>"
        for one in data["lines"]
    )
    return (
        f"<Transaction><RetailStoreID>{data['store']}</RetailStoreID><WorkstationID>{data['register']}</WorkstationID>"
        f"<SequenceNumber>{data['sequence']}</SequenceNumber><BusinessDayDate>{data['business_date']}</BusinessDayDate>"
        f"<CurrencyCode>{data['currency']}</CurrencyCode><RetailTransaction>{lines}"
        f'<LineItem><Tender TenderType="Cash"><Amount>{data["total"]}</Amount></Tender></LineItem>'
        f'<Total TotalType="TransactionGrandAmount">{data["total"]}</Total></RetailTransaction></Transaction>'
    )


def flat(transactions: list[Event]) -> bytes:
    """Sales as rows, one a line."""
    found = [_HEADER]
    for data in (one["data"] for one in transactions):
        for one in data["lines"]:
            figures = (one["sku"], one["quantity"], one["unit_price"], one["amount"], one["taxes"][0]["amount"])
            found.append(",".join((data["store"], str(data["sequence"]), *figures, data["total"])))
    return ("\n".join(found) + "\n").encode()


class ShopSystems:
    """Both systems at work: begun inside, and at an end with all they have to say outside (or broken off by an error)."""

    def __init__(self, url: str, inbox: Path, *, posting: str, dropping: str) -> None:
        """``posting`` and ``dropping`` are the stores that they speak for."""
        self.events: list[Event] = []
        """The sales that are to be recorded, each once."""
        self.files: dict[str, int] = {}
        """The files with what is good and new in them -> receipts."""
        self.answers: dict[bytes, list[str]] = defaultdict(list)
        """By body: what its sender was told."""
        self.troubles: Counter[str] = Counter()
        self.inbox = inbox
        self._url = url
        self._posting, self._dropping = posting, dropping
        self._numbers: Counter[str] = Counter()
        self._chance = random.Random("systems")
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._broken_off = False
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="system")
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._post_for_long), self._pool.submit(self._drop_for_long)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._broken_off = error is not None
        self._pool.shutdown(wait=error is None)
        if error is None:
            for one in self._running:
                one.result()

    def closings(self) -> list[Event]:
        """The close of each store's day, with the totals of what it sold."""
        stores = (self._posting, self._dropping)
        sold = {number: [one for one in self.events if one["data"]["store"] == number] for number in stores}
        return [day_close(sold[number], store=number, day=DAY) for number in stores]

    def drop(self, name: str, content: bytes) -> None:
        """Put a file into the inbox, whole at once."""
        part = self.inbox / f"{name}.part"
        part.write_bytes(content)
        part.rename(self.inbox / name)

    def wait_put_away(self, names: set[str]) -> None:
        """Wait until these files were put away, and nothing is left in the inbox and on its way."""

        def left() -> list[str]:
            return [
                one.name
                for folder in (self.inbox, self.inbox / "working")
                if folder.is_dir()
                for one in folder.iterdir()
                if one.is_file()
            ]

        until(lambda: not left() and names <= {one.name for one in self.reports()}, _PATIENCE_S)

    def reports(self) -> list[Path]:
        """The files that were put away and have their report beside them, without its suffix."""
        found = [*(self.inbox / "done").glob("*.report.json"), *(self.inbox / "failed").glob("*.report.json")]
        return [one.with_name(one.name.removesuffix(".report.json")) for one in found]

    def sales(self, store: str, count: int) -> list[Event]:
        """The next sales of a store, of one or two lines each."""
        with self._lock:
            made = []
            for _ in range(count):
                self._numbers[store] += 1
                lines = [self._line("milk"), self._line("bread")][: self._chance.randint(1, 2)]
                made.append(sale(self._numbers[store], *lines, store=store, day=DAY))
            return made

    def _line(self, sku: str) -> dict[str, Any]:
        pieces, cents = self._chance.randint(1, 9), self._chance.randint(50, 2000)
        tax = round(pieces * cents / 10)
        return line(sku, str(pieces), f"{cents // 100}.{cents % 100:02}", tax=("STD", f"{tax // 100}.{tax % 100:02}"))

    def _drop_for_long(self) -> None:
        number = 0
        while not self._enough.wait(0.2):
            number += 1
            sold = self.sales(self._dropping, _RECEIPTS)
            self.events += sold
            self.files[f"{number:04}.csv"] = len(sold)
            self.drop(f"{number:04}.csv", flat(sold))

    def _post_for_long(self) -> None:
        again: list[bytes] = []
        with httpx2.Client(base_url=self._url, timeout=30) as client:
            while not self._enough.wait(0.05):
                sold = self.sales(self._posting, _PER_MESSAGE)
                self.events += sold
                body = poslog(sold)
                self._deliver(client, body)
                if self._chance.random() < _REPEATED:
                    again.append(body)
                    self._deliver(client, self._chance.choice(again))

    def _deliver(self, client: httpx2.Client, body: bytes) -> None:
        def answered() -> bool:
            if self._broken_off:
                return True
            try:
                answer = client.post(
                    f"/v1/connections/{POSTED}", content=body, headers={"Content-Type": "application/xml"}
                )
            except httpx2.TransportError as error:
                self.troubles[type(error).__name__] += 1
                return False
            if answer.status_code == 503:
                self.troubles["503"] += 1
                return False
            assert answer.status_code in (200, 202), (answer.status_code, answer.text)
            self.answers[body].append(answer.json()["status"])
            return True

        until(answered, _PATIENCE_S)
