"""Invoices and credit notes as ``account.invoice``, with the taxes that the source computed and no others.

An invoice without goods of Tryton's own: its lines name the account and say what was sold, so that Tryton computes no
tax and changes no price; the taxes are entered by hand, as it were. It numbers them, and makes and posts their moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tillwire.connectors.erp_run import Run
from tillwire.connectors.tryton import lookup
from tillwire.connectors.tryton.books import INVOICE, Books, Objection, look_up, reference_objection
from tillwire.connectors.tryton.drafts import Desk, Entry, ids_of
from tillwire.model.ledger import ZERO, ErpDocument, Invoice, InvoiceLine, InvoiceTax

_PRICE = Decimal("0.0001")
"""Tryton's finest unit price, unless its administrator has set another."""
_DONE = frozenset({"posted", "paid"})


class _Party(NamedTuple):
    party_id: int
    address_id: int


class _Paper(msgspec.Struct, frozen=True):
    """What was looked up for one batch."""

    books: Books
    parties: Mapping[str, Sequence[_Party]]
    """Parties with an address, by code."""
    currencies: Mapping[str, int]
    journals: Sequence[int]


class InvoiceDesk(Desk):
    """Invoices of one company."""

    kind = "invoice"
    model = INVOICE
    post_method = "post"

    def entries(self, documents: Sequence[tuple[int, Invoice]], run: Run) -> list[Entry]:
        """The invoices as values, one record each."""
        if INVOICE not in self.company.has:
            for position, _ in documents:
                run.reject(
                    position, "the ERP has no invoices: activate its module account_invoice, or send it journals"
                )
            return []
        paper = self._look_up([invoice for _, invoice in documents])
        entries = []
        for position, invoice in documents:
            objection = reference_objection(invoice.reference, invoice.company, self.settings)
            objection = objection or self._objection(invoice, paper)
            if objection is not None:
                run.reject(position, objection.words, objection.kind)
            else:
                lines = len(invoice.lines) + len(invoice.taxes)
                entries.append(Entry(position, invoice.reference, [self._invoice(invoice, paper)], lines))
        return entries

    def held(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """The invoices under these references. One that was cancelled before it had a number does not count."""
        if INVOICE not in self.company.has:
            return {}
        wanted = list(references)
        fields = ["reference", "number", "state", "accounting_date", "create_uid"]
        named: list[Any] = ["reference", "in", wanted]
        if INVOICE in self.company.unique:
            fields.append("hub_reference")
            named = ["OR", named, ["hub_reference", "in", wanted]]
        domain = [["company", "=", self.company.company_id], ["type", "=", "out"], named]
        rows = self.client.call("model.account.invoice.search_read", domain, 0, None, [["id", "ASC"]], fields)
        found = [
            lookup.Found(
                ErpDocument(
                    reference=row.get("hub_reference") or row["reference"],
                    document_id=str(row["id"]),
                    number=row["number"] or None,
                    # What an accountant cancels later was posted all the same.
                    posted=row["state"] in _DONE or row["state"] == "cancelled",
                    posting_date=row["accounting_date"],
                ),
                row["create_uid"] == self.client.user_id,
            )
            for row in rows
            if row["state"] != "cancelled" or row["number"]
        ]
        return lookup.one_each(self, found)

    def posted(self, ids: Sequence[int]) -> dict[int, bool]:
        """Whether invoices are posted."""
        rows = self.client.call(
            "model.account.invoice.search_read", [["id", "in", list(ids)]], 0, None, None, ["state"]
        )
        return {row["id"]: row["state"] in _DONE for row in rows}

    def filled(self, documents: Mapping[str, ErpDocument]) -> dict[str, ErpDocument]:
        """The invoices with the lines of their moves, in the invoice's currency."""
        ids = [ids_of(document)[0] for document in documents.values() if document.posted]
        rows = self.client.call("model.account.invoice.read", ids, ["move"]) if ids else []
        moves = {row["id"]: row["move"] for row in rows if row["move"]}
        lines = lookup.lines(self.client, sorted(moves.values()), of_invoices=True)
        return {
            reference: msgspec.structs.replace(document, lines=lines.get(moves.get(ids_of(document)[0], 0), ()))
            for reference, document in documents.items()
        }

    def _look_up(self, invoices: Sequence[Invoice]) -> _Paper:
        """Periods, accounts, parties and currencies, by five calls."""
        codes = {line.account for invoice in invoices for line in invoice.lines}
        codes |= {tax.account for invoice in invoices for tax in invoice.taxes}
        codes |= {invoice.receivable_account for invoice in invoices}
        books = look_up(self.client, self.company, [invoice.books_date for invoice in invoices], codes)
        wanted = sorted({invoice.customer for invoice in invoices} | {self.settings.walk_in_party} - {""})
        parties: dict[str, list[_Party]] = {}
        rows = self.client.call(
            "model.party.party.search_read", [["code", "in", wanted]], 0, None, None, ["code", "addresses"]
        )
        for row in rows:
            if row["addresses"]:
                parties.setdefault(row["code"], []).append(_Party(row["id"], row["addresses"][0]))
        spoken = sorted({invoice.currency for invoice in invoices})
        known = self.client.call(
            "model.currency.currency.search_read", [["code", "in", spoken]], 0, None, None, ["code"]
        )
        journal: list[Any] = [["type", "=", "revenue"]]
        if self.settings.invoice_journal_code:
            journal.append(["code", "=", self.settings.invoice_journal_code])
        journals = self.client.call("model.account.journal.search", journal, 0, None, None)
        return _Paper(books, parties, {row["code"]: row["id"] for row in known}, journals)

    def _objection(self, invoice: Invoice, paper: _Paper) -> Objection | None:
        if not invoice.lines:
            return Objection("the invoice has no lines")
        if len(paper.journals) != 1:
            return Objection(
                f"the ERP has {len(paper.journals)} journals of type revenue for invoices, not one: say which by the "
                "connector's setting invoice_journal_code"
            )
        told = sum((line.amount for line in invoice.lines), ZERO) + sum((tax.amount for tax in invoice.taxes), ZERO)
        if told != invoice.total:
            return Objection(f"lines and taxes add up to {told}, the total is {invoice.total}", "unbalanced")
        accounts = [line.account for line in invoice.lines] + [tax.account for tax in invoice.taxes]
        return (
            paper.books.period_objection(invoice.books_date)
            or paper.books.account_objection([*accounts, invoice.receivable_account])
            or self._currency_objection(invoice, paper)
            or self._party_objection(invoice, paper)
        )

    def _currency_objection(self, invoice: Invoice, paper: _Paper) -> Objection | None:
        if invoice.currency not in paper.currencies:
            return Objection(f"the ERP does not know the currency {invoice.currency}: add it there, with its rates")
        if invoice.currency != self.company.currency and self.settings.invoice_dates == "issued":
            return Objection(
                f"the invoice is in {invoice.currency}, the books in {self.company.currency}: Tryton converts by the "
                "rate of the invoice's own date, so this needs the connector's setting invoice_dates to be business"
            )
        return None

    def _party_objection(self, invoice: Invoice, paper: _Paper) -> Objection | None:
        if self._party(invoice, paper) is not None:
            return None
        walk_in = self.settings.walk_in_party
        if not walk_in:
            return Objection("there is no party to invoice: name one by the connector's setting walk_in_party")
        return Objection(f"the ERP has not one party of code {walk_in} with an address: see the setting walk_in_party")

    def _party(self, invoice: Invoice, paper: _Paper) -> _Party | None:
        for code in (invoice.customer, self.settings.walk_in_party):
            if code and len(found := paper.parties.get(code, ())) == 1:
                return found[0]
        return None

    def _invoice(self, invoice: Invoice, paper: _Paper) -> dict[str, Any]:
        party = self._party(invoice, paper)
        assert party is not None
        currency = paper.currencies[invoice.currency]
        text = [invoice.description, f"of {invoice.business_date}"]
        if invoice.customer:
            text.append(f"[customer {invoice.customer}]")
        if invoice.reverses:
            text.append(f"[reverses {invoice.reverses}]")
        values: dict[str, Any] = {
            "company": self.company.company_id,
            "type": "out",
            "party": party.party_id,
            "invoice_address": party.address_id,
            "currency": currency,
            "journal": paper.journals[0],
            "account": paper.books.account(invoice.receivable_account),
            "accounting_date": invoice.books_date,
            "reference": invoice.reference,
            "description": " ".join(part for part in text if part),
            "lines": [["create", [self._line(line, currency, paper) for line in invoice.lines]]],
            "taxes": [["create", [_tax(tax, paper) for tax in invoice.taxes]]],
        }
        if self.settings.invoice_dates == "business":
            values["invoice_date"] = invoice.books_date
        if INVOICE in self.company.unique:
            values["hub_reference"] = invoice.reference
        return values

    def _line(self, line: InvoiceLine, currency: int, paper: _Paper) -> dict[str, Any]:
        quantity, price = _priced(line)
        about = [line.sku, line.description]
        if abs(quantity) != abs(line.quantity):
            about.append(f"({line.quantity} {line.unit})")
        about += [f"[{name}: {value}]" for name, value in line.dimensions.items() if value]
        return {
            "company": self.company.company_id,
            "currency": currency,
            "type": "line",
            "account": paper.books.account(line.account),
            "description": " ".join(part for part in about if part),
            # Tryton's quantities are floats; this one is a whole number or has few decimals.
            "quantity": float(quantity),
            "unit_price": price,
        }


def _priced(line: InvoiceLine) -> tuple[Decimal, Decimal]:
    """Quantity and unit price whose product is the line's amount exactly: its own, where Tryton's decimals suffice;
    else one piece at the amount. Goods that come back have a negative quantity, not a negative price.
    """
    if line.quantity:
        price = (line.amount / line.quantity).quantize(_PRICE)
        if price >= 0 and price * line.quantity == line.amount:
            return line.quantity, price
    return (Decimal(-1) if line.amount < 0 else Decimal(1)), abs(line.amount)


def _tax(tax: InvoiceTax, paper: _Paper) -> dict[str, Any]:
    rate = f"{(tax.rate * 100).normalize():f} %" if tax.rate is not None else ""
    return {
        "description": " ".join(part for part in (tax.code, rate, tax.jurisdiction) if part),
        "account": paper.books.account(tax.account),
        "base": tax.base,
        "amount": tax.amount,
        "manual": True,
    }
