"""How the Tryton connector reads replies, without a Tryton: types, errors by kind and status, sessions, warnings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tillwire import clock
from tillwire.connectors.tryton import TrytonSettings, wire
from tillwire.connectors.tryton.client import TrytonClient
from tillwire.connectors.tryton.faults import FaultPlan, FaultProxy
from tillwire.errors import (
    AuthenticationError,
    ConfigurationError,
    OutcomeUnknownError,
    RateLimitedError,
    RejectedError,
    TillwireError,
    TransientError,
)

SETTINGS = TrytonSettings(url="http://erp", database="erp", username="u", password="secret", company="C")
CREATE = "model.account.move.create"
READ = "model.account.move.search_read"


def test_values_keep_their_types() -> None:
    values = {
        "amount": Decimal("120.00"),
        "day": date(2017, 2, 28),
        "moment": datetime(2017, 2, 28, 23, 59, 58, 7),  # noqa: DTZ001  Tryton's own times carry no zone
        "bytes": b"\x00\xff",
        "rest": [None, True, 1, "ü", {}],
    }
    assert wire.decode(wire.encode(values)) == values
    assert b'{"__class__":"Decimal","decimal":"120.00"}' in wire.encode(values)
    with pytest.raises(TypeError, match="object"):
        wire.encode({"unknown": object()})


CUT_OFF = ["consuming input failed: server closed the connection unexpectedly", ""]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (["UserError", ["No such account", "4711", None]], RejectedError, "No such account 4711"),
        (
            ["UserError", ['could not obtain lock on row in relation "ir_sequence_strict"', "", None]],
            TransientError,
            "obtain lock",
        ),
        (["ConcurrencyException", "Records were modified in the meanwhile"], TransientError, "in the meanwhile"),
        (["LoginException", ["password", "Password for u", "password"]], AuthenticationError, "Password for u"),
        (["UserWarning", ["name", "Sure?", ""]], wire.ErpWarningError, "Sure[?]"),
        (["deadlock detected", "Traceback"], TransientError, "deadlock"),
        (["'NoneType' object has no attribute 'id'", "Traceback"], wire.ErpFaultError, "NoneType"),
        ([], wire.ErpFaultError, "failed"),
        (CUT_OFF, OutcomeUnknownError, "lost its database"),
    ],
)
def test_errors_of_the_erp_by_kind(error: list[Any], kind: type[TillwireError], words: str) -> None:
    found = wire.error_of(error, writes=True)
    assert type(found) is kind
    with pytest.raises(kind, match=words):
        wire.result_of(wire.encode({"id": 1, "error": error}), writes=True)


def test_a_read_is_never_of_unknown_outcome() -> None:
    assert type(wire.error_of(CUT_OFF, writes=False)) is TransientError
    assert type(wire.status_error(502, {}, b"", writes=False)) is TransientError
    with pytest.raises(TransientError):
        wire.result_of(b'{"id":1,"resu', writes=False)


@pytest.mark.parametrize(
    ("status", "payload", "kind"),
    [
        (301, b"", ConfigurationError),
        (400, b"", RejectedError),
        (401, b"", wire.SessionExpiredError),
        (403, b"", AuthenticationError),
        (404, b"", TransientError),
        (413, b"", RejectedError),
        (429, b"", RateLimitedError),
        (500, b"", OutcomeUnknownError),
        (502, b"", OutcomeUnknownError),
        (503, b"<p>could not obtain lock on row", TransientError),
        (503, b"<p>terminating connection due to administrator command", OutcomeUnknownError),
        (504, b"", OutcomeUnknownError),
    ],
)
def test_errors_by_status(status: int, payload: bytes, kind: type[TillwireError]) -> None:
    assert type(wire.status_error(status, {}, payload, writes=True)) is kind


def test_what_a_page_says_is_told_without_its_markup() -> None:
    page = b"<!doctype html>\n<h1>Service &amp; more</h1>\n<p>Later</p>"
    assert str(wire.status_error(503, {}, page, writes=True)) == "the ERP answered 503: Service & more Later"


def test_numbers_are_read_as_decimals() -> None:
    read = wire.decode(b'{"quantity": 0.1, "lasts": {"__class__": "timedelta", "seconds": 1.5}}')
    assert read == {"quantity": Decimal("0.1"), "lasts": timedelta(seconds=1.5)}
    assert isinstance(read["quantity"], Decimal)


@pytest.mark.parametrize(
    ("stated", "seconds"),
    [
        ("7", 7.0),
        ("Sat, 21 Nov 2026 10:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(monkeypatch: pytest.MonkeyPatch, stated: str, seconds: float | None) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC))
    assert wire.retry_after_s({"retry-after": stated}) == seconds


class Script:
    """An ERP that answers as told; ``asked`` has the methods it was asked for."""

    def __init__(self, answer: Callable[[str], httpx2.Response]) -> None:
        self.asked: list[str] = []
        self._answer = answer

    def client(self) -> TrytonClient:
        """A client that speaks to it."""
        return TrytonClient(SETTINGS, transport=httpx2.MockTransport(self._handle))

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        method = wire.decode(request.content)["method"]
        self.asked.append(method)
        if method == "common.db.login" and "Authorization" not in request.headers:
            return said(result=[4, "token", None])
        return self._answer(method)


def said(**reply: Any) -> httpx2.Response:
    return httpx2.Response(200, json={"id": 1} | reply)


def test_a_session_that_is_refused_twice_is_not_tried_a_third_time() -> None:
    script = Script(lambda _: httpx2.Response(401))
    with pytest.raises(AuthenticationError):
        script.client().call(CREATE, [])
    assert script.asked == ["common.db.login", CREATE, "common.db.login", CREATE]


def test_a_warning_that_comes_again_and_again_is_a_refusal() -> None:
    warning = {"error": ["UserWarning", ["the name", "Are you sure?", ""]]}
    script = Script(lambda method: said(result=None) if method.endswith("skip") else said(**warning))
    with pytest.raises(RejectedError, match="keeps warning: Are you sure"):
        script.client().call(CREATE, [])
    assert script.asked == ["common.db.login", CREATE, "model.res.user.warning.skip", CREATE]


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b'{"id":1}', b"[]"])
def test_a_reply_that_is_not_the_erps_is_none(body: bytes) -> None:
    client = Script(lambda _: httpx2.Response(200, content=body)).client()
    with pytest.raises(OutcomeUnknownError):
        client.call(CREATE, [])
    with pytest.raises(TransientError):
        client.call(READ, [])


def test_a_user_locked_out_is_rate_limited() -> None:
    client = TrytonClient(SETTINGS, transport=httpx2.MockTransport(lambda _: httpx2.Response(429)))
    with pytest.raises(RateLimitedError):
        client.call(CREATE, [])


def test_the_password_stays_out_of_sight() -> None:
    assert "secret" not in repr(SETTINGS)


def test_fault_plans_are_checked() -> None:
    for rates in ({"typo": 0.1}, {"delay": 0.7, "lose_reply": 0.7}, {"delay": -0.1}):
        with pytest.raises(ConfigurationError):
            FaultPlan(rates=rates)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        FaultProxy("nowhere")


def test_the_same_seed_gives_the_same_faults() -> None:
    def run(seed: int) -> list[str]:
        plan = FaultPlan(rates={"unavailable": 0.3, "rate_limited": 0.3}, seed=seed, most=5)
        told = []
        # Nobody listens upstream, so that what is passed on is answered 503 too, but is not counted as injected.
        with FaultProxy("http://127.0.0.1:9", plan) as proxy, httpx2.Client(trust_env=False) as client:
            for _ in range(12):
                client.post(proxy.url, json={"method": CREATE})
                told.append(",".join(f"{kind}{times}" for kind, times in sorted(proxy.injected.items())))
            client.post(proxy.url, json={"method": "common.db.login"})
            assert (proxy.calls[CREATE], proxy.calls["common.db.login"], proxy.injected.total()) == (12, 1, 5)
        return told

    assert run(3) == run(3)
    assert run(3) != run(4)
