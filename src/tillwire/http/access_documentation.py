"""What OpenAPI says of clients and tokens: their routes read and write it themselves, unknown to the framework."""

from __future__ import annotations

from typing import Any

import msgspec

from tillwire.governance.access import Operation
from tillwire.http import clients, oauth

_TEMPLATE = "#/components/schemas/{name}"

SECURITY: dict[str, Any] = {
    "key": {"type": "http", "scheme": "bearer", "description": "a client's key (tillwire client add), or a token"},
    "token": {
        "type": "oauth2",
        "flows": {
            "clientCredentials": {
                "tokenUrl": oauth.TOKEN_PATH,
                "scopes": {str(operation): str(operation) for operation in Operation},
            }
        },
    },
}
"""Either is shown as ``Authorization: Bearer``."""


def describe_access(described: dict[str, Any], problem_response: Any) -> None:
    """Add bodies and answers of the routes of clients, and of the token endpoint."""
    kinds = [kind for _, kind in clients.RESULTS.values()] + [*clients.BODIES.values(), oauth.Token, oauth.TokenError]
    found, components = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    described["components"]["schemas"].update(components)
    schemas = iter(found)
    for (path, method), (status, _) in clients.RESULTS.items():
        responses = described["paths"][path][method]["responses"]
        for unset in ("200", "201"):
            responses.pop(unset, None)
        responses[status] = {"description": "done", "content": {"application/json": {"schema": next(schemas)}}}
    for path, method in clients.BODIES:
        operation = described["paths"][path][method]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": next(schemas)}}}
        operation["responses"]["422"] = problem_response("the body is wrong; pointer names the field")
        operation["responses"]["409"] = problem_response("nobody changes what they may do themselves")
    _describe_token(described["paths"][oauth.TOKEN_PATH]["post"], next(schemas), next(schemas), problem_response)


def _describe_token(operation: dict[str, Any], token: Any, error: Any, problem_response: Any) -> None:
    fields = {name: {"type": "string"} for name in ("grant_type", "scope", "client_id", "client_secret")}
    fields["grant_type"]["enum"] = ["client_credentials"]  # type: ignore[assignment]
    schema = {"type": "object", "required": ["grant_type"], "properties": fields}
    operation["requestBody"] = {"required": True, "content": {oauth.FORM: {"schema": schema}}}
    refused = {"content": {"application/json": {"schema": error}}}
    operation["responses"] = {
        "200": {"description": "a token", "content": {"application/json": {"schema": token}}},
        "400": {"description": "the request is wrong, or asks for what is not granted", **refused},
        "401": {"description": "no such client, or not a key of its in force", **refused},
        "413": problem_response("the body is too large"),
        "503": {"description": "no tokens are given, or the database is away", **refused},
    }
