"""A dispatcher, or one callback, as a process of its own that a test may kill: ``python dispatching.py WHAT ARGUMENTS``."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from functools import partial

import httpx2
import psycopg
from driving import settings_for
from erp_fake import policies
from plain_erp import PlainConnector, signature

from tillwire import bootstrap
from tillwire.config import Erp
from tillwire.config import Posting as PostingSettings
from tillwire.connectors.erp import MasterKind
from tillwire.http import app
from tillwire.masterdata.taking import take_pulled
from tillwire.model.master import AccountRecord
from tillwire.posting.dispatch import Dispatcher
from tillwire.posting.pulls import Pulls


class Stop:
    """Never asked for: the test kills the process, or ends it by closing its input."""

    def __init__(self) -> None:
        self._event = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        sys.stdin.read()
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """As asked."""
        self._event.wait(seconds)


class WithAccounts(PlainConnector):
    """The plain ERP, as if it had accounts."""

    kinds: tuple[MasterKind, ...] = ("account",)

    def pull(self, kind: str, since: object = None) -> Iterator[AccountRecord]:
        """Two accounts."""
        for number in ("4000", "1010"):
            yield AccountRecord(company="ACME", account=number, name=number, revision=0)


def dispatch(url: str, erp_url: str) -> None:
    """Post to the plain ERP, with a short memory for lost replies."""
    times = {"settle_s": 0.5, "retry_first_s": 0.02, "retry_most_s": 0.1, "poll_s": 0.05}
    chosen = policies(concurrency=2, batch_journals=3, **times)

    def connector(_: object) -> WithAccounts:
        return WithAccounts(erp_url)

    dispatcher = Dispatcher(
        chosen,
        PostingSettings(idle_ms=10),
        Stop(),
        connect=lambda: psycopg.connect(url, autocommit=True),
        make_connector=connector,
        chore=Pulls(60, connector, partial(take_pulled, url)),
    )
    dispatcher.start()
    dispatcher.join()


def call_back(url: str, body: str) -> None:
    """Take one callback, and print the answer."""
    bootstrap.erp_connector = lambda *_, **__: PlainConnector("http://127.0.0.1:9")  # type: ignore[assignment]
    application = app.create_app(settings_for(url, erp=Erp(kind="plain")))

    async def ask() -> None:
        node = application._node  # type: ignore[attr-defined]
        await node.start()
        transport = httpx2.ASGITransport(app=application)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://hub") as client:
            headers = {"x-signature": signature(body.encode())}
            answer = await client.post("/v1/erps/erp/callback", content=body.encode(), headers=headers)
        await node.stop()
        sys.stdout.write(answer.text)

    asyncio.run(ask())


if __name__ == "__main__":
    {"dispatch": dispatch, "call_back": call_back}[sys.argv[1]](*sys.argv[2:])
