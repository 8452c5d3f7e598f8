"""Where one master record contradicts another: two prices for one time, one GTIN on two products.

Asked before records are recorded, under the lock of their partition: what is found is not recorded but raised, so two
that contradict each other are never both in force. A batch without such records asks the database nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import psycopg

from tillwire.database import sql
from tillwire.model.event import MASTER_PRODUCT, MASTER_TYPES, MESSAGES
from tillwire.model.identifiers import gtin14
from tillwire.model.master import PriceRecord, ProductRecord

_sql = sql.load("tillwire.masterdata", "masterdata.sql")
_price_decoder = msgspec.json.Decoder(PriceRecord)

PRICE_OVERLAP = "price_overlap"
GTIN_TAKEN = "gtin_taken"
REVISION_CONFLICT = "revision_conflict"

_types = {message: name for name, message in MESSAGES.items() if name in MASTER_TYPES}
_decoders = {name: msgspec.json.Decoder(message) for message, name in _types.items()}


class Conflict(NamedTuple):
    """A record that contradicts another one: the code, both named, and the field."""

    code: str
    message: str
    pointer: str


def conflicts(connection: psycopg.Connection, records: Sequence[Any]) -> dict[int, Conflict]:
    """The conflicts among ``records`` and with what is recorded, by place in ``records``, which are taken in order.

    A record with a conflict is out: later ones are judged as if it had never come. An older revision than the recorded
    one has no effect, hence no conflict.
    """
    found = _taken_revisions(connection, records)
    prices = [(i, record) for i, record in enumerate(records) if isinstance(record, PriceRecord)]
    ending = sorted({price.slot for _, price in prices if price.effective_to is not None and price.active})
    if ending:
        slots = set(ending)
        book = _Book(connection, ending)
        for i, price in prices:
            conflict = book.enter(price) if price.slot in slots else None
            if conflict is not None:
                found[i] = conflict
    products = [(i, record) for i, record in enumerate(records) if isinstance(record, ProductRecord)]
    if any(product.gtins for _, product in products):
        owners = _Owners(connection, [product for _, product in products])
        for i, product in products:
            conflict = owners.enter(product)
            if conflict is not None:
                found[i] = conflict
    return found


def _taken_revisions(connection: psycopg.Connection, records: Sequence[Any]) -> dict[int, Conflict]:
    """Records whose revision is there already and says something else: of two sources, say, that number alike."""
    places = [(_types[type(record)], record.identifier, record.revision) for record in records]
    parameters = {
        "types": [place[0] for place in places],
        "ids": [place[1] for place in places],
        "revisions": [place[2] for place in places],
    }
    known: dict[tuple[str, str, int], Any] = {
        (name, identifier, revision): _decoders[name].decode(body)
        for name, identifier, revision, body in connection.execute(_sql.same_revisions, parameters)
    }
    found: dict[int, Conflict] = {}
    for i, (place, record) in enumerate(zip(places, records, strict=True)):
        if known.setdefault(place, record) != record:
            name = place[0].split(".")[2]
            text = f"revision {place[2]} of {name} {place[1]} is recorded with other content: send a higher revision"
            found[i] = Conflict(REVISION_CONFLICT, text, "/data/revision")
    return found


class _Book:
    """The prices of some slots, as they will be once the records before are recorded."""

    def __init__(self, connection: psycopg.Connection, slots: Sequence[str]) -> None:
        self._prices: dict[str, dict[str, PriceRecord]] = {slot: {} for slot in slots}
        for (body,) in connection.execute(_sql.prices_of_slots, (list(slots),)):
            price = _price_decoder.decode(body)
            self._prices[price.slot][price.identifier] = price

    def enter(self, price: PriceRecord) -> Conflict | None:
        """The price with an end that this one, which has an end too, shares some time with."""
        others = self._prices[price.slot]
        known = others.get(price.identifier)
        if known is not None and known.revision >= price.revision:
            return None
        if price.active and price.effective_to is not None:
            for other in others.values():
                if other.identifier != price.identifier and other.active and _share_time(price, other):
                    text = f"{_words(price)} overlaps {_words(other)}: end one before the other begins"
                    return Conflict(PRICE_OVERLAP, text, "/data/effective_from")
        others[price.identifier] = price
        return None


def _share_time(one: PriceRecord, other: PriceRecord) -> bool:
    if one.effective_to is None or other.effective_to is None:
        return False
    return one.effective_from < other.effective_to and other.effective_from < one.effective_to


def _words(price: PriceRecord) -> str:
    return f"price {price.identifier} of {price.amount} {price.currency} until {price.effective_to}"


class _Owners:
    """Whose GTINs are, as it will be once the products before are recorded."""

    def __init__(self, connection: psycopg.Connection, products: Sequence[ProductRecord]) -> None:
        codes = sorted({gtin14(code) for product in products for code in product.gtins})
        self._owners: dict[str, str] = dict(connection.execute(_sql.owners_of_gtins, (codes,)).fetchall())
        parameters = {"type": MASTER_PRODUCT, "ids": sorted({product.sku for product in products})}
        self._revisions = {sku: revision for sku, revision, _ in connection.execute(_sql.current, parameters)}

    def enter(self, product: ProductRecord) -> Conflict | None:
        """The first of its GTINs that is another active product's."""
        if product.revision <= self._revisions.get(product.sku, -1):
            return None
        if product.active:
            for i, code in enumerate(product.gtins):
                owner = self._owners.get(gtin14(code), product.sku)
                if owner != product.sku:
                    text = (
                        f"GTIN {code} of product {product.sku!r} is product {owner!r}'s: it can be one product's only"
                    )
                    return Conflict(GTIN_TAKEN, text, f"/data/gtins/{i}")
        for code in [code for code, owner in self._owners.items() if owner == product.sku]:
            del self._owners[code]
        if product.active:
            self._owners.update(dict.fromkeys(map(gtin14, product.gtins), product.sku))
        self._revisions[product.sku] = product.revision
        return None
