"""The lines of a transaction once it is known how they are to be read: shares of discounts and taxes, signs, prices."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from tillwire.connectors.poslog.drafts import Draft
from tillwire.connectors.poslog.loyalty import Reward
from tillwire.connectors.poslog.taxes import TaxPart
from tillwire.connectors.poslog.totals import Material, Reading
from tillwire.connectors.poslog.tree import DriftError, flag
from tillwire.model.money import ZERO, allocate, is_representable, rounded
from tillwire.model.transaction import Discount, Line, Original, Tax

MOST_DISCOUNTS = 100
MOST_TAXES = 20

WholeDiscount = tuple[Decimal, str, str | None]
"""Of a whole transaction: positive amount, reason, promotion."""


def _shares(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """``amount`` by largest remainder; whole on the heaviest where it cannot be split into minor units."""
    if not any(weights):
        weights = [Decimal(1)] * len(weights)
    if is_representable(amount, currency):
        return allocate(amount, weights, currency)
    heaviest = max(range(len(weights)), key=lambda i: weights[i])
    return [amount if i == heaviest else ZERO for i in range(len(weights))]


def spread_over(
    drafts: list[Draft],
    reading: Reading,
    discounts: list[WholeDiscount],
    rewards: list[Reward],
    currency: str,
) -> tuple[list[Decimal], list[list[Discount]]]:
    """The lines' amounts less their shares of what is taken off the whole, and those shares."""
    amounts = list(reading.amounts)
    extra: list[list[Discount]] = [[] for _ in drafts]
    parts: list[tuple[WholeDiscount, str]] = []
    if reading.spread:
        parts += [(one, "") for one in discounts]
    if reading.rewards:
        parts += [((one.amount, "loyalty", one.promotion), one.tag) for one in rewards]
    in_force = [i for i, void in enumerate(reading.voided) if not void]
    if not parts or not in_force:
        return amounts, extra
    sign = -1 if sum([amounts[i] for i in in_force], ZERO) < 0 else 1
    for (amount, reason, promotion), tag in parts:
        own = [i for i in in_force if tag and tag in drafts[i].tags[:1]]
        over = own or [i for i in in_force if amounts[i] * sign > 0] or in_force
        for i, share in zip(over, _shares(amount * sign, [abs(amounts[i]) for i in over], currency), strict=True):
            if share:
                amounts[i] -= share
                extra[i].append(Discount(share, reason, promotion))
    return amounts, extra


def _spread_taxes(
    drafts: list[Draft], reading: Reading, amounts: list[Decimal], taxes: list[TaxPart], currency: str
) -> list[list[Tax]]:
    """Taxes of the whole transaction on its lines, by their amounts."""
    found: list[list[Tax]] = [[] for _ in drafts]
    in_force = [i for i, void in enumerate(reading.voided) if not void]
    over = [i for i in in_force if not drafts[i].untaxed] or in_force
    sign = -1 if reading.total < 0 else 1
    for tax in taxes:
        if not tax.amount or not over:
            continue
        amount = -abs(tax.amount) if sign < 0 else tax.amount
        for like, part in _by_sign(over, amounts, amount, currency):
            for i, share in zip(like, _shares(part, [abs(amounts[i]) for i in like], currency), strict=True):
                found[i].append(tax.made(share))
    return found


def _by_sign(over: list[int], amounts: list[Decimal], tax: Decimal, currency: str) -> list[tuple[list[int], Decimal]]:
    """Lines that go out and lines that come back, with their parts of a tax: in an exchange it is the difference of
    what is charged on the one and given back on the other.
    """
    out = [i for i in over if amounts[i] > 0]
    back = [i for i in over if amounts[i] < 0]
    if not out or not back:
        return [(out or back or over, tax)]
    charged = sum([amounts[i] for i in out], ZERO)
    difference = charged + sum([amounts[i] for i in back], ZERO)
    if difference and 0 <= tax / difference < 1:
        part = rounded(charged * tax / difference, currency)
        return [(out, part), (back, tax - part)]
    return [(out if tax > 0 else back, tax)]


def built_lines(
    material: Material,
    reading: Reading,
    amounts: list[Decimal],
    extra: list[list[Discount]],
    originals: list[Original | None],
    currency: str,
) -> tuple[tuple[Line, ...], bool]:
    """The canonical lines, and whether the transaction's prices include tax. Raises ``DriftError``."""
    drafts = material.drafts
    if any(draft.taxes for draft in drafts):
        taxes = [[tax.made() for tax in draft.taxes] for draft in drafts]
    else:
        taxes = _spread_taxes(drafts, reading, amounts, material.taxes, currency)
    said = [
        reading.included[i] for i, own in enumerate(taxes) if not reading.voided[i] and any(tax.amount for tax in own)
    ]
    within = bool(said) and all(said)
    lines = []
    for i, draft in enumerate(drafts):
        discounts = (*draft.discounts, *extra[i])
        if len(discounts) > MOST_DISCOUNTS or len(taxes[i]) > MOST_TAXES:
            text = f"{len(discounts)} discounts and {len(taxes[i])} taxes are more than a line has"
            raise DriftError(text, f"{draft.item.tag}[{i + 1}]")
        own = reading.included[i]
        lines.append(
            Line(
                sku=draft.sku,
                quantity=draft.quantity,
                unit_price=draft.unit_price(reading.amounts[i], currency),
                amount=amounts[i],
                unit=draft.unit,
                kind=draft.kind,
                discounts=discounts,
                taxes=tuple(taxes[i]),
                gtin=draft.gtin,
                description=draft.description,
                serial=draft.serial,
                reference=draft.reference,
                voided=reading.voided[i],
                discount=None if extra[i] else draft.discount,
                tax_included=own if own is not within and any(tax.amount for tax in taxes[i]) else None,
                tax_exempt=flag(draft.item, "TaxExemptFlag"),
                original=originals[i],
                disposition=draft.disposition,
            )
        )
    return tuple(lines), within


def tax_of(lines: Sequence[Line], written: Decimal) -> Decimal:
    """The transaction's own tax total with the sign of its lines'."""
    own = ZERO
    net = ZERO
    for line in lines:
        if not line.voided:
            net += line.amount
            for tax in line.taxes:
                own += tax.amount
    if written == own:
        return written
    if written == -own or (written > 0 > (own or net)):
        return -written
    return written
