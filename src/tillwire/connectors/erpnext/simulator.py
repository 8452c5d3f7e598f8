"""A simulated ERPNext 15: Frappe's REST API with the DocTypes that accounting needs.

One company. With ``unique_field`` its Journal Entry has the custom field ``custom_tillwire_reference``, unique; else it
has not. Closed periods are Accounting Periods, which ERPNext refuses when an entry is saved; ``frozen_until`` is the
date of its Accounts Settings, which it refuses when one is submitted. Its keys never run out: ``expire`` makes it
refuse one call, as a site does whose keys are just being read anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import unquote, urlencode

import msgspec

from tillwire.connectors.erpnext.simulator_doctypes import (
    FIELDS,
    FrappeFault,
    Record,
    checked_entry,
    in_order,
    matching,
)
from tillwire.connectors.simulated_books import BookLine, RefusalError, SimulatedBooks
from tillwire.connectors.simulation import Answer, ErpSimulator, Request

UNIQUE = "custom_tillwire_reference"
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_JE = "Journal Entry"
_LONGEST_LINE = 4094 - len("GET ? HTTP/1.1")
"""Of a request's first line, as the web server of a site takes it."""


class ErpNextSimulator(ErpSimulator):
    """ERPNext with company SIM in USD, and whatever accounts ``books.accounts`` has, by their numbers."""

    name = "erpnext"
    contract = "Frappe Framework 15 REST API, ERPNext 15"
    variants = ({}, {"unique_field": False})

    def __init__(self, *, unique_field: bool = True, **given: Any) -> None:
        super().__init__(**given)
        self.unique_field = unique_field
        self.books = SimulatedBooks(self.account_codes, unique_references=unique_field)
        self.entries: dict[str, Record] = {}
        """Journal entries by name, drafts among them."""
        self.account_currencies: dict[str, str] = {}
        """Of accounts, by number, that are not kept in the company's currency."""
        self.rates = {"EUR": Decimal("1.25"), "JPY": Decimal("0.0067")}
        self.frozen_until: date | None = None
        self.secret = "5f1a7c9e0b3d2468"
        self._numbers = count(1)
        self._by_reference: dict[str, list[str]] = {}
        self._ledger: dict[str, list[Record]] = {}
        self._expired = False

    def settings(self) -> dict[str, Any]:
        """The settings of the connector ``erpnext`` that reach it."""
        return {
            "url": self.url,
            "api_key": "0c8a5e3d7b9f123",
            "api_secret": self.secret,
            "company": self.company,
            "reference_field": UNIQUE if self.unique_field else "",
            "dimensions": {"store": "cost_center"},
            "dimension_values": {"store": "Store {value} - SIM"},
        }

    def expire(self) -> None:
        """Refuse one call."""
        self._expired = True

    def copy(self, reference: str) -> None:
        """As an accountant does: duplicate the entry, type the same reference number, submit."""
        first = self.entries[self._by_reference[reference][0]]
        twin = {**first, "name": self._next_name(date.fromisoformat(first["posting_date"])), "docstatus": 0}
        self._keep(twin)
        self._book(twin)

    def throttled(self) -> Answer:
        """Frappe's rate limiter."""
        fault = FrappeFault("TooManyRequestsError", "Too many requests", 429)
        answer = _fault_answer(fault)
        return Answer(429, answer.body, {**answer.headers, "Retry-After": str(self.faults.retry_after_s)})

    def handle(self, request: Request) -> Answer:
        """One call. A failure undoes all that the call did."""
        if len(request.path) + len(urlencode(request.query)) > _LONGEST_LINE:
            return Answer(400, b"Bad Request: Request Line is too large", {"Content-Type": "text/html"})
        try:
            self._authorized(request)
            return Answer(200, _encode(self._serve(request)), {"Content-Type": "application/json"})
        except FrappeFault as fault:
            return _fault_answer(fault)

    # ---- calls

    def _authorized(self, request: Request) -> None:
        wanted = f"token {self.settings()['api_key']}:{self.secret}"
        expired, self._expired = self._expired, False
        if expired or request.headers.get("authorization") != wanted:
            raise FrappeFault("AuthenticationError", "Authentication failed", 401)

    def _serve(self, request: Request) -> dict[str, Any]:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        match request.method, parts:
            case "GET", ["api", "method", "erpnext.setup.utils.get_exchange_rate"]:
                return {"message": self.rates.get(request.query.get("from_currency", ""), Decimal(0))}
            case "POST", ["api", "method", "frappe.client.insert_many"]:
                documents = self._body(request).get("docs")
                if not isinstance(documents, list) or not documents:
                    raise FrappeFault("ValidationError", "docs: a list of documents is expected")
                if len(documents) > 200:
                    raise FrappeFault("ValidationError", "Only 200 inserts allowed in one request")
                return {"message": [one["name"] for one in self._insert(documents)]}
            case _, ["api", "resource", doctype, *rest] if doctype in FIELDS and len(rest) < 2:
                return self._resource(request, doctype, rest)
            case _, ["api", "resource", doctype, *_]:
                raise FrappeFault("DoesNotExistError", f"DocType {doctype} not found", 404)
        raise FrappeFault("ValidationError", f"Failed to get method for command {parts[-1]}")

    def _resource(self, request: Request, doctype: str, rest: list[str]) -> dict[str, Any]:
        match request.method, rest:
            case "GET", []:
                return {"data": self._rows(request, doctype)}
            case "GET", [name]:
                return {"data": self._document(doctype, name)}
            case "POST", [] if doctype == _JE:
                return {"data": self._insert([{**self._body(request), "doctype": doctype}])[0]}
            case "PUT", [name] if doctype == _JE:
                return {"data": self._update(name, self._body(request))}
            case "DELETE", [name] if doctype == _JE:
                entry = self._document(doctype, name)
                if entry["docstatus"] == 1:
                    words = f"Journal Entry {name}: Submitted Record cannot be deleted. You must cancel it first."
                    raise FrappeFault("ValidationError", words)
                del self.entries[name]
                return {"message": "ok"}
        raise FrappeFault("PermissionError", f"{request.method} {doctype}: not permitted", 403)

    def _body(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            raise FrappeFault("ValidationError", "Content-Type application/json is expected")
        try:
            body = _decode(request.body)
        except msgspec.DecodeError as error:
            raise FrappeFault("DataError", f"Invalid request body: {error}") from error
        if not isinstance(body, dict):
            raise FrappeFault("DataError", "Invalid request body: an object is expected")
        return body

    # ---- reading

    def _rows(self, request: Request, doctype: str) -> list[Record]:
        try:
            filters = _decode(request.query.get("filters", "[]").encode())
            fields = _decode(request.query.get("fields", '["name"]').encode())
        except msgspec.DecodeError as error:
            raise FrappeFault("DataError", f"filters, fields: {error}") from error
        order = request.query.get("order_by", "name asc")
        candidates = in_order(list(self._candidates(doctype, filters)), order, sorted(FIELDS[doctype]))
        found = matching(doctype, candidates, filters, fields)
        limit = int(request.query.get("limit_page_length", "20"))
        return found[:limit] if limit else found

    def _candidates(self, doctype: str, filters: Any) -> Iterable[Record]:
        """The records that filters may mean, by the indexes that a site has."""
        wanted = {one[0]: one[2] for one in filters if isinstance(one, list) and len(one) == 3 and one[1] == "in"}
        for field in (UNIQUE, "cheque_no"):
            if doctype == _JE and field in wanted:
                names = [name for value in wanted[field] for name in self._by_reference.get(value, ())]
                return [self.entries[name] for name in names if name in self.entries]
        if doctype == "GL Entry" and "voucher_no" in wanted:
            return [row for name in wanted["voucher_no"] for row in self._ledger.get(name, ())]
        return self._records(doctype)

    def _records(self, doctype: str) -> Iterable[Record]:
        own = {"company": self.company, "is_group": 0, "disabled": 0}
        match doctype:
            case "Company":
                yield {"name": self.company, "default_currency": self.currency, "abbr": "SIM"}
            case "Account":
                for code in sorted(self.books.accounts or ()):
                    yield own | self._account(code)
            case "Cost Center":
                yield own | {"name": "Store 101 - SIM"}
            case "Accounting Period":
                for at, (first, last) in enumerate(self.books.closed, 1):
                    days = {"start_date": first.isoformat(), "end_date": last.isoformat()}
                    yield {"name": f"Period {at} - SIM", "company": self.company, "modified": "2026-01-01", **days}
            case "Item":
                for sku in self.skus:
                    names = {"name": sku, "item_code": sku, "item_name": sku, "item_group": "Products"}
                    yield names | {
                        "stock_uom": self.unit,
                        "disabled": 0,
                        "has_variants": 0,
                        "modified": "2026-01-01 00:00:00",
                    }
            case "Journal Entry":
                yield from self.entries.values()
            case "GL Entry":
                for rows in self._ledger.values():
                    yield from rows

    def _account(self, code: str) -> Record:
        return {
            "name": f"{code} - Account {code} - SIM",
            "account_name": f"Account {code}",
            "account_number": code,
            "account_currency": self.account_currencies.get(code, self.currency),
            "root_type": "Income" if code.startswith("4") else "Asset",
            "modified": "2026-01-01 00:00:00",
        }

    def _document(self, doctype: str, name: str) -> Record:
        if doctype == _JE and name in self.entries:
            return self.entries[name]
        for record in self._records(doctype):
            if record["name"] == name:
                if doctype == "Accounting Period":
                    return record | {"closed_documents": [{"document_type": _JE, "closed": 1}]}
                return record
        raise FrappeFault("DoesNotExistError", f"{doctype} {name} not found", 404)

    # ---- writing

    def _insert(self, documents: list[Any]) -> list[Record]:
        """All or none."""
        known = {doctype: {one["name"]: one for one in self._records(doctype)} for doctype in _LINKED}
        made = []
        taken: set[str] = set()
        for given in documents:
            entry = checked_entry(given, lambda doctype, name: known[doctype].get(name), self.currency)
            self._check_period(entry)
            if UNIQUE in entry:
                self._check_unique(entry[UNIQUE], taken)
            if entry["docstatus"] == 1:
                self._check_submit(entry)
            made.append(entry)
        for entry in made:
            entry["name"] = self._next_name(date.fromisoformat(entry["posting_date"]))
            self._keep(entry)
            if entry["docstatus"] == 1:
                self._book(entry)
        return [self.entries[entry["name"]] for entry in made]

    def _next_name(self, on: date) -> str:
        return f"ACC-JV-{on.year}-{next(self._numbers):05}"

    def _keep(self, entry: Record) -> None:
        entry["creation"] = entry["name"]
        self.entries[entry["name"]] = entry
        self._by_reference.setdefault(str(entry.get(UNIQUE) or entry.get("cheque_no") or ""), []).append(entry["name"])

    def _update(self, name: str, changes: Record) -> Record:
        entry = self._document(_JE, name)
        if set(changes) != {"docstatus"} or changes["docstatus"] != 1:
            raise FrappeFault("ValidationError", "of a Journal Entry only docstatus 1 is taken by PUT")
        if entry["docstatus"] == 0:
            self._check_period(entry)
            self._check_submit(entry)
            self._book(entry)
        return self.entries[name]

    def _check_period(self, entry: Record) -> None:
        on = date.fromisoformat(entry["posting_date"])
        for at, (first, last) in enumerate(self.books.closed, 1):
            if first <= on <= last:
                period = f"<b>Period {at} - SIM</b>"
                words = f"You cannot create a Journal Entry within the closed Accounting Period {period}"
                raise FrappeFault("ClosedAccountingPeriod", words)

    def _check_unique(self, value: str, taken: set[str]) -> None:
        if not self.unique_field:
            raise FrappeFault("ValidationError", f"Journal Entry has no field {UNIQUE}")
        there = any(name in self.entries for name in self._by_reference.get(value, ()))
        if there or value in taken:
            raise FrappeFault("UniqueValidationError", f"Tillwire Reference must be unique: {value}", 409)
        taken.add(value)

    def _check_submit(self, entry: Record) -> None:
        on = date.fromisoformat(entry["posting_date"])
        if self.frozen_until is not None and on <= self.frozen_until:
            words = f"You are not authorized to add or update entries before {self.frozen_until:%d-%m-%Y}"
            raise FrappeFault("ValidationError", words)
        try:
            self.books.check("", on, self._book_lines(entry))
        except RefusalError as refusal:
            raise FrappeFault("ValidationError", str(refusal)) from refusal

    def _book(self, entry: Record) -> None:
        on = date.fromisoformat(entry["posting_date"])
        name, reference = entry["name"], str(entry.get(UNIQUE) or entry.get("cheque_no") or "")
        self.books.book(reference, on, self.currency, self._book_lines(entry), company=self.company, number=name)
        self.entries[name] = {**entry, "docstatus": 1}
        head = {"voucher_type": _JE, "voucher_no": name, "posting_date": entry["posting_date"], "is_cancelled": 0}
        self._ledger[name] = [
            {
                **head,
                **{field: row.get(field) for field in FIELDS["GL Entry"] & row.keys()},
                "name": f"{name}-{at}",
                "creation": f"{name}-{at:05}",
                "remarks": row.get("user_remark") or entry.get("user_remark"),
            }
            for at, row in enumerate(entry["accounts"])
        ]

    def _book_lines(self, entry: Record) -> list[BookLine]:
        return [
            BookLine(
                row["account"].partition(" - ")[0],
                row["debit"] - row["credit"],
                row.get("user_remark") or "",
                {"cost_center": row.get("cost_center") or ""},
            )
            for row in entry["accounts"]
        ]


_LINKED = ("Company", "Account", "Cost Center")
"""DocTypes that an entry links to."""


def _fault_answer(fault: FrappeFault) -> Answer:
    message = {"message": fault.words, "title": "Message", "indicator": "red", "raise_exception": 1}
    content = {
        "exception": f"frappe.exceptions.{fault.kind}: {fault.words}",
        "exc_type": fault.kind,
        "exc": _encode(["Traceback (most recent call last): …"]).decode(),
        "_server_messages": _encode([_encode(message).decode()]).decode(),
    }
    return Answer(fault.status, _encode(content), {"Content-Type": "application/json"})
