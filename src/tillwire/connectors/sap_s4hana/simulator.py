"""A simulated S/4HANA system: Journal Entry - Post, synchronous and asynchronous, and the OData services to read by.

Written from SAP's public descriptions of communication scenario SAP_COM_0002 and of the OData V2 services, as of
S/4HANA 2023. Messages are checked as strictly as the schema does (``simulator_messages``), queries against the
services' own properties (``simulator_odata``).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import httpx2

from tillwire import clock
from tillwire.connectors.erp_token import basic
from tillwire.connectors.sap_s4hana.client import ASYNCHRONOUS, ODATA, SYNCHRONOUS
from tillwire.connectors.sap_s4hana.references import document_reference
from tillwire.connectors.sap_s4hana.simulator_messages import EntryRequest, WrongMessageError, bulk_of, check_call
from tillwire.connectors.sap_s4hana.simulator_odata import WrongQueryError, answer_query
from tillwire.connectors.sap_s4hana.simulator_posting import confirmation, confirmations_message
from tillwire.connectors.sap_s4hana.soap import ENVELOPE
from tillwire.connectors.simulated_books import SimulatedBooks
from tillwire.connectors.simulation import Answer, ErpSimulator, Faults, Request, json_answer

TOKEN = "/oauth/token"
XML = {"Content-Type": "text/xml; charset=utf-8"}


class SapSimulator(ErpSimulator):
    """One company code's books. The asynchronous service works a message off at the first call that comes ``lag_s``
    after it, or when told to (``work``), and has its confirmation in ``confirmations`` then."""

    name = "sap_s4hana"
    contract = "SAP_COM_0002 and OData V2 services, S/4HANA 2023"
    company = "SIM"
    company_code = "1010"
    chart = "YCOA"
    account_codes = ("11001000", "41000000", "22000000")
    unknown_account = "99999999"
    dimensions: Mapping[str, str] = {"store": "101"}

    def __init__(
        self,
        *,
        port: int = 0,
        faults: Faults | None = None,
        limit_per_min: int | None = None,
        limit_at_once: int | None = None,
        service: Literal["asynchronous", "synchronous"] = "asynchronous",
        lag_s: float = 0.0,
        callback_url: str = "",
    ) -> None:
        """``service``: which one ``settings`` names. ``callback_url``: where confirmations are posted to."""
        super().__init__(port=port, faults=faults, limit_per_min=limit_per_min, limit_at_once=limit_at_once)
        self.service = service
        self.lag_s = lag_s
        self.callback_url = callback_url
        self.books = SimulatedBooks(self.account_codes, unique_references=False, prefix="01", first_number=10_000_000)
        self.products: dict[str, dict[str, str]] = {"milk-1l": {"ProductGroup": "L001", "ProductDescription": "Milk"}}
        """By number: ProductGroup, BaseUnit, ProductStandardID, ProductDescription."""
        self.reversed: set[str] = set()
        """Numbers of documents that an accountant has reversed, with their reversals."""
        self.messages: set[str] = set()
        """The UUIDs that were taken in."""
        self.failed: dict[str, EntryRequest] = {}
        """What AIF holds with an error, by message ID."""
        self.confirmations: deque[tuple[dict[str, str], bytes]] = deque()
        """Headers and bodies of the calls that SAP makes to us, oldest first."""
        self._waiting: deque[tuple[float, str, list[EntryRequest]]] = deque()
        self._tokens: set[str] = set()
        self._token_number = 0

    # ---- what each ERP says for itself

    def settings(self) -> dict[str, Any]:
        """The settings with which the connector reaches it: OAuth, one company, stores as profit centres."""
        return {
            "url": self.url,
            "token_url": self.url + TOKEN,
            "client_id": "tillwire",
            "client_secret": "simulated-secret",
            "service": self.service,
            "company_codes": {self.company: self.company_code},
            "dimensions": {"store": "ProfitCenter"},
            "chart_of_accounts": self.chart,
            "callback_username": "sap",
            "callback_password": "simulated-callback",
        }

    def wrong_credentials(self) -> dict[str, Any]:
        """Settings with another secret."""
        return {**self.settings(), "client_secret": "wrong"}

    def expire(self) -> None:
        """All tokens run out."""
        self._tokens.clear()

    def writes(self, request: Request) -> bool:
        """Messages that post."""
        return request.method == "POST" and request.path in (SYNCHRONOUS, ASYNCHRONOUS)

    def copy(self, reference: str) -> None:
        """As an accountant does who copies a posted document, its reference with it."""
        made = (self.books.under(reference) or self.books.under(document_reference(reference)))[0]
        self.books.book(made.reference, made.on, made.currency, made.lines, company=made.company, extra=made.extra)

    def reverse(self, number: str) -> None:
        """As an accountant does who reverses a document (FB08): its reversal has the same reference."""
        made = self.books.documents[number]
        lines = [type(line)(line.account, -line.amount, line.description, line.dimensions) for line in made.lines]
        back = self.books.book(made.reference, made.on, made.currency, lines, company=made.company, extra=made.extra)
        self.reversed |= {number, back.number}

    def calls_back(self) -> list[tuple[Mapping[str, str], bytes]]:
        """The confirmations since it was last asked; first works off what waits."""
        with self._lock:
            self.work()
            told: list[tuple[Mapping[str, str], bytes]] = list(self.confirmations)
            self.confirmations.clear()
        return told

    # ---- one call

    def handle(self, request: Request) -> Answer:
        """SAP's answer."""
        self._work_off(clock.monotonic_s() - self.lag_s)
        if request.path == TOKEN:
            return self._give_token(request)
        if not self._known(request.headers.get("authorization", "")):
            return Answer(401, b"Unauthorized", {"WWW-Authenticate": 'Bearer realm="SAP"'})
        if request.path in (SYNCHRONOUS, ASYNCHRONOUS):
            return self._message(request)
        if request.path.startswith(ODATA + "/"):
            return self._query(request)
        return Answer(404, b"Not Found")

    def _give_token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return json_answer({"error": "unsupported_grant_type"}, 400)
        if request.headers.get("authorization") != basic("tillwire", "simulated-secret"):
            return json_answer({"error": "invalid_client"}, 401)
        self._token_number += 1
        token = f"token-{self._token_number}"
        self._tokens.add(token)
        return json_answer({"access_token": token, "token_type": "bearer", "expires_in": 3_600})

    def _known(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        return (scheme == "Bearer" and token in self._tokens) or authorization == basic("TILLWIRE", "simulated")

    def _message(self, request: Request) -> Answer:
        try:
            check_call(request, asynchronous=request.path == ASYNCHRONOUS)
            entries = bulk_of(request.body, most=10 if request.path == SYNCHRONOUS else None)
        except WrongMessageError as error:
            return _fault(str(error))
        if request.path == SYNCHRONOUS:
            answered = [self._post(entry) for entry in entries]
            return Answer(200, confirmations_message(answered, entries[0].bulk_id), XML)
        identifier = request.query["MessageId"].lower()
        if identifier not in self.messages:
            self.messages.add(identifier)
            self._waiting.append((clock.monotonic_s(), identifier, entries))
        return Answer(202)

    def _query(self, request: Request) -> Answer:
        if request.method != "GET":
            return json_answer(_odata_error("405", "Method not allowed"), 405)
        try:
            return json_answer({"d": {"results": answer_query(self, request)}})
        except WrongQueryError as error:
            return json_answer(_odata_error("005056A509B11EE1B9A8FEC11C21D78E", str(error)), error.status)

    # ---- working off

    def work(self) -> None:
        """Work off every message that waits."""
        with self._lock:
            self._work_off(clock.monotonic_s())

    def restart(self, message_id: str) -> None:
        """As a person does in AIF: work off again what failed."""
        with self._lock:
            self._confirm([self.failed.pop(message_id)])

    def _work_off(self, taken_before: float) -> None:
        while self._waiting and self._waiting[0][0] <= taken_before:
            self._confirm(self._waiting.popleft()[2])

    def _confirm(self, entries: list[EntryRequest]) -> None:
        body = confirmations_message([self._post(entry, hold=True) for entry in entries], entries[0].bulk_id)
        headers = {**XML, "Authorization": basic("sap", "simulated-callback")}
        self.confirmations.append((headers, body))
        if self.callback_url:
            threading.Thread(target=_deliver, args=(self.callback_url, headers, body), daemon=True).start()

    def _post(self, entry: EntryRequest, *, hold: bool = False) -> str:
        told, booked = confirmation(self.books, entry, self.company_code, self.chart)
        if hold and not booked:
            self.failed[entry.message_id] = entry
        return told


def _deliver(url: str, headers: dict[str, str], body: bytes) -> None:
    httpx2.post(url, content=body, headers=headers, trust_env=False, timeout=30)


def _fault(words: str) -> Answer:
    body = (
        f'<soap-env:Envelope xmlns:soap-env="{ENVELOPE}"><soap-env:Header/><soap-env:Body><soap-env:Fault>'
        f"<faultcode>soap-env:Client</faultcode><faultstring>{escape(words)}</faultstring>"
        "</soap-env:Fault></soap-env:Body></soap-env:Envelope>"
    )
    return Answer(500, body.encode(), XML)


def _odata_error(code: str, words: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": {"lang": "en", "value": words}, "innererror": {}}}
