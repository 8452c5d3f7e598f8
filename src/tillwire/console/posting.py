"""``/posting``: ERPs as they are, journals down to their transactions, suspense, the trial balance."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire import bootstrap, clock
from tillwire.console.charts import Bar
from tillwire.console.shell import AnyRequest, form_of, node_of, render, seen, stop, words_of
from tillwire.console.tables import Column, exported, table, wants_csv
from tillwire.database import sql
from tillwire.exceptions.journals import retry_journals
from tillwire.governance import audit
from tillwire.governance.access import Operation
from tillwire.http.access import needs, principal_of, reach_of
from tillwire.posting import drilldown, suspense
from tillwire.posting.backlog import backlog
from tillwire.posting.journals import rejected
from tillwire.posting.trial_balance import trial_balance

_sql = sql.load("tillwire.console", "console.sql")
_OPT = needs(Operation.READ_LEDGER)
MOST = 2_000
STATES = ("built", "sent", "accepted", "unknown", "rejected", "posted")
LineNumber = Annotated[int, Parameter(ge=0, le=2**31 - 1)]
Text = Annotated[str, Parameter(max_length=1024, pattern=r"^[^\x00]*$")]


@get("/posting", include_in_schema=False, sync_to_thread=True, opt=_OPT)
def posting(request: AnyRequest) -> Response[str]:
    """Every ERP: its breaker, its budget, what waits for it and since when."""
    node, reach, words = node_of(request), reach_of(request), words_of(request)
    with node.reading() as connection:
        erps = backlog(connection, bootstrap.erps(node.settings), reach=reach)
        rows = connection.execute(_sql.backlog_by_date, {"reach": reach.parameter}).fetchall()
    dates = [Bar(str(day), count, f"{words.number(count)} journals", "accent") for day, count in rows]
    return render(request, "posting.html", title="Posting", erps=erps, dates=dates, states=STATES)


_COLUMNS = (
    Column("reference", "Reference", lambda one: one[0]),
    Column("kind", "Kind", lambda one: one[1]),
    Column("store", "Store", lambda one: one[3]),
    Column("date", "Business date", lambda one: one[4]),
    Column("transactions", "Transactions", lambda one: one[6], numeric=True),
    Column("amount", "Amount", lambda one: one[7], numeric=True),
    Column("state", "State", lambda one: one[8]),
    Column("document", "ERP document", lambda one: one[10]),
    Column("built", "Built", lambda one: one[11]),
)


@get("/posting/journals", include_in_schema=False, sync_to_thread=True, opt=_OPT)
def journals(request: AnyRequest) -> Response[Any]:
    """Journals, the newest business date first."""
    asked = request.query_params
    try:
        day = date.fromisoformat(asked.get("date", ""))
    except ValueError:
        day = None
    parameters = {
        "reach": reach_of(request).narrowed(asked.get("store") or None).parameter,
        "state": asked.get("state") if asked.get("state") in STATES else None,
        "day": day,
        "most": MOST,
    }
    with node_of(request).reading() as connection:
        rows = connection.execute(_sql.journals, parameters).fetchall()
    made = table(request, _COLUMNS, rows, sort="date", descending=True)
    if wants_csv(request):
        return exported(made, "journals")
    return render(
        request,
        "journals.html",
        title="Journals",
        made=made,
        asked=asked,
        states=STATES,
        cut=len(rows) >= MOST,
        most=MOST,
    )


@get("/posting/journal", include_in_schema=False, sync_to_thread=True, opt=_OPT)
def journal(request: AnyRequest, reference: Text, line: LineNumber = 0) -> Response[str]:
    """One journal with its lines; and what is in one of them, transaction by transaction."""
    with node_of(request).reading() as connection:
        head = drilldown.head(connection, reference, reach=reach_of(request))
        if head is None:
            raise NotFoundException(f"there is no journal {reference} within your reach")
        lines = drilldown.erp_lines(connection, reference)
        parts = drilldown.parts_of(connection, reference, line, most=1_000) if line else []
    return render(request, "journal.html", title=reference, head=head, lines=lines, parts=parts, line=line)


@post("/posting/journals/retry", include_in_schema=False, sync_to_thread=True, status_code=200,
      opt=needs(Operation.WORK_LEDGER))  # fmt: skip
def retry(request: AnyRequest, body: bytes) -> Response[Any]:
    """A rejected journal back in its lane: said first, then (``sure``) done."""
    form, by, reach = form_of(request, body), principal_of(request), reach_of(request)
    reference = form.get("reference", "")
    back = f"/posting/journal?reference={reference}"
    with node_of(request).reading() as connection:
        head = drilldown.head(connection, reference, reach=reach)
        if head is None:
            raise NotFoundException(f"there is no journal {reference} within your reach")
        if head.state != "rejected":
            return stop(request, f"{reference} is {head.state}: only what was rejected is sent again", back)
        if form.get("sure"):
            with connection.transaction():
                count = retry_journals(connection, rejected(connection, reference), by=by.name, dismissed=True)
                audit.note(connection, by, "retry journals", reference, {"journals": count})
            return seen("/posting", f"{reference} is back in its lane")
    what = f"Send {reference} again"
    return render(
        request,
        "sure.html",
        title="Send again",
        what=what,
        run=None,
        action="/posting/journals/retry",
        given={"reference": reference},
        back=back,
        danger=False,
        words_of_it=(
            f"{words_of(request).money(head.amount, head.currency, head.company)} of {head.transactions} transactions "
            f"of store {head.store}. The ERP is asked first whether it has it: it cannot be there twice."
        ),
    )


@get("/posting/suspense", include_in_schema=False, sync_to_thread=True, opt=_OPT)
def in_suspense(request: AnyRequest) -> Response[str]:
    """What no rule maps, with its age and amount."""
    reach = reach_of(request)
    with node_of(request).reading() as connection:
        found = suspense.listed(connection, reach=reach)
    return render(request, "suspense.html", title="Suspense", found=found, everywhere=reach.stores is None)


@post("/posting/suspense/reclassify", include_in_schema=False, sync_to_thread=True, status_code=200,
      opt=needs(Operation.WORK_LEDGER))  # fmt: skip
def reclassify(request: AnyRequest, body: bytes) -> Response[Any]:
    """Out of suspense what the rule book maps by now: shown first, then (``sure``) done. For who reaches all stores."""
    form, by, node = form_of(request, body), principal_of(request), node_of(request)
    if reach_of(request).stores is not None:
        return stop(
            request,
            "Suspense is reclassified for all stores together, and not all are in your reach.",
            "/posting/suspense",
        )
    book, policy = bootstrap.account_book(node.settings), bootstrap.posting_policy(node.settings)
    sure = bool(form.get("sure"))
    with node.reading() as connection, connection.transaction():
        moved = suspense.reclassify(connection, book, policy, on=clock.now().date(), dry_run=not sure)
        if sure and moved:
            stores = sorted({one.what.store for one in moved})
            audit.note(connection, by, "reclassify suspense", details={"lines": len(moved), "stores": stores})
    if sure:
        return seen("/posting/suspense", f"{len(moved)} amounts are out of suspense, in journals of today")
    if not moved:
        return stop(request, "Nothing in suspense is mapped by a rule yet.", "/posting/suspense")
    return render(request, "reclassify.html", title="Reclassify", moved=moved)


@get("/posting/balance", include_in_schema=False, sync_to_thread=True, opt=_OPT)
def balance(request: AnyRequest) -> Response[Any]:
    """The trial balance: what journals hold, and what ERPs have posted of it."""
    asked = request.query_params

    def day(name: str, other: date) -> date:
        try:
            return date.fromisoformat(asked.get(name, ""))
        except ValueError:
            return other

    company, store = asked.get("company") or None, asked.get("store") or None
    with node_of(request).reading() as connection:
        rows = trial_balance(
            connection, company=company, store=store, first=day("from", date.min), last=day("to", date.max),
            reach=reach_of(request),
        )  # fmt: skip
    columns = (
        Column("company", "Company", lambda one: one.company),
        Column("account", "Account", lambda one: one.account),
        Column("currency", "Currency", lambda one: one.currency),
        Column("built", "In journals", lambda one: one.built, numeric=True),
        Column("posted", "Posted", lambda one: one.posted, numeric=True),
    )
    made = table(request, columns, rows, sort="account", descending=False)
    if wants_csv(request):
        return exported(made, "trial-balance")
    return render(request, "balance.html", title="Trial balance", made=made, asked=asked)


ROUTES = (posting, journals, journal, retry, in_suspense, reclassify, balance)
