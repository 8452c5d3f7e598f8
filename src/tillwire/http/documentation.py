"""OpenAPI 3.1 and its page: what Litestar knows of the routes, with the event types and the first sale added.

The page is rendered here, without any script or outside network.
"""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get

from tillwire.exceptions.dry_run import DryRun
from tillwire.exceptions.fixes import Fixed
from tillwire.exceptions.queue import Cause, ExceptionDetail, ExceptionRow
from tillwire.governance.audit import AuditEntry
from tillwire.http import exceptions
from tillwire.http.access_documentation import SECURITY, describe_access
from tillwire.http.connections import ConnectionStatus, Receipt
from tillwire.http.events import PATH
from tillwire.http.posting import CallbackReceipt
from tillwire.http.service_levels import NewSilence
from tillwire.masterdata.bulk import Outcome
from tillwire.masterdata.listing import Page
from tillwire.masterdata.lookup import PricesInForce, RateInForce
from tillwire.model.event import MESSAGES
from tillwire.model.schema import decimal_schema, envelope_schema, message_schema
from tillwire.observability.alerts import AlertView, Silence
from tillwire.observability.history import Point
from tillwire.observability.levels import Levels
from tillwire.observability.now import StoreValue
from tillwire.posting.backlog import ErpBacklog
from tillwire.posting.drilldown import JournalWithLines, Part
from tillwire.posting.suspense import InSuspense
from tillwire.posting.trial_balance import Balance
from tillwire.reconciliation.days import Report
from tillwire.reconciliation.trace import Trace

_EVENT = {"$ref": "#/components/schemas/Event"}

FIRST_SALE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "0198c5b2-7b7e-7cc0-8f2e-0d9e3f6a1b01",
    "source": "urn:pos:store-1",
    "type": "tillwire.transaction.v1",
    "time": "2026-11-20T18:05:11-05:00",
    "data": {
        "store": "1",
        "register": "1",
        "business_date": "2026-11-20",
        "sequence": 1,
        "kind": "sale",
        "currency": "USD",
        "total": "2.12",
        "lines": [
            {
                "sku": "milk-1l",
                "quantity": "2",
                "unit_price": "1.00",
                "amount": "2.00",
                "taxes": [{"code": "STD", "rate": "0.06", "amount": "0.12"}],
            }
        ],
        "tenders": [{"type": "cash", "amount": "5.00"}, {"type": "cash", "amount": "-2.88", "change": True}],
    },
}


def _rooted(node: Any) -> Any:
    """A schema document as a component: its definitions move beside it."""
    if isinstance(node, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _rooted(value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_rooted(value) for value in node]
    return node


def event_components() -> dict[str, Any]:
    """Every event type as component schemas, and ``Event`` as any one of them, told apart by ``type``."""
    components: dict[str, Any] = {}
    variants = []
    for event_type, message in MESSAGES.items():
        document = message_schema(event_type)
        components.update({name: _rooted(schema) for name, schema in document["$defs"].items()})
        name = message.__name__ + "Event"
        components[name] = envelope_schema(event_type, {"$ref": f"#/components/schemas/{message.__name__}"})
        variants.append({"$ref": f"#/components/schemas/{name}"})
    components["Event"] = {"oneOf": variants, "discriminator": {"propertyName": "type", "mapping": _mapping()}}
    return components


def _mapping() -> dict[str, str]:
    return {event_type: f"#/components/schemas/{message.__name__}Event" for event_type, message in MESSAGES.items()}


def _problem_response(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {"application/problem+json": {"schema": schema}}}


_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "pointer": {"type": "string", "description": "JSON pointer to the field"},
    },
}

_EVENT_RESPONSES = {
    "200": "duplicate: known with the same content, no effect",
    "202": "accepted (of a batch: everything accepted or duplicate), on disk",
    "207": "of a batch: some events are in conflict or rejected, see results",
}

