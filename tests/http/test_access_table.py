"""Every route against every role and none, and every parameter against the stores that a client may see.

The routes are the application's own: a new one without a row here fails, and so does one that a role reaches which has
no grant for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import psycopg
import pytest
from builders import changed, event, line, raw, sale
from console_routes import CONSOLE
from driving import rows
from fixture_types import NewDatabase
from serving import Api, problem_of
from two_stores import ALPHA, BRAVO, COMPANIES, LARGE, client, id_of, references, two_stores

from tillwire import clock
from tillwire.config import Alerts, Settings
from tillwire.governance.access import EVERYTHING, ROLES, Grant, Operation
from tillwire.http.app import routes_of
from tillwire.http.events import PATH
from tillwire.http.node import Node
from tillwire.observability.alerts import silence
from tillwire.observability.observer import Observer

OPEN = "open to all"
SIGNED = "by a signature, whoever shows a key"

ROUTES: dict[tuple[str, str], Operation | str] = {
    ("POST", "/v1/events"): Operation.SEND_EVENTS,
    ("GET", "/v1/reconciliation"): Operation.READ_SALES,
    ("GET", "/v1/trace/{key}"): Operation.READ_SALES,
    ("GET", "/v1/exceptions"): Operation.READ_EXCEPTIONS,
    ("GET", "/v1/exceptions/causes"): Operation.READ_EXCEPTIONS,
    ("GET", "/v1/exceptions/{exception_id}"): Operation.READ_EXCEPTIONS,
    ("POST", "/v1/exceptions/{exception_id}/dry-run"): Operation.READ_EXCEPTIONS,
    ("POST", "/v1/exceptions/dry-run"): Operation.READ_EXCEPTIONS,
    ("POST", "/v1/exceptions/{exception_id}/edit"): Operation.WORK_EXCEPTIONS,
    ("POST", "/v1/exceptions/{exception_id}/retry"): Operation.WORK_EXCEPTIONS,
    ("POST", "/v1/exceptions/{exception_id}/dismiss"): Operation.WORK_EXCEPTIONS,
    ("POST", "/v1/exceptions/{exception_id}/assign"): Operation.WORK_EXCEPTIONS,
    ("POST", "/v1/exceptions/causes/{cause}/retry"): Operation.WORK_EXCEPTIONS,
    ("POST", "/v1/exceptions/causes/{cause}/dismiss"): Operation.WORK_EXCEPTIONS,
    ("POST", "/v1/exceptions/{exception_id}/approve"): Operation.APPROVE_FIXES,
    ("POST", "/v1/exceptions/{exception_id}/refuse"): Operation.APPROVE_FIXES,
    ("GET", "/v1/ledger/balance"): Operation.READ_LEDGER,
    ("GET", "/v1/ledger/journal"): Operation.READ_LEDGER,
    ("GET", "/v1/ledger/journal/parts"): Operation.READ_LEDGER,
    ("GET", "/v1/ledger/suspense"): Operation.READ_LEDGER,
    ("GET", "/v1/posting/backlog"): Operation.READ_LEDGER,
    ("GET", "/v1/connections"): Operation.READ_CONNECTORS,
    ("GET", "/v1/masterdata/prices"): Operation.READ_MASTER_DATA,
    ("GET", "/v1/masterdata/rates"): Operation.READ_MASTER_DATA,
    ("GET", "/v1/masterdata/{kind}"): Operation.READ_MASTER_DATA,
    ("GET", "/v1/masterdata/{kind}/{record}"): Operation.READ_MASTER_DATA,
    ("POST", "/v1/masterdata/{kind}"): Operation.WRITE_MASTER_DATA,
    ("GET", "/v1/audit"): Operation.READ_AUDIT,
    ("GET", "/v1/service-levels"): Operation.READ_SERVICE_LEVELS,
    ("GET", "/v1/service-levels/{figure}"): Operation.READ_SERVICE_LEVELS,
    ("GET", "/v1/service-levels/{figure}/stores"): Operation.READ_SERVICE_LEVELS,
    ("GET", "/v1/alerts"): Operation.READ_SERVICE_LEVELS,
    ("GET", "/v1/alerts/silences"): Operation.READ_SERVICE_LEVELS,
    ("POST", "/v1/alerts/silences"): Operation.SILENCE_ALERTS,
    ("POST", "/v1/alerts/silences/{silence_id}/end"): Operation.SILENCE_ALERTS,
    ("GET", "/v1/access/clients"): Operation.ADMINISTER_ACCESS,
    ("POST", "/v1/access/clients"): Operation.ADMINISTER_ACCESS,
    ("GET", "/v1/access/clients/{name}"): Operation.ADMINISTER_ACCESS,
    ("PUT", "/v1/access/clients/{name}/grants"): Operation.ADMINISTER_ACCESS,
    ("PUT", "/v1/access/clients/{name}/limits"): Operation.ADMINISTER_ACCESS,
    ("POST", "/v1/access/clients/{name}/keys"): Operation.ADMINISTER_ACCESS,
    ("POST", "/v1/access/clients/{name}/revoke"): Operation.ADMINISTER_ACCESS,
    ("POST", "/v1/connections/{name}"): Operation.SEND_EVENTS,
    ("POST", "/v1/connections/web-shop"): SIGNED,
    ("POST", "/v1/erps/{name}/callback"): SIGNED,
    ("GET", "/metrics"): Operation.READ_SERVICE_LEVELS,
    ("POST", "/oauth/token"): "by a client's key in the body",
    ("GET", "/.well-known/oauth-authorization-server"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/v1/schemas"): OPEN,
    ("GET", "/v1/schemas/{event_type}"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/schema"): OPEN,
    ("GET", "/schema/openapi.json"): OPEN,
    ("GET", "/schema/{path}"): OPEN,
}
"""What each route needs."""

ALSO = {("POST", "/v1/events"): Operation.WRITE_MASTER_DATA}
"""A second operation that lets somebody in: events are judged one by one."""

NEVER = str(10**9)
EXAMPLE = {
    "exception_id": NEVER,
    "silence_id": NEVER,
    "kind": "product",
    "name": "files",
    "event_type": "tillwire.transaction.v1",
}


def path_of(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: EXAMPLE.get(found[1], "never-there"), template)


@pytest.fixture(scope="module")
def hub(
    new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, psycopg.Connection]]:
    with two_stores(new_database, tmp_path_factory.mktemp("table")) as opened:
        hasty = Settings(alerts=Alerts(money_at_risk=Decimal(1)))
        Observer(opened[1], hasty, ()).step(clock.now())
        Observer(opened[1], hasty, ()).step(clock.now() + timedelta(minutes=3))
        silence(
            opened[1],
            until=clock.now() + timedelta(days=1),
            reason="a test",
            by="test",
            now=clock.now(),
            stores=(BRAVO,),
        )
        yield opened


def ask(api: Api, method: str, path: str, key: str = "", content: Any = None) -> httpx2.Response:
    headers = {"X-Forwarded-For": "203.0.113.9"}  # as from elsewhere: nobody is on this machine
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if path == PATH:
        return api.http.request(
            method, path, content=b"[]", headers=headers | {"Content-Type": "application/cloudevents-batch+json"}
        )
    if method == "GET":
        return api.http.get(path, headers=headers)
    body = b"[]" if "masterdata" in path else b"{}" if content is None else raw(content)
    return api.http.request(method, path, content=body, headers=headers | {"Content-Type": "application/json"})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_route_has_a_row() -> None:
    settings = Settings(database_url="postgresql://never.connected/to")
    found = {("POST", PATH)}
    for route in routes_of(Node(settings), settings).routes:
        found |= {(method, route.path_format) for method in route.methods - {"OPTIONS"}}  # type: ignore[attr-defined]
    assert found == (ROUTES.keys() - {("POST", "/v1/connections/web-shop")}) | CONSOLE


def test_every_route_lets_in_who_is_granted_what_it_needs_and_nobody_else(hub: tuple[Api, psycopg.Connection]) -> None:
    api, connection = hub
    keys = {name: client(connection, name, Grant(operations=operations)) for name, operations in ROLES.items()}
    only = {one: client(connection, f"only {one}", Grant(operations=frozenset({one}))) for one in Operation}
    needs = {key: frozenset({one, ALSO.get(key, one)}) for key, one in ROUTES.items() if isinstance(one, Operation)}
    others = {
        enough: client(connection, f"not {' '.join(enough)}", Grant(operations=EVERYTHING - enough))
        for enough in set(needs.values())
    }
    wrong: list[str] = []

    def expect(what: str, answer: httpx2.Response, *, refused: int | None) -> None:
        right = answer.status_code == refused if refused else answer.status_code not in (401, 403)
        if not right or answer.status_code >= 500:
            wrong.append(f"{what}: {answer.status_code}, not {refused or 'let in'}")

    for (method, template), needed in ROUTES.items():
        path = path_of(template)
        if isinstance(needed, Operation):
            enough = needs[(method, template)]
            expect(f"nobody {method} {path}", ask(api, method, path), refused=401)
            for name, operations in ROLES.items():
                allowed = bool(operations & enough)
                expect(f"{name} {method} {path}", ask(api, method, path, keys[name]), refused=None if allowed else 403)
            for one in enough:
                expect(f"{one} alone {method} {path}", ask(api, method, path, only[one]), refused=None)
            expect(f"all others {method} {path}", ask(api, method, path, others[enough]), refused=403)
        else:
            statuses = {ask(api, method, path, key).status_code for key in ("", *keys.values(), *only.values())}
            let_in = statuses & {200, 204, 400, 404} if needed == OPEN else statuses & {401, 404, 400, 415}
            if statuses != let_in or len(statuses) != 1:
                wrong.append(f"{method} {path}: {statuses}")
    assert wrong == []


def test_what_routes_can_do_is_all_that_anybody_is_told_without_a_grant(hub: tuple[Api, psycopg.Connection]) -> None:
    api, _ = hub
    for method, template in ROUTES:
        answer = api.http.request("OPTIONS", path_of(template))
        assert answer.status_code in (204, 401, 403, 405), (method, template)
        if answer.status_code == 204:
            assert answer.content == b""
        assert api.http.request("HEAD", path_of(template)).status_code in (401, 403, 404, 405)


# ---------------------------------------------------------------- two stores


SCOPES = {
    "by store": Grant(operations=EVERYTHING, stores=("al*",)),
    "by company": Grant(operations=EVERYTHING, companies=("FIRST",)),
}
ELSEWHERE = "zulu.."
"""A store that there is not; its name is as long as the other store's with its company's ending."""
PRESENT = re.compile(r'"(?:age_s|at|local_time)":(?:[0-9.e+-]+|"[^"]*")')
"""What is another each time one looks."""


def told(answer: httpx2.Response) -> str:
    return PRESENT.sub("", answer.text)


def as_elsewhere(text: str) -> str:
    """The same question, or answer, about what there is not."""
    return text.replace("BRAVO", "ZULU_").replace("bravo", "zulu_")


def shows_bravo(text: str) -> bool:
    """Whether anything of the other store is in an answer: its name, or money of which its is a part."""
    return "bravo" in text.lower() or re.search(r"-?[1-9]\d{6,}\.\d\d\b", text) is not None


@pytest.fixture(scope="module", params=SCOPES)
def scoped(request: pytest.FixtureRequest, hub: tuple[Api, psycopg.Connection]) -> str:
    """The key of a client that may do everything in alpha."""
    return client(hub[1], f"scoped {request.param}", SCOPES[request.param])


@pytest.fixture(scope="module")
def unscoped(hub: tuple[Api, psycopg.Connection]) -> str:
    return client(hub[1], "unscoped", Grant(operations=EVERYTHING))


def fields(hub: tuple[Api, psycopg.Connection], number: str) -> dict[str, list[str]]:
    """What parameters may be about a store, by their names."""
    company = COMPANIES[number]
    prices = [
        id_
        for (id_,) in rows(
            hub[1], "SELECT id FROM master_record WHERE type LIKE '%%price%%' AND id LIKE %s", f"%{number}%"
        )
    ]
    records = [
        number,
        f"{number}/7",
        f"{company}/4000",
        f"{company}/2026-03",
        f"urn:pos:test/store/X-{number}",
        *prices,
    ]
    records = [quote(one, safe="/") for one in records]
    ids = [str(id_) for (id_,) in rows(hub[1], "SELECT exception_id FROM exception WHERE store = %s", number)]
    return {
        "key": [f"{number}/1/2026-03-02/{n}" for n in (1, 2, 3, 8)] + [f"store:{number}@1"],
        "exception_id": ids,
        "reference": references(hub[1], number),
        "record": [*records, *[f"{one}/versions" for one in records]],
        "store": [number],
        "company": [company],
        "after": [number, company],
        "prefix": [number, company, f"store:{number}"],
        "q": [number, company],
        "cause": [f"unknown_register:{number}/99"],
        "sku": ["milk"],
        "code": ["STD"],
        "line": ["1"],
        "kind": ["store", "register", "price", "account", "period", "mapping", "product"],
    }


ODD = ["*", "%", "_ravo", "", "alpha,bravo", "alpha' OR 'a'='a", "{alpha,bravo}", "null", "ALL"]
SMUGGLED = {"reach": BRAVO, "stores": BRAVO, "tenant": COMPANIES[BRAVO], "scope": "*", "sources": "*", "store[]": BRAVO}
TYPED = {
    "state": ["all", "open", "waiting", "approval", "resolved"],
    "severity": ["warning", "blocking"],
    "least": ["0", "1000"],
    "older_than_hours": ["0"],
    "overdue": ["true"],
    "most": ["1", "1000"],
    "active": ["true", "false"],
    "from": ["2020-01-01"],
    "to": ["2030-01-01"],
    "at": ["2026-03-02T12:00:00Z"],
    "before": ["5"],
    "unit": ["EA"],
    "currency": ["USD"],
    "code": ["unknown_product", "unknown_register"],
    "owner": ["merchandising"],
    "assigned": ["nobody"],
}


def asked(described: dict[str, Any], mine: dict[str, list[str]], theirs: dict[str, list[str]]) -> Iterator[str]:
    """Addresses of GET routes under which something of the other store could be: each parameter in turn with whatever may
    be about it, the others as somebody of this store would have them; and parameters that there are not.
    """
    for template, methods in described["paths"].items():
        if "get" not in methods or not isinstance(ROUTES[("GET", template)], Operation):
            continue
        parameters = methods["get"].get("parameters", [])
        own = {one["name"]: mine[one["name"]][0] for one in parameters if one.get("required")}
        yield address(template, own)
        for name in [one["name"] for one in parameters]:
            values = [*theirs.get(name, ()), *TYPED.get(name, ()), *(ODD if name not in TYPED else ())]
            if name not in ("exception_id", "line", "most", "kind"):
                values += [BRAVO, COMPANIES[BRAVO]]
            for value in values:
                yield address(template, own | {name: value})
                if name == "record":
                    yield from (address(template, own | {"kind": kind, name: value}) for kind in theirs["kind"][1:])
                if name == "store" and "sku" not in own and "code" not in own:
                    yield address(template, own) + f"?store={ALPHA}&store={quote(value)}"
        if all(name in mine for name in own) and "kind" in own:
            yield from (address(template, own | {"kind": kind}) for kind in theirs["kind"])
        query = urlencode(SMUGGLED)
        base = address(template, own)
        yield base + ("&" if "?" in base else "?") + query


def address(template: str, values: dict[str, str]) -> str:
    path = re.sub(r"\{(\w+)\}", lambda found: values.get(found[1]) or "-", template)
    query = {name: value for name, value in values.items() if f"{{{name}}}" not in template}
    return path + (f"?{urlencode(query)}" if query else "")


SHOWN_TO_ALL = {
    "/v1/service-levels/{figure}/stores",  # as of the last minutes
    "/v1/service-levels/{figure}",  # numbers alone; whose, tests of service levels look at
    "/v1/audit",
    "/v1/access/clients",
    "/v1/access/clients/{name}",
    "/metrics",
    "/v1/connections",
}
"""Routes that show nothing of the other store's own, even to who sees everything."""


