"""Which reading of a transaction comes to its own totals.

Vendors differ in what an amount holds (discounts, tax) and in what a VoidFlag on a line means, and most files do not
say it. Every reading here is one that some vendor uses; the first that comes to the transaction's own total is taken.
If none does, the likeliest is kept with the total that the source says: the rules raise the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import Literal, NamedTuple

from tillwire.connectors.poslog.drafts import Draft
from tillwire.connectors.poslog.taxes import TaxPart, included
from tillwire.model.money import ZERO

Inclusion = bool | None
"""Tax in the prices of all lines, of none, or (none) per line, as its taxable amounts say."""


class Whole(NamedTuple):
    """A transaction's own totals, as written: mostly without a sign."""

    grand: Decimal | None
    net: Decimal | None
    tax: Decimal | None
    gross: Decimal | None
    tendered: Decimal | None
    """Tenders less change; none if there are no tenders."""


class Reading(NamedTuple):
    """One way to read a transaction."""

    amounts: list[Decimal]
    voided: list[bool]
    included: list[bool]
    """Per line."""
    spread: bool
    """Discounts of the whole transaction are still to be taken off the lines."""
    rewards: bool
    """So are rewards of loyalty programs."""
    total: Decimal
    """Lines and tax, without rounding."""


class Material(NamedTuple):
    """What there is to read."""

    drafts: list[Draft]
    discount: Decimal
    """Of the whole transaction, positive."""
    discount_is_in_lines: bool
    reward: Decimal
    """Of loyalty programs, positive."""
    taxes: list[TaxPart]
    """Of the whole transaction; counted only where no line has any."""
    tax: Decimal
    """Their sum, or the transaction's total of taxes."""
    rounding: Decimal
    voids: Literal["auto", "self", "earlier"]
    tax_included: Literal["auto", "yes", "no"]


def targets(whole: Whole, rounding: Decimal) -> list[Decimal]:
    """What the transaction may come to by its own words, the most trustworthy first.

    Without a grand total it is the net amount with or without the tax, whichever was paid.
    """
    if whole.grand is not None:
        return [whole.grand]
    found = []
    if whole.net is not None:
        found.append(whole.net + (whole.tax or ZERO))
        found.append(whole.net)
    if whole.gross is not None:
        found.append(whole.gross)
    tendered = whole.tendered
    if tendered is None:
        return found
    if not found:
        return [tendered]
    paid = [one for one in found if abs(abs(one) - abs(tendered)) in (ZERO, abs(rounding))]
    return paid or found


def chosen(material: Material, whole: Whole) -> Reading:
    """The reading that comes to the transaction's own total, or the likeliest."""
    wanted = targets(whole, material.rounding)
    first: Reading | None = None
    for reading in _readings(material):
        if first is None:
            first = reading
            if not wanted:
                break
        if fits(reading.total, wanted, material.rounding):
            return reading
    assert first is not None
    return first


def fits(total: Decimal, wanted: Sequence[Decimal], rounding: Decimal) -> bool:
    """Whether a total is one that is wanted, which may be written without its sign, and with or without rounding."""
    for one in wanted:
        if one == total or (total < 0 and one == -total):
            return True
        if rounding and abs(abs(one) - abs(total)) == abs(rounding):
            return True
    return False


def _readings(material: Material) -> Iterator[Reading]:
    drafts = material.drafts
    own = [draft.amounts() for draft in drafts]
    two_ways = any(len(amounts) > 1 for amounts in own)
    voidings = _voidings(material)
    styles = (0, 1) if two_ways else (0,)
    spreads: tuple[bool, ...] = (False,)
    if material.discount:
        spreads = (False, True) if material.discount_is_in_lines else (True, False)
    rewards = (False, True) if material.reward else (False,)
    for voided, style in product(voidings, styles):
        amounts = [ways[min(style, len(ways) - 1)] for ways in own]
        for inclusion in _inclusions(material):
            within = _within(material, amounts, inclusion)
            base = _total(material, amounts, voided, within)
            for spread, rewarded in product(spreads, rewards):
                off = (material.discount if spread else ZERO) + (material.reward if rewarded else ZERO)
                total = base - off if base >= 0 else base + off
                yield Reading(amounts, voided, within, spread, rewarded, total)


def _inclusions(material: Material) -> tuple[Inclusion, ...]:
    if material.tax_included == "yes":
        return (True,)
    if material.tax_included == "no":
        return (False,)
    return (None, False, True)


def _within(material: Material, amounts: list[Decimal], inclusion: Inclusion) -> list[bool]:
    if inclusion is not None:
        return [inclusion] * len(amounts)
    said = [included(draft.taxes, amount) for draft, amount in zip(material.drafts, amounts, strict=True)]
    others = [one for one in said if one is not None]
    usual = bool(others) and all(others)
    if not others and not any(draft.taxes for draft in material.drafts):
        usual = any(tax.within for tax in material.taxes)
    return [usual if one is None else one for one in said]


def _total(material: Material, amounts: list[Decimal], voided: list[bool], within: list[bool]) -> Decimal:
    total = ZERO
    taxed = False
    for draft, amount, void, inside in zip(material.drafts, amounts, voided, within, strict=True):
        taxed = taxed or bool(draft.taxes)
        if void:
            continue
        total += amount
        if not inside:
            for tax in draft.taxes:
                total += tax.amount
    if not taxed and material.tax and not all(within):
        total += abs(material.tax) if total >= 0 else -abs(material.tax)
    return total


def _voidings(material: Material) -> list[list[bool]]:
    """Which lines are void: flagged ones are, and, where one takes back an earlier line, that one is, too."""
    drafts = material.drafts
    flags = [draft.flagged for draft in drafts]
    if not any(flags):
        return [flags]
    plain, paired = list(flags), list(flags)
    for i, draft in enumerate(drafts):
        if not draft.flagged:
            continue
        earlier = _earlier(drafts, paired, i)
        if earlier is None:
            continue
        paired[earlier] = True
        if draft.written < 0 or drafts[earlier].is_return is not draft.is_return:
            plain[earlier] = True  # written with the other sign, it can only take an earlier line back
    # A line of the other sign whose earlier line is not found counts as what it is.
    counted = [flag and not (drafts[i].written < 0 and not _paired(drafts, paired, i)) for i, flag in enumerate(plain)]
    ways = {"self": [plain], "earlier": [paired]}.get(material.voids, [plain, paired, counted])
    return [way for i, way in enumerate(ways) if way not in ways[:i]]


def _earlier(drafts: list[Draft], voided: list[bool], i: int) -> int | None:
    draft = drafts[i]
    for j in range(i - 1, -1, -1):
        other = drafts[j]
        if (
            not voided[j]
            and not other.flagged
            and other.sku == draft.sku
            and abs(other.quantity) == abs(draft.quantity)
            and abs(other.extended) == abs(draft.extended)
        ):
            return j
    return None


def _paired(drafts: list[Draft], paired: list[bool], i: int) -> bool:
    draft = drafts[i]
    return any(
        paired[j] and not drafts[j].flagged and drafts[j].sku == draft.sku and drafts[j].extended == -draft.extended
        for j in range(i)
    )
