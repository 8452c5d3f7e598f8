"""Rules of payment: tenders against the total, and what cannot be with a gift card."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from tillwire.intake.rules.registry import Finding, Given, Scope, rule
from tillwire.model.money import ZERO
from tillwire.model.till import TenderCount
from tillwire.model.transaction import LineKind, Tender, Transaction

GIFT_CARD = "gift_card"
"""The tender type by which gift cards are redeemed, as the default mapping of accounts has it."""


def unpaid(tx: Transaction) -> Decimal:
    """What tenders less change exceed the total by; negative where they fall short of it."""
    return sum((tender.amount for tender in tx.tenders if not tender.voided), ZERO) - tx.total


def is_within_limits(difference: Decimal, given: Given) -> bool:
    """True if a difference is an over- or underpayment that the policy lets through."""
    return -given.most_under <= difference <= given.most_over


@rule("unknown_tender", Scope.TENDER)
def tender_known(tender: Tender | TenderCount, given: Given) -> Iterator[Finding]:
    """The type of tender has an active master record."""
    if tender.type not in given.master.tenders:
        yield f"tender {tender.type!r} is not in master data", "/type"


@rule("tender_mismatch", Scope.PAYMENT)
def paid(tx: Transaction, given: Given) -> Iterator[Finding]:
    """Tenders less change are the total, or differ from it by no more than an over- or underpayment may."""
    difference = unpaid(tx)
    if difference and not is_within_limits(difference, given):
        text = f"tenders less change are {difference + tx.total}, the total is {tx.total} {tx.currency}"
        yield text, "/tenders"


@rule("over_under_payment", Scope.PAYMENT)
def paid_exactly(tx: Transaction, given: Given) -> Iterator[Finding]:
    """Tenders less change are the total, where the difference is one that the policy lets through."""
    difference = unpaid(tx)
    if difference and is_within_limits(difference, given):
        word = "over" if difference > ZERO else "under"
        yield f"{word}paid by {abs(difference)} {tx.currency}", "/tenders"


@rule("gift_card_invalid", Scope.PAYMENT)
def gift_card_tender_has_a_number(tx: Transaction, given: Given) -> Iterator[Finding]:
    """A gift card that pays, or is refunded to, has its number."""
    for i, tender in enumerate(tx.tenders):
        if tender.type == GIFT_CARD and not tender.voided and not tender.reference:
            yield "a gift card without its number", f"/tenders/{i}/reference"


@rule("gift_card_invalid", Scope.PAYMENT)
def gift_card_pays_for_another(tx: Transaction, given: Given) -> Iterator[Finding]:
    """No gift card is sold or loaded from its own balance."""
    sold = {
        number
        for line in tx.lines
        if line.kind is LineKind.GIFT_CARD and not line.voided
        for number in (line.reference, line.serial)
        if number
    }
    for i, tender in enumerate(tx.tenders):
        if tender.type == GIFT_CARD and not tender.voided and tender.reference in sold:
            yield f"gift card {tender.reference!r} pays for itself", f"/tenders/{i}/reference"


@rule("gift_card_invalid", Scope.PAYMENT)
def gift_card_gives_no_change(tx: Transaction, given: Given) -> Iterator[Finding]:
    """Change comes from what was paid by other means: a gift card is not paid out in cash."""
    in_force = [tender for tender in tx.tenders if not tender.voided]
    if not any(tender.type == GIFT_CARD and tender.amount > ZERO for tender in in_force):
        return
    change = -sum((tender.amount for tender in in_force if tender.change), ZERO)
    otherwise = sum((t.amount for t in in_force if t.type != GIFT_CARD and not t.change and t.amount > ZERO), ZERO)
    if change > otherwise:
        yield f"change of {change} from {otherwise} that is not from a gift card", "/tenders"
