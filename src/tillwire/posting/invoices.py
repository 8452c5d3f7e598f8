"""Sales as invoices and credit notes, for stores that post documents instead of journals.

Each transaction that sells becomes an invoice of its goods, discounts and taxes, as the source computed them; what was
paid, and whatever else the day has, is a journal of payments, with one more for what takes back payments by an earlier
rule book. Both meet in the receivable account, so that the trial balance is the one that journals give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

import msgspec
import psycopg

from tillwire.events.log import Stored, read_events
from tillwire.events.partitions import partition_of
from tillwire.events.recorded import Enrichment
from tillwire.model.ledger import InvoiceLine, InvoiceTax
from tillwire.model.money import ZERO, rounded
from tillwire.model.reversal import TransactionReversed
from tillwire.model.transaction import SELLING, Line, Transaction
from tillwire.posting.accounts import AccountBook, Mapped, Place
from tillwire.posting.drafts import INVOICE, PAYMENTS, Draft, EntryKey
from tillwire.posting.lines import Books
from tillwire.sales import entries as components
from tillwire.sales.entries import LIABILITY_KINDS, parts_of, tax_code

_ON_INVOICE = frozenset({components.REVENUE, components.DISCOUNT, components.TAX, components.LIABILITY})
_SELLING = frozenset(kind.value for kind in SELLING)
_RECEIVABLE = EntryKey("sale", components.RECEIVABLE, "invoice")
_enrichment_decoder = msgspec.msgpack.Decoder(Enrichment)


class _Body(msgspec.Struct, kw_only=True):
    lines: list[InvoiceLine]
    taxes: list[InvoiceTax]
    total: Decimal
    receivable_account: str
    customer: str = ""


def split(connection: psycopg.Connection, drafts: Sequence[Draft], books: Books) -> list[Draft]:
    """The drafts, of stores that post documents as an invoice per transaction and a journal of payments per range."""
    kept: list[Draft] = []
    invoices: list[Draft] = []
    payments: dict[tuple[str, object, str, int | None], Draft] = {}
    in_force = books.version(None)
    for draft in drafts:
        if draft.day.policy.mode != "invoice" or draft.company != draft.day.company:
            kept.append(draft)
            continue
        # By another book what is taken back goes to other accounts: those payments are a journal of their own.
        reverses = None if draft.rule_book in (None, in_force) else draft.reverses
        place = (draft.day.store, draft.day.business_date, draft.currency, reverses)
        rest = payments.setdefault(place, _payments(draft, reverses))
        rest.claims += draft.claims
        invoice = _divide(draft, rest)
        if invoice is not None:
            invoices.append(invoice)
    fill(connection, invoices, books)
    return [*kept, *invoices, *(one for one in payments.values() if one.entries)]


def _payments(of: Draft, reverses: int | None) -> Draft:
    """A range's payments: all, or those that take back what is in the journal ``reverses``."""
    day = of.day
    return Draft(
        day=day,
        from_offset=day.from_offset,
        to_offset=day.to_offset,
        currency=of.currency,
        kind=PAYMENTS,
        company=of.company,
        reverses=reverses,
        rule_book=None if reverses is None else of.rule_book,
        suffix="/payments" if reverses is None else f"/payments-reversal-{reverses}",
    )


def _divide(draft: Draft, rest: Draft) -> Draft | None:
    """Move what is no part of an invoice to ``rest``; the invoice, or none if the transaction sells nothing."""
    sells = draft.transactions != 0
    invoice = Draft(
        day=draft.day,
        from_offset=draft.from_offset,
        to_offset=draft.to_offset,
        currency=draft.currency,
        kind=INVOICE,
        company=draft.company,
        reverses=draft.reverses,
        suffix="/invoice",
        rule_book=draft.rule_book,
        transactions=draft.transactions,
        amount=draft.amount,
    )
    for key, (amount, foreign) in draft.entries.items():
        on_invoice = sells and key.kind in _SELLING and key.component in _ON_INVOICE
        (invoice if on_invoice else rest).add(key, amount, foreign)
    total = -sum([amount for amount, _ in invoice.entries.values()], ZERO)
    if total:
        dates = {key.original_date for key in invoice.entries}
        receivable = _RECEIVABLE._replace(original_date=dates.pop() if len(dates) == 1 else None)
        invoice.add(receivable, total)
        rest.add(receivable, -total)
    return invoice if sells else None


