"""A simulated NetSuite account: OAuth 2.0 client credentials, journal entries, inventory adjustments, SuiteQL.

Written from NetSuite's public help pages on SuiteTalk REST web services (2025.1). What those do not say, such as the
words of some refusals, is as users quote them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tillwire import clock
from tillwire.connectors.netsuite.simulator_records import (
    Adjustment,
    Entry,
    InvalidError,
    read_adjustment,
    read_entry,
)
from tillwire.connectors.netsuite.simulator_tables import SuiteQlError, Tables
from tillwire.connectors.simulated_books import BookLine, RefusalError, SimulatedBooks
from tillwire.connectors.simulation import Answer, ErpSimulator, Request, json_answer
from tillwire.model.ledger import DocumentKind

_TOKEN = "/services/rest/auth/oauth2/v1/token"
_RECORDS = "/services/rest/record/v1/"
_SUITEQL = "/services/rest/query/v1/suiteql"
_ALGORITHMS = ["PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
_TOKEN_S = 3_600
_MOST_ROWS = 1_000
_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
           415: "Unsupported Media Type", 429: "Too Many Requests"}  # fmt: skip
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class NetSuiteSimulator(ErpSimulator):
    """One account with OneWorld; subsidiary 1 is the company."""

    name = "netsuite"
    contract = "SuiteTalk REST web services, record and query v1 (2025.1)"

    def __init__(self, *, accounts: list[str] | None = None, algorithm: str = "ES256", **given: Any) -> None:
        """``algorithm``: ES256 or PS256, of the integration's certificate."""
        super().__init__(**given)
        self.books = SimulatedBooks(accounts, unique_references=True, prefix="JE")
        self.tables = Tables([(1, self.company)])
        self.tables.insert("item", itemid="milk-1l", displayname="Milk, 1 l", stockunit="EA", upccode="4006381333931")
        self.needs_approval = False
        """Whether entries wait for somebody's approval, whatever they say of themselves."""
        self.any_dimension = True
        """Whether locations, departments and classes with any external id are there."""
        self.throttles_by = 429
        """429, or 400 as a RESTlet does."""
        self.may_enter = True
        """Whether the role has the permission to make journal entries."""
        self._waiting: dict[int, Entry] = {}
        self._algorithm = algorithm
        self._key = ec.generate_private_key(ec.SECP256R1()) if algorithm.startswith("ES") else _rsa()
        self._tokens: dict[str, float] = {}

    def settings(self) -> dict[str, Any]:
        """The settings with which the connector reaches it."""
        return {
            "account": "1234567_SB1",
            "client_id": "simulated-client",
            "certificate_id": "simulated-certificate",
            "private_key": self._key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
            "algorithm": self._algorithm,
            "url": self.url,
            "subsidiaries": {self.company: "1"},
            "dimensions": {"store": "location"},
            "adjustment_accounts": {self.company: self.account_codes[0]},
        }

    def held(self, kind: DocumentKind) -> int:
        """Posted journals, or inventory adjustments."""
        if kind == "stock":
            return len(self.tables.rows("transaction", type="InvAdjst"))
        return super().held(kind)

    def writes(self, request: Request) -> bool:
        """Only what makes records."""
        return request.path.startswith(_RECORDS) and request.method != "GET"

    def wrong_credentials(self) -> dict[str, Any]:
        """A certificate that is not mapped."""
        return {"certificate_id": "another-certificate"}

    def expire(self) -> None:
        """All tokens run out."""
        self._tokens.clear()

    def throttled(self) -> Answer:
        """As REST web services say it, or a RESTlet."""
        if self.throttles_by == 400:
            words = '{"error":{"code":"SSS_REQUEST_LIMIT_EXCEEDED"}}'
            return _problem(400, words, "SSS_REQUEST_LIMIT_EXCEEDED")
        return _problem(
            429, "The request was rejected. The account's concurrency limit is exceeded.", "CONCURRENCY_LIMIT_EXCEEDED"
        )

    def approve(self, external_id: str) -> None:
        """Somebody approves an entry that waits."""
        row = self.tables.rows("transaction", externalid=external_id)[0]
        self._post(row["id"], self._waiting.pop(row["id"]))

    def disapprove(self, external_id: str) -> None:
        """Somebody rejects an entry that waits."""
        row = self.tables.rows("transaction", externalid=external_id)[0]
        del self._waiting[row["id"]]
        self.tables.update("transaction", row["id"], approvalstatus="3")

    def handle(self, request: Request) -> Answer:
        """One call."""
        if request.path == _TOKEN:
            return self._token(request)
        known = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "), 0.0)
        if clock.monotonic_s() >= known:
            return _problem(
                401,
                "Invalid login attempt. For more details, see the Login Audit Trail in the NetSuite UI.",
                "INVALID_LOGIN",
            )
        if request.path == _SUITEQL and request.method == "POST":
            return self._suiteql(request)
        if request.path in (f"{_RECORDS}journalEntry", f"{_RECORDS}inventoryAdjustment"):
            return self._record(request, request.path.removeprefix(_RECORDS))
        return _problem(404, f"Record type or resource {request.path} does not exist.", "NONEXISTENT_ID")

    # ---- tokens

    def _token(self, request: Request) -> Answer:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        expected = {"grant_type": "client_credentials", "client_assertion_type": _ASSERTION}
        urlencoded = _media_type(request) == "application/x-www-form-urlencoded"
        if request.method != "POST" or not urlencoded or any(form.get(k) != v for k, v in expected.items()):
            return json_answer({"error": "invalid_request"}, 400)
        try:
            self._check_assertion(form.get("client_assertion", ""))
        except (jwt.PyJWTError, ValueError) as cause:
            return json_answer({"error": "invalid_client", "error_description": str(cause)}, 401)
        token = uuid4().hex
        self._tokens[token] = clock.monotonic_s() + _TOKEN_S
        return json_answer({"access_token": token, "expires_in": str(_TOKEN_S), "token_type": "bearer"})

    def _check_assertion(self, assertion: str) -> None:
        head = jwt.get_unverified_header(assertion)
        if head.get("kid") != "simulated-certificate" or head.get("typ") != "JWT":
            raise ValueError("no such certificate is mapped")
        claims = jwt.decode(
            assertion,
            self._key.public_key(),
            algorithms=_ALGORITHMS,
            audience=self.url + _TOKEN,
            issuer="simulated-client",
            options={"require": ["iss", "aud", "exp", "iat", "scope"]},
        )
        if claims["exp"] - claims["iat"] >= 3_600:
            raise ValueError("exp must be less than 60 minutes after iat")
        scope = claims["scope"] if isinstance(claims["scope"], list) else str(claims["scope"]).split(",")
        if "rest_webservices" not in scope:
            raise ValueError("the scope lacks rest_webservices")

    # ---- SuiteQL

    def _suiteql(self, request: Request) -> Answer:
        if "transient" not in request.headers.get("prefer", ""):
            return _problem(400, "The required header Prefer: transient is missing.", "INVALID_HEADER")
        content = _content(request)
        query = content.get("q") if isinstance(content, dict) else None
        limit, offset = (request.query.get(name, default) for name, default in (("limit", "1000"), ("offset", "0")))
        if not isinstance(query, str) or set(content) != {"q"}:
            return _problem(400, "The request body must have the query as q.", "INVALID_CONTENT")
        if not (
            limit.isdigit() and 0 < int(limit) <= _MOST_ROWS and offset.isdigit() and int(offset) % int(limit) == 0
        ):
            return _problem(400, "limit is 1 to 1000; offset must be divisible by limit.", "INVALID_PARAMETER")
        self.tables.keep_accounts(self.books.accounts, query)
        self.tables.close_periods(self.books.closed)
        try:
            rows = self.tables.ask(query)
        except SuiteQlError as error:
            return _problem(400, str(error), "INVALID_PARAMETER")
        page = rows[int(offset) : int(offset) + int(limit)]
        return json_answer(
            {
                "links": [{"rel": "self", "href": self.url + _SUITEQL}],
                "count": len(page),
                "hasMore": int(offset) + len(page) < len(rows),
                "items": [{"links": [], **row} for row in page],
                "offset": int(offset),
                "totalResults": len(rows),
            }
        )

    # ---- records

    def _record(self, request: Request, kind: str) -> Answer:
        if request.method != "POST":
            return _problem(405, f"{request.method} is not simulated.", "METHOD_NOT_ALLOWED")
        if _media_type(request) not in ("application/json", "application/vnd.oracle.resource+json"):
            return _problem(415, "The Content-Type is not supported.", "UNSUPPORTED_MEDIA_TYPE")
        if not self.may_enter:
            return _problem(403, "Permission Violation: You need the 'Make Journal Entry' permission.",
                            "INSUFFICIENT_PERMISSION")  # fmt: skip
        self.tables.keep_accounts(self.books.accounts, "")
        self.tables.close_periods(self.books.closed)
        strict = request.headers.get("x-netsuite-propertynamevalidation", "Warning").lower() == "error"
        given = {"names_checked": strict, "any_dimension": self.any_dimension}
        try:
            if kind == "journalEntry":
                number = self._save(read_entry(_content(request), self.tables, **given))
            else:
                number = self._adjust(read_adjustment(_content(request), self.tables, **given))
        except InvalidError as invalid:
            return _problem(400, str(invalid), invalid.code, invalid.path)
        return Answer(204, b"", {"Location": f"{self.url}{_RECORDS}{kind}/{number}"})

    def _adjust(self, made: Adjustment) -> int:
        """Stock counts at once; what it is worth is not simulated, and so not in the ledger."""
        self._check_head(made)
        number = self.tables.insert(
            "transaction",
            externalid=made.external_id,
            trandate=made.on.isoformat(),
            type="InvAdjst",
            posting="T",
            postingperiod=made.period_id,
            memo=made.memo or None,
        )
        self.tables.update("transaction", number, tranid=f"IA{number}")
        for position, item in enumerate(made.items, 1):
            self.tables.insert(
                "transactionline",
                transaction=number,
                id=position,
                item=item.item_id,
                quantity=str(item.quantity),
                location=item.location_id,
                memo=item.memo or None,
                subsidiary=made.subsidiary,
            )
        return number

    def _save(self, entry: Entry) -> int:
        self._check(entry)
        waits = self.needs_approval or not entry.approved
        number = self.tables.insert(
            "transaction",
            externalid=entry.external_id,
            trandate=entry.on.isoformat(),
            type="Journal",
            posting="F",
            approvalstatus="1",
            postingperiod=entry.period_id,
            currency=entry.currency_id,
            memo=entry.memo or None,
        )
        for position, line in enumerate(entry.lines):
            self.tables.insert(
                "transactionline",
                transaction=number,
                id=position,
                foreignamount=str(line.amount),
                memo=line.memo or None,
                subsidiary=entry.subsidiary,
                **line.dimensions,
            )
            self.tables.insert("transactionaccountingline", transaction=number, transactionline=position,
                               accountingbook=1, account=line.account_id, posting="F")  # fmt: skip
        if waits:
            self._waiting[number] = entry
        else:
            self._post(number, entry)
        return number

    def _check(self, entry: Entry) -> None:
        """What NetSuite says of an entry before it saves it. Raises ``InvalidError``."""
        self._check_head(entry)
        try:
            self.books.check(entry.external_id or "", entry.on, _book_lines(entry))
        except RefusalError as refusal:
            if refusal.kind == "closed_period":
                raise _closed(entry) from refusal
            if refusal.kind == "unbalanced":
                words = "Error while accessing a resource. The amounts in a journal entry must balance."
                raise InvalidError(words, "USER_ERROR") from refusal
            raise InvalidError(f"Error while accessing a resource. {refusal}", "USER_ERROR") from refusal

    def _check_head(self, made: Entry | Adjustment) -> None:
        if made.external_id and self.tables.rows("transaction", externalid=made.external_id):
            raise InvalidError("Error while accessing a resource. This record already exists.", "USER_ERROR")
        period = self.tables.rows("accountingperiod", id=made.period_id)[0]
        inside = period["startdate"] <= made.on.isoformat() <= period["enddate"]
        if period["closed"] == "T" or period["isyear"] == "T" or not inside:
            raise _closed(made)

    def _post(self, number: int, entry: Entry) -> None:
        booked = self.books.book(
            entry.external_id or "", entry.on, entry.currency, _book_lines(entry), company=self.company,
            extra={"id": number, "memo": entry.memo, "period": entry.period_id},
        )  # fmt: skip
        self.tables.update("transaction", number, posting="T", approvalstatus="2", tranid=booked.number)


def _closed(entry: Entry | Adjustment) -> InvalidError:
    return InvalidError(f"Error while accessing a resource. Invalid postingperiod reference key {entry.period_id}.",
                        "USER_ERROR")  # fmt: skip


def _book_lines(entry: Entry) -> list[BookLine]:
    return [
        BookLine(line.account, line.amount, line.memo, {name: str(to) for name, to in line.dimensions.items()})
        for line in entry.lines
    ]


def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=3_072)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _content(request: Request) -> Any:
    try:
        return _decode(request.body)
    except msgspec.DecodeError:
        return None


def _problem(status: int, detail: str, code: str, path: str = "") -> Answer:
    told = {"detail": detail, "o:errorCode": code, **({"o:errorPath": path} if path else {})}
    content = {
        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html",
        "title": _TITLES[status],
        "status": status,
        "o:errorDetails": [told],
    }
    return json_answer(content, status, {"Content-Type": "application/vnd.oracle.resource+json; type=error"})
