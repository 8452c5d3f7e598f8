"""Square's money: whole minor units of a currency, as ``{"amount": 555, "currency": "USD"}``."""

from __future__ import annotations

from decimal import Decimal

from tillwire.connectors.payload import DriftError, Node
from tillwire.model.money import ZERO, minor_units


def currency_of(node: Node, *names: str) -> str:
    """The currency of the first of these amounts that is there. Raises ``DriftError``."""
    for name in names:
        money = node.child(name)
        if money is not None:
            code = money.text("currency").upper() or money.text("currency_code").upper()
            if len(code) != 3 or not (code.isascii() and code.isalpha()):
                raise money.drift("currency", f"{code[:20]!r} is no ISO 4217 code")
            return code
    raise node.drift(names[0] if names else "", "it is missing")


def amount_of(node: Node, name: str, currency: str) -> Decimal | None:
    """An amount in ``currency``; none if it is missing. Raises ``DriftError`` for one in another currency or with a
    fraction of a minor unit."""
    money = node.child(name)
    if money is None:
        return None
    units = money.integer("amount")
    if units is None:
        return ZERO
    stated = money.text("currency").upper() or money.text("currency_code").upper() or currency
    if stated != currency:
        raise money.drift("currency", f"{stated[:20]} beside {currency}")
    if not -(10**15) < units < 10**15:
        raise money.drift("amount", "the amount is beyond 10^15")
    return Decimal(units).scaleb(-minor_units(currency))


def needed(node: Node, name: str, currency: str) -> Decimal:
    """An amount that must be there."""
    found = amount_of(node, name, currency)
    if found is None:
        raise DriftError(f"{node.pointer}/{name}", "it is missing")
    return found
