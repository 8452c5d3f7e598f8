"""``/transactions``: search by whatever is known of one, and one with everything that came of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.response import Redirect

from tillwire import bootstrap
from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.console.tables import Column, exported, table, wants_csv
from tillwire.database import sql
from tillwire.governance.access import Operation, Reach
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.posting.explain import Explained, explain
from tillwire.reconciliation.trace import Trace, trace

_sql = sql.load("tillwire.console", "console.sql")

MOST_FOUND = 500


class Found(msgspec.Struct, frozen=True):
    """One transaction of a list."""

    store: str
    business_date: date
    register: str
    sequence: int
    kind: str
    currency: str
    total: Decimal
    effect: int
    """-1 where it takes back a version that was corrected."""
    event_offset: int

    @property
    def key(self) -> str:
        """store/register/business date/sequence."""
        return f"{self.store}/{self.register}/{self.business_date}/{self.sequence}"


_COLUMNS = (
    Column("date", "Business date", lambda one: one.business_date),
    Column("store", "Store", lambda one: one.store),
    Column("register", "Register", lambda one: one.register),
    Column("sequence", "Number", lambda one: one.sequence, numeric=True),
    Column("kind", "Kind", lambda one: one.kind),
    Column("total", "Total", lambda one: one.total, numeric=True),
    Column("currency", "Currency", lambda one: one.currency),
)


def amount_of(text: str) -> Decimal | None:
    """An amount as people write it, without regard to its sign; none for what is none."""
    cleaned = text.strip().replace(" ", "").replace("'", "")
    if "," in cleaned and "." not in cleaned and len(cleaned.rpartition(",")[2]) <= 2:
        cleaned = cleaned.replace(",", ".")
    try:
        amount = abs(Decimal(cleaned.replace(",", "")))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount < 10**15 else None


def _search(request: AnyRequest, connection: Any, reach: Reach, companies: dict[str, str]) -> list[Found]:
    """Transactions by what the address says: store, date, register, kind, and in ``search`` a number or an amount."""
    asked = request.query_params
    text = asked.get("search", "").strip()[:200]
    wanted = reach.narrowed(asked.get("store") or None)
    stores = sorted(companies) if wanted.stores is None else sorted(wanted.stores)
    try:
        day = date.fromisoformat(asked.get("date", ""))
    except ValueError:
        day = None
    parameters = {
        "stores": stores,
        "day": day,
        "register": asked.get("register") or None,
        "kind": asked.get("kind") or None,
        "sequence": None,
        "amount": None,
        "most": MOST_FOUND,
    }
    if not text:
        return [Found(*row) for row in connection.execute(_sql.transactions, parameters)]
    rows: list[Found] = []
    if text.isascii() and text.isdigit() and len(text) < 18:
        rows += [Found(*row) for row in connection.execute(_sql.transactions, parameters | {"sequence": int(text)})]
    amount = amount_of(text)
    if amount is not None:
        rows += [Found(*row) for row in connection.execute(_sql.transactions, parameters | {"amount": amount})]
    return list({(one.store, one.business_date, one.event_offset): one for one in rows}.values())


@get("/transactions", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SALES))
def transactions(request: AnyRequest) -> Response[Any]:
    """Transactions that fit; the page of the only one, where a whole key is searched for."""
    node, reach = node_of(request), reach_of(request)
    text = request.query_params.get("search", "").strip()[:200].replace("\x00", "")
    with node.reading() as connection:
        if text.count("/") >= 2 and trace(connection, text, reach=reach):
            return Redirect(f"/transactions/of/{text}")
        found = _search(request, connection, reach, node.stores.companies)
    made = table(request, _COLUMNS, found, sort="date", descending=True)
    if wants_csv(request):
        return exported(made, "transactions")
    return render(
        request,
        "transactions.html",
        title="Transactions",
        made=made,
        search=text,
        asked=request.query_params,
        most=MOST_FOUND,
        cut=len(found) >= MOST_FOUND,
    )


@get("/transactions/of/{key:path}", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_SALES))
def transaction(request: AnyRequest, key: str) -> Response[str]:
    """One transaction: its way from the source to the ERP, what it moved, and who changed it."""
    node, reach = node_of(request), reach_of(request)
    wanted = key.lstrip("/").replace("\x00", "")
    explained: list[Explained] = []
    with node.reading() as connection:
        traces = trace(connection, wanted, reach=reach)
        if not traces:
            raise NotFoundException(f"nothing was accepted under the key {wanted}")
        if principal_of(request).may(Operation.READ_LEDGER) and wanted.count("/") == 3:
            policy, book = bootstrap.posting_policy(node.settings), bootstrap.account_book(node.settings)
            explained = [
                one
                for one in explain(connection, wanted, book, policy)
                if reach_of(request, Operation.READ_LEDGER).covers(one.store)
            ]
    return render(
        request, "transaction.html", title=wanted, key=wanted, traces=traces, explained=explained, stops=_stops(traces)
    )


def _stops(traces: list[Trace]) -> list[list[tuple[str, Any, str, str]]]:
    """Per trace: what happened, when, in which tone, and what there is to say."""
    found = []
    for one in traces:
        steps: list[tuple[str, Any, str, str]] = [("Accepted", one.received_at, "good", f"from {one.source}")]
        steps += [
            (f"Exception {row['code']}", row["raised_at"], "bad" if row["state"] == "open" else "warn", row["message"])
            for row in one.exceptions
        ]
        if one.recorded is not None:
            steps.append(
                (
                    "Recorded",
                    one.recorded["recorded_at"],
                    "good",
                    f"partition {one.recorded['partition']}, offset {one.recorded['event_offset']}",
                )
            )
        if one.reversal is not None:
            steps.append(
                (
                    "Corrected",
                    one.reversal.get("recorded_at"),
                    "warn",
                    f"version {one.reversal.get('by_version')} took its place",
                )
            )
        journal = one.journal
        if journal is not None:
            steps.append(("In a journal", journal["built_at"], "good", journal["reference"]))
            if journal["sent_at"]:
                steps.append((f"Sent to {journal['erp'] or 'the ERP'}", journal["sent_at"], "info", ""))
            if journal["posted_at"]:
                steps.append(
                    (
                        "Posted",
                        journal["posted_at"],
                        "good",
                        f"document {journal['document_number'] or journal['document_id'] or ''}",
                    )
                )
            elif journal["last_error"]:
                steps.append((journal["state"].capitalize(), None, "bad", journal["last_error"]))
            if journal["confirmed_at"]:
                steps.append(("Read back from the ERP", journal["confirmed_at"], "good", "the same there"))
        found.append(steps)
    return found


ROUTES = (transactions, transaction)