def test_no_parameter_of_any_route_shows_another_store(
    hub: tuple[Api, psycopg.Connection], scoped: str, unscoped: str
) -> None:
    api, _ = hub
    described = api.http.get("/openapi.json").json()
    mine, theirs = fields(hub, ALPHA), fields(hub, BRAVO)
    mine["name"] = ["nobody"]
    mine["figure"] = theirs["figure"] = ["money_at_risk"]
    shown: set[str] = set()
    wrong: list[str] = []
    seen = 0
    for path in dict.fromkeys(asked(described, mine, theirs)):
        seen += 1
        answer = ask(api, "GET", path, scoped)
        if answer.status_code >= 500:
            wrong.append(f"{path}: {answer.status_code}")
        everything = ask(api, "GET", path, unscoped)
        if everything.status_code == 200 and shows_bravo(everything.text):
            shown.add(template_of(described, path))
        elsewhere = as_elsewhere(path)
        for number in theirs["exception_id"]:
            elsewhere = re.sub(rf"/exceptions/{number}$", f"/exceptions/{NEVER}", elsewhere)
        if elsewhere == path:
            if answer.status_code == 200 and shows_bravo(answer.text):
                wrong.append(f"{path}: {answer.text[:300]}")
        else:  # what was asked may be repeated, so: all that is told would be told of what there is not
            same = ask(api, "GET", elsewhere, scoped)
            first, second = as_elsewhere(told(answer)), told(same)
            number = path.rpartition("/")[2]
            if (answer.status_code, first.replace(f' {number}"', f' {NEVER}"')) != (same.status_code, second):
                wrong.append(f"{path} is not answered as what there is not: {answer.text[:200]} / {same.text[:200]}")
    assert wrong == []
    data = {path for path, methods in described["paths"].items() if "get" in methods} & {
        path for (method, path), needed in ROUTES.items() if method == "GET" and isinstance(needed, Operation)
    }
    shown -= SHOWN_TO_ALL
    assert shown == data - SHOWN_TO_ALL, "the questions must find what they are not to find"
    assert seen > 200


