"""``/stock``: what lies where, by the hub's own movements and by what other systems report; and an item's movements."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from tillwire.console.shell import AnyRequest, node_of, render
from tillwire.console.tables import Column, exported, table, wants_csv
from tillwire.database import sql
from tillwire.governance.access import Operation
from tillwire.http.access import needs, reach_of

_sql = sql.load("tillwire.console", "console.sql")
MOST = 2_000
Text = Annotated[str, Parameter(max_length=64, pattern=r"^[^\x00]*$")]

_COLUMNS = (
    Column("store", "Store", lambda one: one[0]),
    Column("sku", "Item", lambda one: one[1]),
    Column("name", "Name", lambda one: one[2]),
    Column("on_hand", "On hand", lambda one: one[3], numeric=True),
    Column("unavailable", "Unavailable", lambda one: one[4], numeric=True),
    Column("reported", "Reported", lambda one: one[5], numeric=True),
    Column("drift", "Drift", lambda one: one[6], numeric=True),
    Column("at", "Reported as of", lambda one: one[7]),
)


@get("/stock", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_STOCK))
def stock(request: AnyRequest) -> Response[Any]:
    """Balances of stores within reach: of a store, of an item, or the largest drifts and the most negative."""
    asked = request.query_params
    parameters = {
        "reach": reach_of(request).narrowed(asked.get("store") or None).parameter,
        "sku": asked.get("sku") or None,
        "most": MOST,
    }
    with node_of(request).reading() as connection:
        rows = connection.execute(_sql.balances, parameters).fetchall()
    made = table(request, _COLUMNS, rows, sort="", descending=False)
    if wants_csv(request):
        return exported(made, "stock")
    return render(request, "stock.html", title="Stock", made=made, asked=asked, cut=len(rows) >= MOST, most=MOST)


@get("/stock/{store:str}/{sku:str}", include_in_schema=False, sync_to_thread=True, opt=needs(Operation.READ_STOCK))
def movements(request: AnyRequest, store: Text, sku: Text) -> Response[Any]:
    """One item in one store: its balance and its latest movements."""
    if not reach_of(request).covers(store):
        raise NotFoundException(f"{sku} has never moved in {store}, or that is not within your reach")
    with node_of(request).reading() as connection:
        reach = {"reach": [store], "sku": sku, "most": 1}
        balance = connection.execute(_sql.balances, reach).fetchone()
        if balance is None:
            raise NotFoundException(f"{sku} has never moved in {store}, or that is not within your reach")
        rows = connection.execute(_sql.movements, {"store": store, "sku": sku, "most": 500}).fetchall()
    return render(
        request, "movements.html", title=f"{sku} in {store}", balance=balance, rows=rows, store=store, sku=sku
    )


ROUTES = (stock, movements)
