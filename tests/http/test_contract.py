"""The API keeps its own OpenAPI contract under generated requests, valid and not."""

from __future__ import annotations

from collections.abc import Iterator

import jsonschema_rs
import psycopg
import pytest
import schemathesis
from builders import masters, sale
from driving import accept, exception_codes, load, record
from fixture_types import NewDatabase
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema
from serving import ANYTHING, Api, serving

from tillwire.governance.clients import add_client

LOOK = settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    database=None,
)


@pytest.fixture(scope="module")
def api(new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with some sales and exceptions."""
    with new_database() as url:
        load(url, *masters(), sale(1), sale(2, store="unknown"))
        accept(url, [sale(3)])
        with psycopg.connect(url, autocommit=True) as connection:
            key = add_client(connection, "contract", ANYTHING)
        with serving(
            url, tmp_path_factory.mktemp("contract"), HTTP_API_KEYS="required", CLIENTS_TOKEN_KEY="k" * 40
        ) as one:
            one.http.headers["Authorization"] = f"Bearer {key}"
            yield one
        record(url)  # whatever was generated and accepted
        with psycopg.connect(url, autocommit=True) as connection:
            assert "processing_failed" not in exception_codes(connection)


@pytest.fixture(scope="module")
def contract(api: Api) -> OpenApiSchema:
    """The API's own description."""
    return schemathesis.openapi.from_url(api.url + "/openapi.json")


OPERATIONS = [
    ("/v1/events", "POST"),
    ("/v1/connections", "GET"),
    ("/v1/connections/{name}", "POST"),
    ("/v1/exceptions", "GET"),
    ("/v1/masterdata/prices", "GET"),
    ("/v1/masterdata/rates", "GET"),
    ("/v1/masterdata/{kind}", "GET"),
    ("/v1/masterdata/{kind}", "POST"),
    ("/v1/masterdata/{kind}/{record}", "GET"),
    ("/v1/exceptions/causes", "GET"),
    ("/v1/exceptions/{exception_id}", "GET"),
    ("/v1/exceptions/{exception_id}/edit", "POST"),
    ("/v1/exceptions/{exception_id}/dry-run", "POST"),
    ("/v1/exceptions/dry-run", "POST"),
    ("/v1/exceptions/{exception_id}/retry", "POST"),
    ("/v1/exceptions/{exception_id}/approve", "POST"),
    ("/v1/exceptions/{exception_id}/refuse", "POST"),
    ("/v1/exceptions/{exception_id}/dismiss", "POST"),
    ("/v1/exceptions/{exception_id}/assign", "POST"),
    ("/v1/exceptions/causes/{cause}/retry", "POST"),
    ("/v1/exceptions/causes/{cause}/dismiss", "POST"),
    ("/v1/audit", "GET"),
    ("/v1/service-levels", "GET"),
    ("/v1/service-levels/{figure}", "GET"),
    ("/v1/service-levels/{figure}/stores", "GET"),
    ("/v1/alerts", "GET"),
    ("/v1/alerts/silences", "GET"),
    ("/v1/alerts/silences", "POST"),
    ("/v1/alerts/silences/{silence_id}/end", "POST"),
    ("/v1/ledger/balance", "GET"),
    ("/v1/ledger/journal", "GET"),
    ("/v1/ledger/journal/parts", "GET"),
    ("/v1/ledger/suspense", "GET"),
    ("/v1/posting/backlog", "GET"),
    ("/v1/erps/{name}/callback", "POST"),
    ("/v1/reconciliation", "GET"),
    ("/v1/trace/{key}", "GET"),
    ("/v1/schemas", "GET"),
    ("/v1/schemas/{event_type}", "GET"),
    ("/v1/access/clients", "GET"),
    ("/v1/access/clients", "POST"),
    ("/v1/access/clients/{name}", "GET"),
    ("/v1/access/clients/{name}/grants", "PUT"),
    ("/v1/access/clients/{name}/limits", "PUT"),
    ("/v1/access/clients/{name}/keys", "POST"),
    ("/v1/access/clients/{name}/revoke", "POST"),
    ("/oauth/token", "POST"),
    ("/.well-known/oauth-authorization-server", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
]


# JSON Schema cannot say all that the door asks for (printable keys, integers that are written as such), a batch with
# bad events is answered 207, and unknown query parameters are ignored.
NOT_ASKED = [positive_data_acceptance, negative_data_rejection]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_valid_requests_keep_the_contract(api: Api, contract: OpenApiSchema, path: str, method: str) -> None:
    keep_the_contract(api, contract[path][method], GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/events", "POST"),
        ("/v1/exceptions", "GET"),
        ("/v1/exceptions/{exception_id}/edit", "POST"),
        ("/v1/exceptions/dry-run", "POST"),
        ("/v1/exceptions/{exception_id}/dismiss", "POST"),
        ("/v1/exceptions/{exception_id}/assign", "POST"),
        ("/v1/audit", "GET"),
        ("/v1/ledger/balance", "GET"),
        ("/v1/ledger/journal", "GET"),
        ("/v1/ledger/journal/parts", "GET"),
        ("/v1/ledger/suspense", "GET"),
        ("/v1/reconciliation", "GET"),
        ("/v1/access/clients", "POST"),
        ("/v1/access/clients/{name}/grants", "PUT"),
        ("/oauth/token", "POST"),
    ],
)
def test_invalid_requests_keep_the_contract(api: Api, contract: OpenApiSchema, path: str, method: str) -> None:
    keep_the_contract(api, contract[path][method], GenerationMode.NEGATIVE)


def keep_the_contract(api: Api, operation: APIOperation, mode: GenerationMode) -> None:
    """No 5xx; statuses, content types and bodies as described; no answer without a key where one is asked for."""

    @LOOK
    @given(case=operation.as_strategy(mode))
    def look(case: schemathesis.Case) -> None:
        key = {"Authorization": api.http.headers["Authorization"]}
        case.call_and_validate(timeout=30, headers=key, excluded_checks=NOT_ASKED)

    look()


def test_the_description_is_sound(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    assert document["info"]["title"] == "Tillwire"
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.validator_for({"$ref": f"#/components/schemas/{name}", "components": document["components"]})
        assert schema
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    assert described == set(OPERATIONS)
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert len({operation["operationId"] for _, _, operation in operations}) == len(operations)
    for path, _, operation in operations:
        assert operation["summary"], path
        assert operation["responses"], path