def template_of(described: dict[str, Any], path: str) -> str:
    bare = path.partition("?")[0]

    def pattern(template: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: ".+" if found[1] in ("key", "record") else "[^/]+", template)

    return min((one for one in described["paths"] if re.fullmatch(pattern(one), bare)), key=lambda one: one.count("{"))


def test_what_is_within_reach_is_all_there(hub: tuple[Api, psycopg.Connection], scoped: str, unscoped: str) -> None:
    """Reach takes nothing away of one's own: the figures are those that somebody who sees everything has of the store."""
    api, _ = hub
    for path in ("/v1/reconciliation", "/v1/exceptions", "/v1/exceptions/causes", "/v1/ledger/balance"):
        own = ask(api, "GET", path, scoped)
        joined = "&" if "?" in path else "?"
        whole = ask(api, "GET", f"{path}{joined}store={ALPHA}", unscoped)
        assert own.json() == whole.json(), path
        assert own.json(), path
        assert ask(api, "GET", f"{path}{joined}store={BRAVO}", scoped).json() in (
            [],
            {"ok": True, "totals": {}, "days": [], "late": []},
        )
    for number, status in ((ALPHA, 200), (BRAVO, 404)):
        for path in (f"/v1/trace/{number}/1/2026-03-02/1", f"/v1/masterdata/store/{number}"):
            assert ask(api, "GET", path, scoped).status_code == status, path


