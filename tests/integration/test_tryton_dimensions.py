"""Dimensions of journals as analytic accounts of a real Tryton."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from tryton_journals import kinds, reasons, sales

from tillwire.connectors.erp import Posted, Rejected
from tillwire.connectors.tryton import TrytonConnector
from tillwire.model.ledger import JournalLine

if TYPE_CHECKING:
    from tryton_fixtures import Books

pytest_plugins = ("tryton_fixtures", "tryton_others", "tryton_invoicing")
pytestmark = pytest.mark.erp

DIMENSIONS = {"store": "STORES", "department": "DEPTS"}


@pytest.fixture(scope="module")
def analytic(invoice_books: Books) -> None:
    """Two roots with accounts below them."""
    call = invoice_books.call
    group = call("model.ir.model.data.get_id", "analytic_account", "group_analytic_admin")
    call("model.res.user.write", [invoice_books.client.user_id], {"groups": [["add", [group]]]})
    every = {"company": 1}
    for code, below in (("STORES", ("S001", "S002")), ("DEPTS", ("DAIRY",))):
        (root,) = call("model.analytic_account.account.create", [every | {"name": code, "code": code, "type": "root"}])
        leaf = every | {"type": "normal", "root": root, "parent": root}
        call("model.analytic_account.account.create", [leaf | {"name": name, "code": name} for name in below])


def lines(store: str, department: str) -> tuple[JournalLine, ...]:
    told = {"store": store, "department": department, "cashier": "7"}
    return (
        JournalLine(account="1190", debit=Decimal("10.00"), description="cash", dimensions={"store": store}),
        JournalLine(account="4190", credit=Decimal("10.00"), description="sales", dimensions=told),
        JournalLine(account="2190", description="no tax", dimensions=told),
    )


@pytest.mark.parametrize(("currency", "amount"), [("USD", Decimal("10.00")), ("CAD", Decimal("7.44"))])
def test_dimensions_are_analytic_lines(
    to_invoicing: Callable[..., TrytonConnector], invoice_books: Books, analytic: None, currency: str, amount: Decimal
) -> None:
    connector = to_invoicing(dimensions=DIMENSIONS)
    journal = sales(lines=lines("S001", "DAIRY"), currency=currency)
    (outcome,) = connector.post([journal])
    assert isinstance(outcome, Posted)
    rows = invoice_books.call(
        "model.analytic_account.line.search_read",
        [["move_line.move", "=", int(outcome.document_id)]], 0, None, [["id", "ASC"]],
        ["account.code", "debit", "credit", "date"],
    )  # fmt: skip
    assert [(row["account."]["code"], row["debit"], row["credit"], row["date"]) for row in rows] == [
        ("S001", amount, Decimal(0), journal.books_date),
        ("S001", Decimal(0), amount, journal.books_date),
        ("DAIRY", Decimal(0), amount, journal.books_date),
    ]
    found = connector.read_back([journal.reference])[journal.reference]
    assert [line.description for line in found.lines] == ["cash", "sales [cashier: 7]", "no tax [cashier: 7]"]


def test_an_unknown_value_is_rejected_in_words(to_invoicing: Callable[..., TrytonConnector], analytic: None) -> None:
    outcomes = to_invoicing(dimensions=DIMENSIONS).post(
        [sales(lines=lines("S404", "DAIRY")), sales(lines=lines("S002", "S001")), sales(lines=lines("S002", "DAIRY"))]
    )
    assert kinds(outcomes) == [Rejected, Rejected, Posted]
    assert "no analytic account S404 below STORES (store)" in reasons(outcomes)[0]
    assert "S001 below DEPTS (department)" in reasons(outcomes)[1]
