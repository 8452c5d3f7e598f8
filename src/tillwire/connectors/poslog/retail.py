"""A RetailTransaction as a canonical transaction, with the source's own total as its claim."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple
from xml.etree.ElementTree import Element

from tillwire.connectors.inbound import Claim
from tillwire.connectors.poslog import figures, loyalty
from tillwire.connectors.poslog.building import WholeDiscount, built_lines, spread_over, tax_of
from tillwire.connectors.poslog.drafts import Draft, tip_draft
from tillwire.connectors.poslog.header import Header, HeaderReader
from tillwire.connectors.poslog.kinds import before_lines, of_lines
from tillwire.connectors.poslog.lines import RETURNS, SALES, LineReader
from tillwire.connectors.poslog.people import Pseudonyms, code, plain
from tillwire.connectors.poslog.settings import PoslogSettings
from tillwire.connectors.poslog.taxes import TaxPart, read_tax
from tillwire.connectors.poslog.tenders import Payments, TenderReader, settled
from tillwire.connectors.poslog.totals import Material, Reading, Whole, chosen, fits
from tillwire.connectors.poslog.tree import DriftError, flag, number, text_at, text_of
from tillwire.model.money import ZERO
from tillwire.model.transaction import SELLING, Kind, Line, LineKind, Original, Tender, Transaction

MOST_LINES = 20_000
MOST_TENDERS = 1_000
_REFERRING = (Kind.RETURN, Kind.EXCHANGE, Kind.POST_VOID)


class Parts(NamedTuple):
    """The line items of a transaction, sorted."""

    drafts: list[Draft]
    payments: Payments
    taxes: list[TaxPart]
    discounts: list[WholeDiscount]
    in_lines: bool
    """The lines hold their shares of those already."""
    tip: Decimal
    items: int


class RetailReader:
    """Reads retail transactions under one connection's settings."""

    def __init__(self, settings: PoslogSettings, headers: HeaderReader, pseudonyms: Pseudonyms) -> None:
        self._settings = settings
        self._headers = headers
        self._pseudonyms = pseudonyms
        self._lines = LineReader(settings, pseudonyms)
        self._tenders = TenderReader(settings, pseudonyms)

    def read(self, transaction: Element, body: Element, header: Header) -> tuple[Transaction, tuple[Claim, ...]]:
        """The transaction, and what it says it comes to. Raises ``DriftError``."""
        currency = header.currency
        if not currency:
            raise DriftError("says no currency; the setting currency may name it", "CurrencyCode")
        parts = self._parts(body, currency)
        written = figures.written_totals(body, currency)
        whole = figures.whole_of(written, parts.payments)
        links = body.findall("TransactionLink") or transaction.findall("TransactionLink")
        kind = before_lines(transaction, body, linked=bool(links), paid=bool(whole.tendered))
        if kind is Kind.POST_VOID:
            _reverse(parts.drafts)
        rewards = loyalty.rewards(body)
        rounding = figures.rounding_of(body, parts.payments, written)
        material, reading = self._chosen(parts, whole, rewards, rounding)
        owed = figures.owed(reading, whole, rounding)
        drafts = material.drafts
        if kind is None:
            kind = of_lines(body, drafts, reading.voided, owed.total)
        amounts, extra = spread_over(drafts, reading, parts.discounts, rewards, currency)
        originals = [None if one.link is None else self._original([one.link], header) for one in drafts]
        lines, tax_included = built_lines(material, reading, amounts, extra, originals, currency)
        tenders = settled(parts.payments, owed.total)
        if len(lines) > MOST_LINES or len(tenders) > MOST_TENDERS:
            text = f"{len(lines)} lines and {len(tenders)} tenders are more than a transaction has"
            raise DriftError(text, "LineItem")
        tax = None if whole.tax is None and not parts.taxes else tax_of(lines, material.tax)
        total, rounded = owed.total, owed.rounding
        net_sum = sum([line.amount for line in lines if not line.voided], ZERO)
        net = figures.net_of(whole, net_sum, total, tax_included=tax_included)
        if kind is Kind.LAYAWAY:
            total, lines = _layaway(tenders, total)
            net, tax, rounded = None, None, ZERO
        made = Transaction(
            store=header.store,
            register=header.register,
            business_date=header.business_date,
            sequence=header.sequence,
            kind=kind,
            currency=currency,
            total=total,
            tax=tax,
            discount=figures.discount_of(written, total),
            rounding=rounded,
            tax_included=tax_included,
            lines=lines,
            tenders=tuple(tenders),
            began_at=header.began_at,
            ended_at=header.ended_at,
            operator=header.operator,
            customer=loyalty.customer(body, self._pseudonyms),
            receipt=header.receipt or plain(text_of(body.find("ReceiptNumber")), mask=False),
            original=self._original(links, header) if kind in _REFERRING else None,
            net=net,
            item_count=figures.item_count_of(body, written, kind, total, parts.items),
            tax_exempt=plain(text_at(body, "TaxExemption/CustomerExemptID")),
            channel=code(text_of(transaction.find("Channel"))) or None,
            order=plain(
                text_of(body.find("SpecialOrderNumber")) or text_at(body, "CustomerOrder/OrderNumber"),
                mask=False,
            ),
            loyalty=loyalty.accounts(body, self._pseudonyms),
        )
        if kind not in SELLING or owed.claimed is None:
            return made, ()
        return made, (Claim(amount=owed.claimed, currency=currency),)

    def _parts(self, body: Element, currency: str) -> Parts:
        drafts: list[Draft] = []
        payments = Payments([], [], [])
        taxes = [tax for one in body.iterfind("Tax") if (tax := read_tax(one, self._settings, "Tax")) is not None]
        discounts: list[WholeDiscount] = []
        shared = tip = ZERO
        items = 0
        for items, item in enumerate(body.iterfind("LineItem"), 1):
            pointer = f"LineItem[{items}]"
            void = flag(item, "VoidFlag") or flag(item, "CancelFlag")
            for child in item:
                name = child.tag
                if name in SALES or name in RETURNS:
                    drafts.append(self._lines.read(child, item, f"{pointer}/{name}"))
                    shared += _shared(child)
                elif name == "Tax" and not void:
                    tax = read_tax(child, self._settings, pointer)
                    taxes += [tax] if tax is not None else []
                elif name in ("Discount", "Coupon") and not void:
                    amount = number(child.find("Amount"), f"{pointer}/{name}/Amount")
                    if amount:
                        discounts.append(_whole_discount(child, abs(amount)))
                elif name == "Tender" and not void:
                    given = number(child.find("Tip/Amount"), f"{pointer}/Tip")
                    tip += given or number(child.find("Tip"), f"{pointer}/Tip") or ZERO
            self._tenders.read(item, currency, pointer, payments)
        total = sum([one[0] for one in discounts], ZERO)
        return Parts(drafts, payments, taxes, discounts, bool(total) and shared == total, tip, items)

    def _chosen(
        self, parts: Parts, whole: Whole, rewards: list[loyalty.Reward], rounding: Decimal
    ) -> tuple[Material, Reading]:
        tax = whole.tax
        if tax is None:
            tax = sum([one.amount for one in parts.taxes], ZERO)
        material = Material(
            parts.drafts,
            sum([one[0] for one in parts.discounts], ZERO),
            parts.in_lines,
            sum([one.amount for one in rewards], ZERO),
            parts.taxes or ([TaxPart(self._settings.tax_code, tax)] if tax else []),
            tax,
            rounding,
            self._settings.voids,
            self._settings.tax_included,
        )
        reading = chosen(material, whole)
        if parts.tip and not fits(reading.total, [] if whole.grand is None else [whole.grand], rounding):
            tipped = material._replace(drafts=[*parts.drafts, tip_draft(parts.tip)])
            second = chosen(tipped, whole)
            paid = (second.total, second.total + rounding)
            if whole.grand in paid or (whole.tendered in paid and whole.tendered is not None):
                return tipped, second
        return material, reading

    def _original(self, links: list[Element], header: Header) -> Original | None:
        """The business key that a link names; what it leaves out is that of the transaction itself."""
        for link in links:
            where = self._headers.where(link)
            day = where.business_date
            if day is None:
                said = text_of(link.find("BeginDateTime")) or text_of(link.find("EndDateTime"))
                moment = self._headers.moment(said, "TransactionLink/BeginDateTime")
                day = moment.date() if moment is not None else None
            if where.sequence is not None and day is not None:
                return Original(where.store or header.store, where.register or header.register, day, where.sequence)
        return None