# ---------------------------------------------------------------- fixes


def states(connection: psycopg.Connection, number: str) -> list[tuple[Any, ...]]:
    """Everything of a store's exceptions that a fix could change."""
    query = (
        "SELECT exception_id, state, assigned, store, attempts, (SELECT count(*) FROM exception_action a"
        " WHERE a.exception_id = e.exception_id), (SELECT count(*) FROM exception_proposal p WHERE"
        " p.exception_id = e.exception_id) FROM exception e WHERE store = %s ORDER BY 1"
    )
    return rows(connection, query, number)


FIXES: dict[str, Any] = {
    "edit": {"payload": {}, "reason": "r"},
    "edit dry": {"payload": {}, "reason": "r", "dry_run": True},
    "retry": {},
    "approve": {},
    "refuse": {"reason": "r"},
    "dismiss": {"reason": "r"},
    "assign": {"to": "somebody"},
}


def test_no_fix_reaches_another_store(hub: tuple[Api, psycopg.Connection], scoped: str) -> None:
    api, connection = hub
    before = states(connection, BRAVO)
    for number in [row[0] for row in before]:
        for act, body in FIXES.items():
            path = f"/v1/exceptions/{{}}/{act.split()[0]}"
            answer = ask(api, "POST", path.format(number), scoped, body)
            never = ask(api, "POST", path.format(NEVER), scoped, body)
            assert answer.status_code == never.status_code == 404, (act, answer.text)
            assert answer.text.replace(f" {number}", f" {NEVER}") == never.text
        dry = ask(api, "POST", f"/v1/exceptions/{number}/dry-run", scoped)
        assert dry.json() == ask(api, "POST", f"/v1/exceptions/{NEVER}/dry-run", scoped).json()
    for cause in (f"unknown_register:{BRAVO}%2F99", f"currency_mismatch:{BRAVO}"):
        for act, body in (("retry", {}), ("dismiss", {"reason": "r"})):
            assert ask(api, "POST", f"/v1/exceptions/causes/{cause}/{act}", scoped, body).status_code == 404
    assert states(connection, BRAVO) == before


