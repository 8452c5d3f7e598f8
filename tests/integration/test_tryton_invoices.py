"""Invoices and credit notes in a real Tryton: with the source's own amounts, once, and in its ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tryton_journals import kinds, reasons, sales

from tillwire.connectors.erp import Posted, Rejected, Unknown
from tillwire.connectors.tryton import TrytonConnector
from tillwire.connectors.tryton.faults import FaultProxy
from tillwire.model.ledger import Invoice, InvoiceLine, InvoiceTax, JournalLine

if TYPE_CHECKING:
    from tryton_fixtures import Books

pytest_plugins = ("tryton_fixtures", "tryton_others", "tryton_invoicing")
pytestmark = pytest.mark.erp

Connect = Callable[..., TrytonConnector]
CREATE, POST = "model.account.invoice.create", "model.account.invoice.post"
_numbers = count(1)


def sold(sku: str, quantity: str, amount: str, account: str = "4190", unit: str = "EA") -> InvoiceLine:
    return InvoiceLine(
        sku=sku, description=sku.title(), quantity=Decimal(quantity), unit=unit, amount=Decimal(amount), account=account
    )


def tax(base: str, amount: str, rate: str = "0.0825") -> InvoiceTax:
    return InvoiceTax(code="TX", base=Decimal(base), amount=Decimal(amount), account="2190", rate=Decimal(rate))


def invoice(*lines: InvoiceLine, taxes: tuple[InvoiceTax, ...] | None = None, **changes: Any) -> Invoice:
    """An invoice with a reference of its own: three things, one weighed, and a tax that Tryton would round otherwise."""
    lines = lines or (sold("MILK", "3", "5.97"), sold("CHEESE", "0.345", "4.11", unit="kg"), sold("BREAD", "2", "7.00"))
    taxes = (tax("17.08", "1.42"),) if taxes is None else taxes
    total = sum((line.amount for line in lines), Decimal(0)) + sum((one.amount for one in taxes), Decimal(0))
    told: dict[str, Any] = {
        "reference": f"INV-{next(_numbers)}",
        "company": "TW",
        "store": "S001",
        "business_date": date(2017, 3, 1),
        "currency": "USD",
        "description": "Store S001, register 4",
        "lines": lines,
        "taxes": taxes,
        "total": total,
        "receivable_account": "1290",
    }
    return Invoice(**told | changes)


def on_paper(books: Books, of: Invoice) -> list[dict[str, Any]]:
    """The invoices under a reference as Tryton has them."""
    fields = ["state", "number", "untaxed_amount", "tax_amount", "total_amount", "accounting_date", "description"]
    fields += ["party.code", "move"]
    domain = [["reference", "=", of.reference]]
    rows: list[dict[str, Any]] = books.call(
        "model.account.invoice.search_read", domain, 0, None, [["id", "ASC"]], fields
    )
    return rows


def amounts(lines: tuple[JournalLine, ...]) -> list[tuple[str, Decimal, Decimal]]:
    """Account, debit and credit of each line, sorted."""
    return sorted((line.account, line.debit, line.credit) for line in lines)


def test_an_invoice_has_the_sources_amounts_and_stands_in_the_ledger(
    to_invoicing: Connect, invoice_books: Books
) -> None:
    document = invoice(posting_date=date(2017, 4, 3))
    connector = to_invoicing()
    (outcome,) = connector.post([document])
    assert isinstance(outcome, Posted)
    (row,) = on_paper(invoice_books, document)
    assert (row["untaxed_amount"], row["tax_amount"], row["total_amount"]) == (
        Decimal("17.08"),
        Decimal("1.42"),
        Decimal("18.50"),
    )
    assert (row["number"], row["accounting_date"], row["state"]) == (outcome.number, date(2017, 4, 3), "posted")
    assert row["party."]["code"] == "WALKIN"
    assert "2017-03-01" in row["description"]
    found = connector.read_back([document.reference, "nothing"], "invoice")
    assert found.keys() == {document.reference}
    assert amounts(found[document.reference].lines) == [
        ("1290", Decimal("18.50"), Decimal(0)),
        ("2190", Decimal(0), Decimal("1.42")),
        ("4190", Decimal(0), Decimal("4.11")),
        ("4190", Decimal(0), Decimal("5.97")),
        ("4190", Decimal(0), Decimal("7.00")),
    ]
    assert connector.find([document.reference]) == {}


def test_a_credit_note_is_an_invoice_of_the_other_sign(to_invoicing: Connect, invoice_books: Books) -> None:
    original = invoice()
    back = invoice(
        sold("MILK", "-1", "-1.99"),
        taxes=(tax("-1.99", "-0.17"),),
        reverses=original.reference,
        customer="C-77",
    )
    connector = to_invoicing()
    outcomes = connector.post([original, back])
    assert kinds(outcomes) == [Posted, Posted]
    (row,) = on_paper(invoice_books, back)
    assert row["number"].startswith("C2017-")
    assert row["total_amount"] == Decimal("-2.16")
    assert row["party."]["code"] == "C-77"
    assert f"[reverses {original.reference}]" in row["description"]
    assert amounts(connector.read_back([back.reference], "invoice")[back.reference].lines) == [
        ("1290", Decimal(0), Decimal("2.16")),
        ("2190", Decimal("0.17"), Decimal(0)),
        ("4190", Decimal("1.99"), Decimal(0)),
    ]


@pytest.mark.parametrize("unique", [False, True], ids=["without-field", "with-field"])
@pytest.mark.parametrize("method", [CREATE, POST])
def test_a_lost_reply_is_found_and_finished(
    to_invoicing: Connect, invoice_proxy: FaultProxy, invoice_books: Books, method: str, unique: bool
) -> None:
    documents = [invoice(), invoice()]
    connector = to_invoicing(url=invoice_proxy.url)
    connector._open()
    if not unique:
        assert connector._company is not None
        connector._company = msgspec.structs.replace(connector._company, unique=frozenset())
    invoice_proxy.inject_next("lose_reply", method)
    assert kinds(connector.post(documents)) == [Unknown] * 2
    found = connector.find([document.reference for document in documents], "invoice")
    assert {one.posted for one in found.values()} == {method == POST}
    assert kinds(connector.finish(list(found.values()), "invoice")) == [Posted] * 2
    assert kinds(connector.post(documents)) == [Posted] * 2
    assert [[row["state"] for row in on_paper(invoice_books, document)] for document in documents] == [["posted"]] * 2


def test_what_the_look_up_missed_the_erp_refuses_to_take_twice(
    to_invoicing: Connect, invoice_books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [invoice(), invoice(), invoice()]
    (before,) = to_invoicing().post(documents[1:2])
    connector = to_invoicing()
    whole = connector.client.call
    looked: list[str] = []

    def blind(method: str, *parameters: Any) -> Any:
        if method == "model.account.invoice.search_read" and not looked:
            looked.append(method)
            return []
        return whole(method, *parameters)

    monkeypatch.setattr(connector.client, "call", blind)
    outcomes = connector.post(documents)
    assert kinds(outcomes) == [Posted] * 3
    assert outcomes[1] == before
    assert [len(on_paper(invoice_books, document)) for document in documents] == [1, 1, 1]


BAD = {
    "total": (invoice(total=Decimal("18.51")), "add up to 18.50, the total is 18.51", "unbalanced"),
    "account": (invoice(sold("MILK", "1", "1.00", account="9999"), taxes=()), "no account 9999", "unknown_account"),
    "not revenue": (invoice(sold("MILK", "1", "1.00", account="2190"), taxes=()), "Account", "unknown_account"),
    "period": (invoice(business_date=date(2019, 1, 5)), "no accounting period for 2019-01-05", "closed_period"),
    "currency": (invoice(currency="CAD"), "invoice_dates to be business", "other"),
    "empty": (invoice(lines=(), taxes=(), total=Decimal(0)), "no lines", "other"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_invoiced_is_rejected_in_words(to_invoicing: Connect, invoice_books: Books, name: str) -> None:
    bad, words, kind = BAD[name]
    outcomes = to_invoicing().post([bad, invoice()])
    assert kinds(outcomes) == [Rejected, Posted]
    assert words in reasons(outcomes)[0]
    assert isinstance(outcomes[0], Rejected)
    assert outcomes[0].kind == kind
    assert on_paper(invoice_books, bad) == []


def test_without_a_party_it_says_which_setting(to_invoicing: Connect) -> None:
    for party, words in (("", "name one by the connector's setting walk_in_party"), ("NOBODY", "of code NOBODY")):
        outcomes = to_invoicing(walk_in_party=party).post([invoice()])
        assert words in reasons(outcomes)[0]


def test_an_invoice_in_another_currency_reads_back_in_it(to_invoicing: Connect, invoice_books: Books) -> None:
    for side in ("credit", "debit"):
        (account,) = invoice_books.call("model.account.account.search", [["code", "=", "5190"]], 0, 1, None)
        invoice_books.call("model.account.configuration.write", [1], {f"currency_exchange_{side}_account": account})
    document = invoice(currency="CAD", business_date=date(2018, 3, 1))
    connector = to_invoicing(invoice_dates="business")
    assert kinds(connector.post([document])) == [Posted]
    assert amounts(connector.read_back([document.reference], "invoice")[document.reference].lines) == [
        ("1290", Decimal("18.50"), Decimal(0)),
        ("2190", Decimal(0), Decimal("1.42")),
        ("4190", Decimal(0), Decimal("4.11")),
        ("4190", Decimal(0), Decimal("5.97")),
        ("4190", Decimal(0), Decimal("7.00")),
    ]


def test_an_invoice_that_is_older_than_the_last_is_refused_in_the_erps_words(to_invoicing: Connect) -> None:
    connector = to_invoicing(invoice_dates="business")
    assert kinds(connector.post([invoice(business_date=date(2018, 5, 2))])) == [Posted]
    outcomes = connector.post([invoice(business_date=date(2018, 5, 1))])
    assert kinds(outcomes) == [Rejected]
    assert "has already been used for invoice" in reasons(outcomes)[0]


def test_without_the_module_it_says_what_is_missing(connector: TrytonConnector) -> None:
    outcomes = connector.post([invoice(), sales()])
    assert kinds(outcomes) == [Rejected, Posted]
    assert "module account_invoice" in reasons(outcomes)[0]
    assert connector.find(["x"], "invoice") == {}