_EVENT_PROBLEMS = {
    "400": "malformed JSON, wrong encoding, nested too deep",
    "401": "no key in force",
    "403": "not granted: to send events at all, or this one; pointer names its source or its store",
    "409": "conflict: the key was accepted before with other content",
    "413": "body or batch over the limit",
    "415": "another content type",
    "422": "the event breaks its schema; pointer names the field",
    "503": "the database is away or too many events wait; see Retry-After",
}


_ACCEPT = (
    "One event (`application/cloudevents+json`) or a batch (`application/cloudevents-batch+json`). What is answered"
    " `accepted` is on disk. The same key with the same content is `duplicate`, with other content `conflict` (an"
    " exception, without effect); what is structurally wrong is `rejected`, and harms no neighbour."
)


_DELIVER = "/v1/connections/{name}"


def _describe_deliver(described: dict[str, Any]) -> None:
    """Bodies of other systems: whatever the connection's connector reads."""
    operation = described["paths"][_DELIVER]["post"]
    operation["requestBody"] = {
        "required": True,
        "content": {"*/*": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
    }
    receipt = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Receipt"}}}}
    operation["responses"] |= {
        "200": {"description": "duplicate: on disk already; to webhooks also: accepted", **receipt},
        "202": {"description": "accepted: on disk, to be read by the connection's connector", **receipt},
        "413": _problem_response("body over the limit"),
        "422": _problem_response("the connector cannot read it; nothing of it is kept"),
    }


_CALLBACK = "/v1/erps/{name}/callback"


def _describe_callback(described: dict[str, Any]) -> None:
    """Bodies of ERPs that call back: whatever the ERP's connector reads, and proves to be the ERP's."""
    operation = described["paths"][_CALLBACK]["post"]
    operation["security"] = []
    operation["requestBody"] = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    receipt = {"$ref": "#/components/schemas/CallbackReceipt"}
    operation["responses"] |= {
        "200": {"description": "on disk", "content": {"application/json": {"schema": receipt}}},
        "400": _problem_response("the connector cannot read it, or a parameter is wrong"),
        "401": _problem_response("it does not prove to come from the ERP"),
        "413": _problem_response("body over the limit"),
    }


_RESULTS: dict[str, Any] = {
    "/v1/posting/backlog": list[ErpBacklog],
    "/v1/connections": list[ConnectionStatus],
    "/v1/reconciliation": Report,
    "/v1/audit": list[AuditEntry],
    "/v1/service-levels": Levels,
    "/v1/service-levels/{figure}": list[Point],
    "/v1/service-levels/{figure}/stores": list[StoreValue],
    "/v1/alerts": list[AlertView],
    "/v1/alerts/silences": list[Silence],
    "/v1/ledger/balance": list[Balance],
    "/v1/ledger/journal": JournalWithLines,
    "/v1/ledger/journal/parts": list[Part],
    "/v1/ledger/suspense": list[InSuspense],
    "/v1/trace/{key}": list[Trace],
    "/v1/exceptions": list[ExceptionRow],
    "/v1/masterdata/prices": PricesInForce,
    "/v1/masterdata/rates": RateInForce,
    "/v1/masterdata/{kind}": Page,
    "/v1/exceptions/causes": list[Cause],
    "/v1/exceptions/{exception_id}": ExceptionDetail,
}


def _describe_silences(described: dict[str, Any]) -> None:
    """Bodies and answers of the routes that silence alerts."""
    template = "#/components/schemas/{name}"
    (body, made), components = msgspec.json.schema_components([NewSilence, Silence], ref_template=template)
    described["components"]["schemas"].update(components)
    making = described["paths"]["/v1/alerts/silences"]["post"]
    making["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    content = {"application/json": {"schema": made}}
    making["responses"]["201"] = {"description": "in force", "content": content}
    making["responses"]["422"] = _problem_response("the body is wrong, or names what is not within reach")
    ending = described["paths"]["/v1/alerts/silences/{silence_id}/end"]["post"]
    ended = {"type": "object", "properties": {"ended": {"type": "integer"}}}
    ending["responses"]["200"] = {"description": "ended", "content": {"application/json": {"schema": ended}}}


_POSTED_RESULTS: dict[str, Any] = {
    "/v1/exceptions/{exception_id}/edit": Fixed,
    "/v1/exceptions/{exception_id}/dry-run": DryRun,
    "/v1/exceptions/dry-run": DryRun,
    "/v1/exceptions/{exception_id}/retry": Fixed,
    "/v1/exceptions/{exception_id}/approve": Fixed,
    "/v1/exceptions/{exception_id}/refuse": Fixed,
    "/v1/exceptions/{exception_id}/dismiss": Fixed,
    "/v1/exceptions/{exception_id}/assign": Fixed,
    "/v1/exceptions/causes/{cause}/retry": dict[str, int],
    "/v1/exceptions/causes/{cause}/dismiss": dict[str, int],
}
"""What routes answer that encode it themselves, so that the framework does not know it."""


def _describe_results(described: dict[str, Any]) -> None:
    template = "#/components/schemas/{name}"
    kinds = [*_RESULTS.values(), Outcome, *_POSTED_RESULTS.values(), *exceptions.BODIES.values()]
    found, components = msgspec.json.schema_components(kinds, schema_hook=_hook, ref_template=template)
    described["components"]["schemas"].update(components)
    schemas = iter(found)
    paths = described["paths"]
    for path in _RESULTS:
        paths[path]["get"]["responses"]["200"]["content"] = {"application/json": {"schema": next(schemas)}}
    _describe_bulk(paths["/v1/masterdata/{kind}"]["post"], next(schemas))
    for path in _POSTED_RESULTS:
        schema = next(schemas)
        if path.endswith("/edit"):  # a dry run is answered by what it shows
            schema = {"anyOf": [schema, {"$ref": template.format(name=DryRun.__name__)}]}
        responses = paths[path]["post"]["responses"]
        responses.pop("201", None)
        content = {"application/json": {"schema": schema}}
        responses["200"] = {"description": "done, or waiting for approval", "content": content}
        responses["409"] = _problem_response("it is in no state for it, or who asks may not")
    for path in exceptions.BODIES:
        operation = paths[path]["post"]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": next(schemas)}}}
        operation["responses"]["422"] = _problem_response("the body is wrong; pointer names the field")


def _hook(kind: type) -> dict[str, Any]:
    """Decimals are text; a payload may be anything, and is judged by itself."""
    return {} if kind is msgspec.Raw else decimal_schema(kind)


_MAY_MISS = ("/v1/ledger/journal", "/v1/ledger/journal/parts", "/v1/masterdata/prices", "/v1/masterdata/rates")
"""Routes that answer 404 for what a parameter names."""


def _describe_bulk(operation: dict[str, Any], outcome: dict[str, Any]) -> None:
    """What the framework cannot know of a route that reads its body itself."""
    operation["requestBody"] = {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
    told = {
        "200": "every row accepted, unchanged or duplicate",
        "207": "some rows are rejected or in conflict, see errors",
        "422": "all or nothing was asked for, and rows are rejected: nothing was accepted",
    }
    content = {"application/json": {"schema": outcome}}
    operation["responses"] = {
        **{status: {"description": text, "content": content} for status, text in told.items()},
        "400": _problem_response("malformed JSON or table, or a wrong parameter"),
        "413": _problem_response("body over the limit, or too many rows for all or nothing"),
        "415": _problem_response("another content type"),
    }


def document(app: Any) -> dict[str, Any]:
    """The whole OpenAPI document of an application."""
    described: dict[str, Any] = app.openapi_schema.to_schema()
    components = described.setdefault("components", {})
    components.setdefault("schemas", {}).update(event_components() | {"Problem": _PROBLEM_SCHEMA})
    components["securitySchemes"] = SECURITY
    described["security"] = [{"key": []}, {"token": []}]
    accept: dict[str, Any] = {
        "tags": ["events"],
        "summary": "Accept events",
        "description": _ACCEPT,
        "operationId": "acceptEvents",
    }
    described["paths"] = {PATH: {"post": accept}, **described["paths"]}
    accept["requestBody"] = {
        "required": True,
        "content": {
            "application/cloudevents+json": {"schema": _EVENT, "examples": {"sale": {"value": FIRST_SALE}}},
            "application/cloudevents-batch+json": {"schema": {"type": "array", "items": _EVENT, "maxItems": 1000}},
        },
    }
    accept["responses"] = {
        **{
            status: {"description": text, "content": {"application/json": {"schema": {"type": "object"}}}}
            for status, text in _EVENT_RESPONSES.items()
        },
        **{status: _problem_response(text) for status, text in _EVENT_PROBLEMS.items()},
    }
    _describe_results(described)
    components["schemas"]["Receipt"] = msgspec.json.schema(Receipt)["$defs"]["Receipt"]
    _describe_deliver(described)
    components["schemas"]["CallbackReceipt"] = msgspec.json.schema(CallbackReceipt)["$defs"]["CallbackReceipt"]
    _describe_callback(described)
    _describe_silences(described)
    describe_access(described, _problem_response)
    for path, operations in described["paths"].items():
        for operation in operations.values():
            if "{" in path or path in _MAY_MISS:
                operation["responses"].setdefault("404", _problem_response("there is no such thing"))
            if path.startswith("/v1/") and not path.startswith("/v1/schemas"):
                operation["responses"].setdefault("401", _problem_response("no key in force"))
                operation["responses"].setdefault("403", _problem_response("not granted"))
                operation["responses"].setdefault("503", _problem_response("the database is away"))
                if path != PATH and "415" not in operation["responses"]:  # who names that names all of its own
                    operation["responses"]["400"] = _problem_response("a parameter is wrong")
            else:
                operation["security"] = []
    return described


@get("/openapi.json", include_in_schema=False, sync_to_thread=False)
def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The OpenAPI document."""
    return Response(msgspec.json.encode(document(request.app)), media_type=MediaType.JSON)


_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 code { font-size: 1rem; } .method { font-weight: 700; text-transform: uppercase; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid; border-radius: .5rem; font-size: .85rem; }
td, th { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0; }
"""
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Tillwire API</title>
<style>{style}</style><h1>Tillwire API</h1>
<p>The contract as a machine reads it: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).
Send <code>Authorization: Bearer</code> with a key made by <code>tillwire client add</code>, or with a token given
for one at <code>/oauth/token</code>.</p>
{operations}<h1>Schemas</h1>{schemas}</html>"""


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(status)}</th><td>{html.escape(response.get('description', ''))}</td></tr>"
        for status, response in sorted(operation.get("responses", {}).items())
    )
    text = html.escape(operation.get("description", "")).replace("\n\n", "<p>")
    head = f'<h2><code><span class="method">{method}</span> {html.escape(path)}</code></h2>'
    return f"<section>{head}<p>{text}</p><table>{rows}</table></section>"


@get("/docs", include_in_schema=False, sync_to_thread=False)
def documentation_page(request: Request[Any, Any, Any]) -> Response[str]:
    """The documentation page."""
    described = document(request.app)
    operations = "".join(
        _operation(path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f"<details><summary><code>{html.escape(name)}</code></summary>"
        f"<pre>{html.escape(msgspec.json.format(msgspec.json.encode(schema)).decode())}</pre></details>"
        for name, schema in sorted(described["components"]["schemas"].items())
    )
    page = _PAGE.format(style=_STYLE, operations=operations, schemas=schemas)
    return Response(page, media_type=MediaType.HTML, headers={"Content-Security-Policy": _POLICY})
