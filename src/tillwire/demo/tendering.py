"""How customers of the demo pay: manufacturer's coupons first, then gift card, payment card or cash with change."""

from __future__ import annotations

from decimal import Decimal

from tillwire.model.transaction import Tender

CASH, CARD, COUPON, GIFT_CARD = "cash", "card", "manufacturer_coupon", "gift_card"

_NOTES = (100, 500, 1_000, 2_000)
"""What customers round up to, in cents."""
_MOST_ON_A_GIFT_CARD = 2_500


def tender(total: int, coupon: int, chance: int) -> tuple[Tender, ...]:
    """Tenders that add up to ``total``; amounts in cents. ``chance`` is any whole number, and decides.

    A coupon never pays more than there is to pay. Change is negative cash.
    """
    tenders = []
    coupon = min(coupon, total)
    if coupon:
        tenders.append(_of(COUPON, coupon))
    rest = total - coupon
    choice, chance = chance % 100, chance // 100
    if rest and choice < 4:
        on_card = min(rest, _MOST_ON_A_GIFT_CARD)
        tenders.append(Tender(GIFT_CARD, Decimal(on_card).scaleb(-2), reference=f"GC{chance % 10**8:08}"))
        rest -= on_card
    if rest and choice < 40:
        note = _NOTES[chance % len(_NOTES)]
        change = -rest % note
        tenders.append(_of(CASH, rest + change))
        if change:
            tenders.append(Tender(CASH, Decimal(-change).scaleb(-2), change=True))
    elif rest:
        tenders.append(_of(CARD, rest))
    return tuple(tenders)


def _of(kind: str, cents: int) -> Tender:
    return Tender(kind, Decimal(cents).scaleb(-2))