def test_a_cause_of_two_stores_is_fixed_within_reach(hub: tuple[Api, psycopg.Connection], scoped: str) -> None:
    api, connection = hub
    before = states(connection, BRAVO)
    record = event("master.product", {"sku": "nothing", "name": "x", "product_class": "x", "revision": 1})
    dry = ask(api, "POST", "/v1/exceptions/dry-run", scoped, {"records": [record]}).json()
    assert dry["results"]
    assert not shows_bravo(str(dry))
    (cause,) = [
        one for one in ask(api, "GET", "/v1/exceptions/causes", scoped).json() if one["code"] == "unknown_product"
    ]
    mine = rows(connection, "SELECT count(*) FROM exception WHERE store = %s AND cause = %s", ALPHA, cause["cause"])
    assert cause["exceptions"] == mine[0][0]
    path = f"/v1/exceptions/causes/{cause['name']}"
    assert ask(api, "POST", f"{path}/dismiss", scoped, {"reason": "r"}).json() == {
        "dismissed": mine[0][0],
        "approval": 0,
    }
    assert states(connection, BRAVO) == before
    connection.execute("UPDATE exception SET state = 'open' WHERE store = %s AND cause = %s", (ALPHA, cause["cause"]))
    assert ask(api, "POST", f"{path}/retry", scoped).json() == {"retrying": mine[0][0]}
    assert states(connection, BRAVO) == before
    connection.execute("UPDATE exception SET state = 'open' WHERE store = %s AND cause = %s", (ALPHA, cause["cause"]))