def fill(connection: psycopg.Connection, invoices: Sequence[Draft], books: Books) -> None:
    """Give the invoices their lines, from the transactions as they were recorded. One with no amounts stays empty."""
    wanted = [one for one in invoices if any(amount for amount, _ in one.entries.values())]
    places = [(partition_of(one.day.store), one.from_offset) for one in wanted]
    if not places:
        return
    events = read_events(connection, places)
    for draft, place in zip(wanted, places, strict=True):
        body = _body(draft, events[place], books.of(draft.rule_book))
        draft.body = msgspec.json.encode(body)


def _body(draft: Draft, event: Stored, book: AccountBook) -> _Body:
    recorded = event.decoded(_enrichment_decoder)
    message, effect = recorded.message, 1
    if isinstance(message, TransactionReversed):
        message, effect = message.transaction, -1
    place = Place(draft.company, draft.day.store, draft.day.region, draft.currency)

    def mapped(key: EntryKey) -> Mapped:
        return book.resolve(place, key.original_date or draft.day.business_date, key.kind, key.component, key.code)

    lines = list(_goods(draft, message, recorded.enrichment.classes, effect, mapped))
    lines += [
        InvoiceLine(
            sku="",
            description=f"discount {key.code}",
            quantity=Decimal(1),
            unit="EA",
            amount=-amount,
            account=mapped(key).account,
            dimensions=mapped(key).dimensions,
        )
        for key, (amount, _) in draft.entries.items()
        if key.component == components.DISCOUNT and amount
    ]
    receivable = next(key for key in draft.entries if key.component == components.RECEIVABLE) if _owes(draft) else None
    return _Body(
        lines=lines,
        taxes=list(_taxes(draft, message, effect, mapped)),
        total=draft.entries[receivable][0] if receivable else ZERO,
        receivable_account=mapped(receivable or _RECEIVABLE).account,
        customer=message.customer or "",
    )


def _owes(draft: Draft) -> bool:
    return any(key.component == components.RECEIVABLE for key in draft.entries)


def _gross(line: Line, all_included: bool) -> Decimal:
    """What the line sells for, before discounts and without tax."""
    amount = line.amount + sum([discount.amount for discount in line.discounts], ZERO)
    if all_included if line.tax_included is None else line.tax_included:
        amount -= sum([tax.amount for tax in line.taxes], ZERO)
    return amount


def _goods(
    draft: Draft, message: Transaction, classes: Sequence[str], effect: int, mapped: Callable[[EntryKey], Mapped]
) -> Iterable[InvoiceLine]:
    """The lines in force. A difference to the entries (amounts below the minor unit) is in its kind's last line."""
    keys = {(key.component, key.code): key for key in draft.entries}
    left = {place: -draft.entries[key][0] for place, key in keys.items()}
    sold = [(line, of) for line, of in zip(message.lines, classes, strict=True) if not line.voided]
    last = {(_component(line), of): number for number, (line, of) in enumerate(sold)}
    for number, (line, of) in enumerate(sold):
        place = (_component(line), of)
        key = keys.get(place)
        if key is None:  # its amounts come to zero
            continue
        amount = rounded(effect * _gross(line, message.tax_included), draft.currency)
        if last[place] == number:
            amount = left[place]
        left[place] -= amount
        yield InvoiceLine(
            sku=line.sku,
            description=line.description or line.sku,
            quantity=effect * line.quantity,
            unit=line.unit,
            amount=amount,
            account=mapped(key).account,
            tax_codes=tuple(dict.fromkeys(tax.code for tax in line.taxes)),
            dimensions=mapped(key).dimensions,
        )


def _component(line: Line) -> str:
    return components.LIABILITY if line.kind in LIABILITY_KINDS else components.REVENUE


def _taxes(
    draft: Draft, message: Transaction, effect: int, mapped: Callable[[EntryKey], Mapped]
) -> Iterable[InvoiceTax]:
    bases: dict[str, Decimal] = {}
    for line in message.lines:
        if not line.voided:
            net = _gross(line, message.tax_included) - sum([discount.amount for discount in line.discounts], ZERO)
            for tax in line.taxes:
                base = net if tax.taxable is None else tax.taxable
                bases[tax_code(tax)] = bases.get(tax_code(tax), ZERO) + effect * base
    for key, (amount, _) in draft.entries.items():
        if key.component == components.TAX and amount:
            code, rate, jurisdiction = parts_of(key.code)
            yield InvoiceTax(
                code=code,
                base=rounded(bases.get(key.code, ZERO), draft.currency),
                amount=-amount,
                account=mapped(key).account,
                rate=Decimal(rate) if rate else None,
                jurisdiction=jurisdiction,
            )
