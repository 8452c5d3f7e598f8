"""Gift cards by number: sold by which company, taken by which. An inline projection of cards that name a number."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import psycopg

from tillwire.database import sql
from tillwire.database.copying import copy_rows, escaped
from tillwire.events.recorded import InlineProjection, Recorded
from tillwire.model.money import ZERO
from tillwire.model.reversal import TransactionReversed
from tillwire.model.transaction import SELLING, WITHOUT_EFFECT, Line, LineKind, Transaction

_sql = sql.load("tillwire.sales", "sales.sql")
GIFT_CARD = "gift_card"
"""The tender type, and the kind of line, of gift cards."""
_SOLD = LineKind.GIFT_CARD


class GiftCards(InlineProjection):
    """Gathers what was sold on gift cards and paid with them; a reversal takes it back."""

    tables: Sequence[str] = ("gift_card",)

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was gathered."""
        self._rows: list[str] = []

    def apply(self, recorded: Recorded) -> None:
        """Gather the cards of a transaction; most have none."""
        message, effect = recorded.message, 1
        if isinstance(message, TransactionReversed):
            message, effect = message.transaction, -1
        elif not isinstance(message, Transaction):
            return
        # The class of a line that sells no item is its kind: cheaper than a look at every line.
        sells = GIFT_CARD in recorded.enrichment.classes
        if sells or any([tender.type == GIFT_CARD for tender in message.tenders]):  # noqa: C419 - twice as fast
            cards = _cards(message)
            if cards and not recorded.superseded():
                self._add(recorded, message.currency, cards, effect)

    def _add(self, recorded: Recorded, currency: str, cards: dict[str, list[Decimal]], effect: int) -> None:
        head = f"{recorded.partition}\t{recorded.offset}"
        tail = (
            f"{escaped(recorded.store)}\t{recorded.posted_date()}\t{escaped(recorded.enrichment.company)}\t{currency}"
        )
        for number, (sold, redeemed) in cards.items():
            self._rows.append(f"{head}\t{escaped(number)}\t{tail}\t{effect * sold}\t{effect * redeemed}\n")

    def write(self, connection: psycopg.Connection) -> None:
        """Copy the rows."""
        copy_rows(connection, _sql.copy_gift_cards, self._rows)
        self.begin()


def _cards(transaction: Transaction) -> dict[str, list[Decimal]]:
    """What was sold on each card, and paid with it, as the ledger's entries have it; by number."""
    cards: dict[str, list[Decimal]] = {}
    if transaction.kind in SELLING:
        for line in transaction.lines:
            if line.kind is _SOLD and line.reference and not line.voided:
                cards.setdefault(line.reference, [ZERO, ZERO])[0] += _owed(line, transaction)
    if transaction.kind not in WITHOUT_EFFECT:
        for tender in transaction.tenders:
            if tender.type == GIFT_CARD and tender.reference and not tender.voided:
                cards.setdefault(tender.reference, [ZERO, ZERO])[1] += tender.amount
    return {number: amounts for number, amounts in cards.items() if any(amounts)}


def _owed(line: Line, transaction: Transaction) -> Decimal:
    """What is owed on a card that was sold: its value, whatever discount was given, without tax in the price."""
    owed = line.amount + sum([discount.amount for discount in line.discounts], ZERO)
    included = transaction.tax_included if line.tax_included is None else line.tax_included
    return owed - sum([tax.amount for tax in line.taxes], ZERO) if included else owed
