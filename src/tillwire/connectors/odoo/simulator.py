"""A simulated Odoo 18.0: ``/jsonrpc`` with the models that accounting needs, written from its external API.

One company with one miscellaneous journal. Lock dates are the last days of ``books.closed``; as Odoo does, it posts
what is dated before a lock at the first day after it. ``expire`` makes it deny calls until somebody logs in again, as
it does after a user's key was exchanged.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec

from tillwire.connectors.odoo import simulator_load as loading
from tillwire.connectors.odoo.simulator_records import (
    FIELDS,
    OdooFault,
    Record,
    matching,
    ordered,
    shown,
    user_error,
)
from tillwire.connectors.simulated_books import BookLine, RefusalError, SimulatedBooks
from tillwire.connectors.simulation import Answer, ErpSimulator, Request

_KEY = "0123456789abcdef0123456789abcdef01234567"
_NAMED = ("account.journal", "account.account", "account.analytic.account", "res.currency")
"""Models whose records an entry names."""
_WRITING = {"load", "action_post", "unlink", "button_draft"}
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class OdooSimulator(ErpSimulator):
    """Odoo with company SIM in USD, journal MISC, and whatever accounts ``books.accounts`` has."""

    name = "odoo"
    contract = "Odoo 18.0, External API (JSON-RPC)"
    database, username, uid, company_id = "sim", "tillwire@example.com", 7, 1

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.books = SimulatedBooks(self.account_codes, unique_references=False)
        self.moves: dict[int, Record] = {}
        """Entries by number, drafts among them; their lines below ``lines``."""
        self.external_ids: dict[str, int] = {}
        self.analytic = {"101": 31, "102": 32}
        """Analytic accounts by code."""
        self.rates: list[Record] = [
            self._rate(1, 4, "EUR", "2020-01-01", "0.8"),
            self._rate(2, 5, "JPY", "2020-01-01", "149.3"),
        ]
        self.key = _KEY
        self._numbers = count(1000)
        self._by_ref: dict[str, list[int]] = {}
        self._account_ids: dict[str, int] = {}
        self._expired = False

    def settings(self) -> dict[str, Any]:
        """The settings of the connector ``odoo`` that reach it."""
        return {
            "url": self.url,
            "database": self.database,
            "username": self.username,
            "api_key": self.key,
            "company": self.company,
            "analytic_dimensions": ["store"],
        }

    def expire(self) -> None:
        """Deny calls until the user logs in again."""
        self._expired = True

    def writes(self, request: Request) -> bool:
        """True for methods that change the books; everything is a POST."""
        return any(f'"{method}"'.encode() in request.body for method in _WRITING)

    def copy(self, reference: str) -> None:
        """As an accountant does: duplicate the entry, type the same reference, post."""
        move = self.moves[self._by_ref[reference][0]]
        twin = {**move, "id": next(self._numbers), "state": "draft", "name": "/"}
        self._by_ref[reference].append(twin["id"])
        self._post(twin)

    def handle(self, request: Request) -> Answer:
        """One JSON-RPC call. A failure undoes all that the call did."""
        if (request.method, request.path) != ("POST", "/jsonrpc"):
            return Answer(404, b"<!doctype html><title>404 Not Found</title>", {"Content-Type": "text/html"})
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return Answer(400, b"Bad Request: Function declared as capable of handling request of type 'json' only")
        try:
            body = _decode(request.body)
        except msgspec.DecodeError as error:
            return Answer(400, f"Invalid JSON data: {error}".encode())
        if not isinstance(body, dict):
            return Answer(400, b"Invalid JSON-RPC data")
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": body.get("id")}
        try:
            result = self._serve(body)
            answer |= {} if result is None else {"result": result}
        except OdooFault as fault:
            data = {"name": fault.name, "debug": "Traceback …", "message": fault.words, "arguments": [fault.words]}
            answer["error"] = {"code": 200, "message": "Odoo Server Error", "data": {**data, "context": {}}}
        return Answer(200, _encode(answer), {"Content-Type": "application/json; charset=utf-8"})

    # ---- services

    def _serve(self, body: Any) -> Any:
        params = body.get("params")
        if body.get("jsonrpc") != "2.0" or body.get("method") != "call" or not isinstance(params, dict):
            raise OdooFault("builtins.ValueError", "jsonrpc 2.0 with method call and params is expected")
        args = params.get("args")
        match params.get("service"), params.get("method"):
            case "common", "authenticate":
                return self._authenticate(args)
            case "object", "execute_kw":
                return self._execute(args)
        raise OdooFault("builtins.KeyError", f"{params.get('service')}.{params.get('method')}")

    def _authenticate(self, args: Any) -> Any:
        if not isinstance(args, list) or len(args) != 4:
            raise OdooFault("builtins.TypeError", "exp_authenticate() takes db, login, password and user_agent_env")
        if args[0] != self.database:
            raise OdooFault("psycopg2.OperationalError", f'FATAL:  database "{args[0]}" does not exist')
        if (args[1], args[2]) != (self.username, self.key):
            return False
        self._expired = False
        return self.uid

    def _execute(self, args: Any) -> Any:
        if not isinstance(args, list) or not 6 <= len(args) <= 7:
            raise OdooFault("builtins.TypeError", "execute_kw() takes db, uid, password, model, method, args and kw")
        database, uid, key, model, method, positional = args[:6]
        named = dict(args[6]) if len(args) == 7 else {}
        if (database, uid, key) != (self.database, self.uid, self.key) or self._expired:
            raise OdooFault("odoo.exceptions.AccessDenied", "Access Denied")
        context = named.pop("context", {})
        allowed = context.get("allowed_company_ids", [self.company_id])
        if allowed != [self.company_id]:
            raise OdooFault("odoo.exceptions.AccessError", "Access to unauthorized or invalid companies.")
        if model not in FIELDS:
            raise user_error(f"Object {model} doesn't exist")
        methods: dict[str, Callable[..., Any]] = {
            "search_read": self._search_read,
            "read": self._read,
            "fields_get": self._fields_get,
        }
        if model == "account.move":
            methods |= {"load": self._load, "action_post": self._action_post, "unlink": self._unlink}
        if method not in methods:
            raise OdooFault("builtins.AttributeError", f"The method '{model}.{method}' does not exist")
        try:
            inspect.signature(methods[method]).bind(model, *positional, **named)
        except TypeError as error:
            raise OdooFault("builtins.TypeError", f"{model}.{method}() {error}") from error
        return methods[method](model, *positional, **named)

    # ---- reading

    def _search_read(
        self, model: str, domain: Any = None, fields: Any = None, offset: int = 0, limit: Any = None, order: str = ""
    ) -> list[Record]:
        found = matching(model, self._candidates(model, domain or []), domain or [])
        return shown(model, ordered(found, order, offset, limit), fields or sorted(FIELDS[model]))

    def _read(self, model: str, ids: list[int], fields: list[str]) -> list[Record]:
        by_number = self._by_number(model)
        gone = [number for number in ids if number not in by_number]
        if gone:
            words = f"Record does not exist or has been deleted. ({model}({gone[0]},))"
            raise OdooFault("odoo.exceptions.MissingError", words)
        return shown(model, [by_number[number] for number in ids], fields)

    def _fields_get(self, model: str, allfields: Any = None, attributes: Any = None) -> dict[str, Any]:
        return {name: {"type": "char"} for name in FIELDS[model] if not allfields or name in allfields}

    def _by_number(self, model: str) -> dict[int, Record]:
        return {one["id"]: one for one in self._records(model)}

    def _candidates(self, model: str, domain: Any) -> Iterable[Record]:
        """The records that a domain may mean, by the indexes that Odoo's tables have."""
        wanted = {leaf[0]: leaf[2] for leaf in domain if _is_list_leaf(leaf)}
        match model:
            case "account.move" if "ref" in wanted:
                return [
                    self.moves[one] for ref in wanted["ref"] for one in self._by_ref.get(ref, ()) if one in self.moves
                ]
            case "account.move" if "id" in wanted:
                return [self.moves[one] for one in wanted["id"] if one in self.moves]
            case "account.move.line" if "move_id" in wanted:
                return _lines(self.moves[one] for one in wanted["move_id"] if one in self.moves)
        return self._records(model)

    def _records(self, model: str) -> Iterable[Record]:
        company = (self.company_id, self.company)
        match model:
            case "res.company":
                lock = self._locked_until()
                yield {"id": 1, "name": self.company, "currency_id": (2, self.currency)} | {
                    "user_fiscalyear_lock_date": lock.isoformat() if lock else False,
                    "user_hard_lock_date": False,
                }
            case "account.journal":
                for number, code, kind in ((5, "MISC", "general"), (6, "INV", "sale")):
                    yield {"id": number, "name": code.title(), "code": code, "type": kind, "company_id": company}
            case "account.account":
                for code in sorted(self.books.accounts or ()):
                    yield self._account(code)
            case "account.analytic.account":
                yield from (
                    {"id": number, "name": f"Store {code}", "code": code} for code, number in self.analytic.items()
                )
            case "res.currency":
                yield from (
                    {"id": number, "name": name} for number, name in ((2, self.currency), (4, "EUR"), (5, "JPY"))
                )
            case "res.currency.rate":
                yield from self.rates
            case "account.tax":
                yield _tax(11, "STD", "8.25")
            case "product.product":
                yield from (_product(number, sku, self.unit) for number, sku in enumerate(self.skus, 21))
            case "account.move":
                yield from self.moves.values()
            case "account.move.line":
                yield from _lines(self.moves.values())

    def _account(self, code: str) -> Record:
        number = self._account_ids.setdefault(code, 100 + len(self._account_ids))
        kind = "income" if code.startswith("4") else "asset_current"
        account = {"id": number, "name": f"Account {code}", "code": code, "account_type": kind}
        return account | {"deprecated": False, "write_date": "2026-01-01 00:00:00"}

    def _rate(self, number: int, currency_id: int, currency: str, since: str, rate: str) -> Record:
        own = {"currency_id": (currency_id, currency), "company_id": (self.company_id, self.company)}
        return {"id": number, "name": since, "rate": Decimal(rate), **own}

    def _locked_until(self) -> date | None:
        return max((last for _, last in self.books.closed), default=None)

    # ---- writing

    def _load(self, model: str, fields: Any, data: Any) -> dict[str, Any]:
        """All of the rows or none: a message for every entry that is refused, and no ids then."""
        known = {name: self._by_number(name) for name in _NAMED}
        messages: list[dict[str, Any]] = []
        made: dict[str, Record] = {}
        for at, (head, lines, first, last) in enumerate(loading.grouped(fields, data)):
            try:
                values = loading.entry_values(head, lines, lambda name, number: known[name].get(number))
                made[head["id"]] = self._merged(made.get(head["id"]) or self._under(head["id"]), values)
            except OdooFault as fault:
                messages.append(
                    {"type": "error", "message": fault.words, "record": at, "rows": {"from": first, "to": last}}
                )
        if messages:
            return {"ids": False, "messages": messages, "nextrow": 0}
        for external, move in made.items():
            if move["id"] not in self.moves:
                self.external_ids[external] = move["id"]
                self._by_ref.setdefault(move["ref"], []).append(move["id"])
            self.moves[move["id"]] = move
        return {"ids": [move["id"] for move in made.values()], "messages": [], "nextrow": 0}

    def _under(self, external: str) -> Record | None:
        return self.moves.get(self.external_ids.get(external, 0))

    def _merged(self, there: Record | None, values: dict[str, Any]) -> Record:
        """An entry with these values: those of its lines that have the same external ids are the same lines."""
        before = there or {"id": next(self._numbers), "name": "/", "state": "draft", "lines": []}
        lines = {line["external"] or str(line["id"]): line for line in before["lines"]}
        for line in values.pop("lines"):
            number = lines[line["external"]]["id"] if line["external"] in lines else next(self._numbers)
            lines[line["external"] or str(number)] = {**line, "id": number}
        merged = {
            **before,
            **values,
            "lines": list(lines.values()),
            "line_ids": [line["id"] for line in lines.values()],
        }
        if before["state"] == "posted" and merged != before:
            raise user_error(
                "You cannot do this modification on a posted journal entry, you can just change some non legal fields. "
                "You must reset the journal entry to draft to do so."
            )
        loading.check_balanced(merged)
        return merged

    def _action_post(self, model: str, ids: Any) -> None:
        """All or none. Odoo's own returns False, its overriders often nothing at all."""
        moves = self._each(model, ids)
        for move in moves:
            if move["state"] != "draft":
                raise user_error(f"The entry {move['name']} (id {move['id']}) must be in draft.")
            try:
                self.books.check("", self._unlocked(move), self._book_lines(move))
            except RefusalError as refusal:
                raise user_error(str(refusal)) from refusal
        for move in moves:
            self._post(move)

    def _post(self, move: Record) -> None:
        on = self._unlocked(move)
        number = f"MISC/{on.year}/{on.month:02}/{len(self.books.documents) + 1:04}"
        self.books.book(
            move["ref"] or "", on, self.currency, self._book_lines(move), company=self.company, number=number
        )
        self.moves[move["id"]] = {**move, "state": "posted", "name": number, "date": on.isoformat()}

    def _unlocked(self, move: Record) -> date:
        """The day at which Odoo posts it: its own, or the first one after the lock."""
        on, lock = date.fromisoformat(move["date"]), self._locked_until()
        return on if lock is None or on > lock else lock + timedelta(days=1)

    def _book_lines(self, move: Record) -> list[BookLine]:
        codes = {number: code for code, number in self._account_ids.items()}
        return [
            BookLine(
                codes[line["account_id"][0]],
                line["debit"] - line["credit"],
                line["name"] or "",
                {"analytic": ",".join(line["analytic_distribution"] or ())},
            )
            for line in move["lines"]
        ]

    def _unlink(self, model: str, ids: Any) -> bool:
        moves = self._each(model, ids)
        if any(move["state"] == "posted" for move in moves):
            raise user_error("You cannot delete a posted entry. Reset it to draft first.")
        gone = {move["id"] for move in moves}
        for number in gone:
            del self.moves[number]
        self.external_ids = {name: one for name, one in self.external_ids.items() if one not in gone}
        return True

    def _each(self, model: str, ids: Any) -> list[Record]:
        if not isinstance(ids, list):
            raise OdooFault("builtins.TypeError", f"{model}: a list of ids is expected")
        gone = [number for number in ids if number not in self.moves]
        if gone:
            words = f"Record does not exist or has been deleted. ({model}({gone[0]},))"
            raise OdooFault("odoo.exceptions.MissingError", words)
        return [self.moves[number] for number in ids]


def _is_list_leaf(leaf: Any) -> bool:
    return isinstance(leaf, list) and len(leaf) == 3 and leaf[1] == "in" and isinstance(leaf[2], list)


def _lines(moves: Iterable[Record]) -> list[Record]:
    return [{**line, "move_id": (move["id"], move["name"])} for move in moves for line in move["lines"]]


def _tax(number: int, name: str, percent: str) -> Record:
    kinds = {"amount_type": "percent", "type_tax_use": "sale", "active": True, "write_date": "2026-01-01 00:00:00"}
    return {"id": number, "name": name, "description": False, "amount": Decimal(percent), **kinds}


def _product(number: int, sku: str, unit: str) -> Record:
    kinds = {"categ_id": (1, "All"), "uom_id": (1, unit), "barcode": False, "active": True}
    return {"id": number, "name": sku, "default_code": sku, **kinds, "write_date": "2026-01-01 00:00:00"}