def _whole_discount(element: Element, amount: Decimal) -> WholeDiscount:
    rule = element.find("PriceDerivationRule")
    reason = text_at(element, "ReasonCode") or text_at(rule, "ReasonCode")
    promotion = text_at(element, "PromotionID") or text_at(rule, "PriceDerivationRuleID")
    return amount, plain(reason) or "", plain(promotion)


def _shared(item: Element) -> Decimal:
    """What a line already bears of discounts of the whole transaction."""
    found = ZERO
    for modifier in item.iterfind("RetailPriceModifier"):
        rule = modifier.find("PriceDerivationRule")
        applied = rule.get("ApplicationType", "").lower() if rule is not None else ""
        if applied in ("total", "transaction", "subtotal"):
            found += abs(number(modifier.find("Amount"), "RetailPriceModifier/Amount") or ZERO)
    return found


def _reverse(drafts: list[Draft]) -> None:
    """A post-void takes back what it repeats. Sales written as negative are taken back already, unless others beside
    them are repeated as they were.
    """
    repeated = any(draft.written > 0 for draft in drafts)
    for draft in drafts:
        if repeated or draft.is_return:
            draft.turn()


def _layaway(tenders: list[Tender], total: Decimal) -> tuple[Decimal, tuple[Line, ...]]:
    """What is recorded of goods put aside is the money that was paid on them: they are not sold yet."""
    paid = sum([one.amount for one in tenders if not one.voided], ZERO) if tenders else total
    quantity = Decimal(-1 if paid < 0 else 1)
    return paid, (Line("layaway", quantity, abs(paid), paid, kind=LineKind.DEPOSIT),)
