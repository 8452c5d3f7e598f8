"""The console's routes and what each needs; the table of the API's routes takes them in."""

from __future__ import annotations

from tillwire.governance.access import Operation

PAGES: dict[str, Operation] = {
    "/": Operation.READ_SALES,
    "/stores": Operation.READ_SALES,
    "/stores/{number}": Operation.READ_SALES,
    "/stores/{number}/{day}": Operation.READ_SALES,
    "/transactions": Operation.READ_SALES,
    "/transactions/of/{key}": Operation.READ_SALES,
    "/exceptions": Operation.READ_EXCEPTIONS,
    "/exceptions/{exception_id}": Operation.READ_EXCEPTIONS,
    "/exceptions/causes/{name}": Operation.READ_EXCEPTIONS,
    "/posting": Operation.READ_LEDGER,
    "/posting/journals": Operation.READ_LEDGER,
    "/posting/journal": Operation.READ_LEDGER,
    "/posting/suspense": Operation.READ_LEDGER,
    "/posting/balance": Operation.READ_LEDGER,
    "/proof": Operation.READ_SALES,
    "/service-levels": Operation.READ_SERVICE_LEVELS,
    "/stock": Operation.READ_STOCK,
    "/stock/{store}/{sku}": Operation.READ_STOCK,
    "/master-data": Operation.READ_MASTER_DATA,
    "/master-data/{kind}/{record}": Operation.READ_MASTER_DATA,
    "/connectors": Operation.READ_CONNECTORS,
    "/events": Operation.READ_EVENTS,
    "/events/{partition}/{offset}": Operation.READ_EVENTS,
    "/audit": Operation.READ_AUDIT,
    "/account": Operation.READ_CATALOGUE,
    "/account/authenticator": Operation.READ_CATALOGUE,
    "/people": Operation.ADMINISTER_ACCESS,
    "/live": Operation.READ_SERVICE_LEVELS,
}
"""Pages, by the operation that opens them."""

FORMS: dict[str, Operation] = {
    "/exceptions/causes/{name}/retry": Operation.WORK_EXCEPTIONS,
    "/exceptions/causes/{name}/dismiss": Operation.WORK_EXCEPTIONS,
    "/exceptions/causes/{name}/record": Operation.WRITE_MASTER_DATA,
    "/exceptions/{exception_id}/{action}": Operation.READ_EXCEPTIONS,
    "/posting/journals/retry": Operation.WORK_LEDGER,
    "/posting/suspense/reclassify": Operation.WORK_LEDGER,
    "/account/password": Operation.READ_CATALOGUE,
    "/account/sessions/end": Operation.READ_CATALOGUE,
    "/account/authenticator": Operation.READ_CATALOGUE,
    "/account/authenticator/confirm": Operation.READ_CATALOGUE,
    "/account/recovery": Operation.READ_CATALOGUE,
    "/people/{name}/{action}": Operation.ADMINISTER_ACCESS,
}
"""What forms are sent to. What an action on one exception needs beside is in its own table."""

DOORS = (
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/sign-in/code"),
    ("POST", "/sign-in/code"),
    ("GET", "/sign-in/password"),
    ("POST", "/sign-in/password"),
    ("GET", "/sign-in/enrol"),
    ("POST", "/sign-in/enrol"),
    ("POST", "/sign-out"),
    ("GET", "/sign-in/oidc"),
    ("GET", "/sign-in/oidc/callback"),
    ("GET", "/static/{digest}/{name}"),
)
"""Open to who is not signed in, or not yet wholly."""

CONSOLE = {("GET", path) for path in PAGES} | {("POST", path) for path in FORMS} | set(DOORS)
