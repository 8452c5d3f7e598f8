"""From another system's identifiers to ours: mapping records are applied to a message before the rules see it.

The event store gets the translated event; the raw bytes stay in the intake. So a replay repeats what was recorded,
whatever became of the mappings since. Stores and registers are not translated here: they are part of the key under
which an event was accepted, and of the partition it is recorded in; connectors translate them before the door.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tillwire.masterdata.snapshot import Snapshot
from tillwire.model.master import PriceRecord
from tillwire.model.stock import Fulfilment, MovementLine, StockLevel, StockMovement
from tillwire.model.till import TenderCount, TillClosed
from tillwire.model.transaction import Line, Tax, Tender, Transaction

Mapping = dict[str, dict[str, str]]
"""Kind, external identifier: ours."""

_replace = msgspec.structs.replace
_NONE: dict[str, str] = {}
_envelope_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class Translator:
    """Replaces external identifiers of products, units, tenders, tax codes and customers."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def translate(self, source: str, event: Any) -> Any:
        """The event in our words; the very same object if its source has no mappings or none of them applies."""
        mapping = self._snapshot.mappings.get(source)
        if mapping is None:
            return event
        translate = _TRANSLATIONS.get(type(event.data))
        if translate is None:
            return event
        data = translate(event.data, mapping)
        return event if data is event.data else _replace(event, data=data)


def reencoded(raw: bytes, event: Any) -> bytes:
    """The raw event with the data of ``event``; its context attributes stay as they were, extensions included."""
    attributes: dict[str, Any] = _envelope_decoder.decode(raw)
    attributes["data"] = event.data
    return _encode(attributes)


def _with(node: Any, **fields: Any) -> Any:
    """``node`` with what of the fields is another object; ``node`` itself if nothing is."""
    changed = {name: value for name, value in fields.items() if value is not getattr(node, name)}
    return _replace(node, **changed) if changed else node


def _each(nodes: tuple[Any, ...], change: Callable[[Any], Any]) -> tuple[Any, ...]:
    """``nodes`` changed; the very same tuple if no node was."""
    made = tuple([change(node) for node in nodes])
    return made if any(one is not other for one, other in zip(made, nodes, strict=True)) else nodes


def _item(mapping: Mapping) -> Callable[[Any], Any]:
    """Product and unit of whatever has them."""
    products, units = mapping.get("product", _NONE), mapping.get("unit", _NONE)
    return lambda node: _with(node, sku=products.get(node.sku, node.sku), unit=units.get(node.unit, node.unit))


def _type(mapping: Mapping) -> Callable[[Tender | TenderCount], Any]:
    tenders = mapping.get("tender", _NONE)
    return lambda tender: _with(tender, type=tenders.get(tender.type, tender.type))


def _transaction(tx: Transaction, mapping: Mapping) -> Transaction:
    codes, customers = mapping.get("tax_code", _NONE), mapping.get("customer", _NONE)
    item, tender = _item(mapping), _type(mapping)

    def tax(one: Tax) -> Tax:
        made: Tax = _with(one, code=codes.get(one.code, one.code))
        return made

    def line(one: Line) -> Line:
        made: Line = _with(item(one), taxes=_each(one.taxes, tax))
        return made

    made: Transaction = _with(
        tx,
        lines=_each(tx.lines, line),
        tenders=_each(tx.tenders, tender),
        customer=customers.get(tx.customer, tx.customer) if tx.customer is not None else None,
    )
    return made


def _lines(message: StockMovement | Fulfilment, mapping: Mapping) -> Any:
    change: Callable[[MovementLine], Any] = _item(mapping)
    return _with(message, lines=_each(message.lines, change))


def _till(till: TillClosed, mapping: Mapping) -> Any:
    return _with(till, tenders=_each(till.tenders, _type(mapping)))


def _one_item(message: StockLevel | PriceRecord, mapping: Mapping) -> Any:
    return _item(mapping)(message)


_TRANSLATIONS: dict[type, Callable[[Any, Mapping], Any]] = {
    Transaction: _transaction,
    StockMovement: _lines,
    Fulfilment: _lines,
    StockLevel: _one_item,
    TillClosed: _till,
    PriceRecord: _one_item,
}