def test_an_edit_moves_nothing_into_another_store(
    hub: tuple[Api, psycopg.Connection], scoped: str, unscoped: str
) -> None:
    api, connection = hub
    number = id_of(connection, ALPHA, "unknown_product")
    payload = changed(sale(3, line("milk", "1", "2.00"), store=ALPHA), store=BRAVO)
    path = f"/v1/exceptions/{number}"
    for dry_run in (True, False):
        body = {"payload": payload, "reason": "r", "dry_run": dry_run}
        refused = problem_of(ask(api, "POST", f"{path}/edit", scoped, body), 422)
        assert refused["pointer"] == "/payload/data/store"
        elsewhere = {**body, "payload": changed(payload, store="zulu_")}
        assert as_elsewhere(refused["detail"]) == ask(api, "POST", f"{path}/edit", scoped, elsewhere).json()["detail"]
    moving = {"payload": changed(payload, lines=[line("milk", "1", LARGE)], total=LARGE), "reason": "r"}
    proposed = ask(api, "POST", f"{path}/edit", unscoped, moving)
    assert proposed.json()["state"] == "approval"
    refused = problem_of(ask(api, "POST", f"{path}/approve", scoped, {}), 422)
    assert "store" in refused["detail"]
    assert rows(connection, "SELECT store, state FROM exception WHERE exception_id = %s", number) == [
        (ALPHA, "approval")
    ]
    assert ask(api, "POST", f"{path}/refuse", scoped, {"reason": "not ours"}).status_code == 200
    connection.execute("UPDATE exception SET state = 'open' WHERE exception_id = %s", (number,))
