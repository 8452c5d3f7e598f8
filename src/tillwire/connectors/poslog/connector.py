"""POSLog files and messages as canonical events."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from xml.etree.ElementTree import Element

from tillwire.connectors.inbound import Claim, MalformedError, Outgoing, Record, Source, Trouble
from tillwire.connectors.poslog.controls import ControlReader, Outcome, plain_transaction
from tillwire.connectors.poslog.header import Header, HeaderReader
from tillwire.connectors.poslog.kinds import before_lines
from tillwire.connectors.poslog.people import Pseudonyms
from tillwire.connectors.poslog.reader import Piece, Reader, local
from tillwire.connectors.poslog.retail import RetailReader
from tillwire.connectors.poslog.settings import PoslogSettings
from tillwire.connectors.poslog.tree import DriftError, number, parse, text_of
from tillwire.connectors.spec import time_zone
from tillwire.errors import ConfigurationError
from tillwire.model import event as events
from tillwire.model.money import is_sound
from tillwire.model.till import DayClosed, DayOpened, TillClosed, TillOpened
from tillwire.model.transaction import Kind, Transaction

_BODIES = ("RetailTransaction", "FoodServiceTransaction", "ForeCourtTransaction", "CustomerOrderTransaction")
_TYPES: dict[type[Any], str] = {
    Transaction: events.TRANSACTION,
    TillOpened: events.TILL_OPENED,
    TillClosed: events.TILL_CLOSED,
    DayOpened: events.DAY_OPENED,
    DayClosed: events.DAY_CLOSED,
}


class PoslogConnector:
    """Reads POSLog of any version and vendor."""

    def __init__(self, settings: PoslogSettings) -> None:
        """Raises ``ConfigurationError`` for a zone or an encoding that does not exist."""
        zone = time_zone(settings.time_zone, "time_zone") if settings.time_zone else None
        for encoding in settings.fallback_encodings:
            try:
                codecs.lookup(encoding)
            except LookupError as error:
                raise ConfigurationError(f"fallback_encodings: {error}") from error
        self.settings = settings
        pseudonyms = Pseudonyms(settings.pseudonym_key)
        self._headers = HeaderReader(settings, zone, pseudonyms)
        self._retail = RetailReader(settings, self._headers, pseudonyms)
        self._controls = ControlReader(settings, pseudonyms)

    def read(self, source: Source) -> Iterator[Record]:
        """One record per Transaction element, in order.

        Raises ``MalformedError`` for what is not well-formed, has a DOCTYPE, is beyond the limits or is no POSLog.
        """
        source.stream.seek(0)
        reader = Reader(source.stream, self.settings.most_record_bytes)
        empty = True
        for piece in reader.pieces():
            empty = False
            yield self._record(piece)
        if not empty:
            return
        name = local(reader.root).decode("utf-8", "replace")
        if "poslog" not in name.lower():
            raise MalformedError("line 1", f"<{name}> holds no Transaction element: this is no POSLog")
        yield Record(place=name, raw=reader.root_alone, ignored="a POSLog without transactions")

    def _record(self, piece: Piece) -> Record:
        document = parse(piece, self.settings.fallback_encodings, self.settings.most_elements)
        place = f"Transaction {piece.number}, line {piece.line}"
        if document.note:
            place += f" ({document.note})"
        header: Header | None = None
        try:
            header = self._headers.read(document.element)
            message, claims, ignored = self._mapped(document.element, header)
        except DriftError as error:
            trouble = _trouble(error, document.element, header)
            return Record(place=place, raw=piece.raw, troubles=(trouble,))
        if message is None:
            return Record(place=place, raw=piece.raw, ignored=ignored)
        if not _sound(message):
            text = "its figures add up to more than any retailer's"
            trouble = Trouble(code="schema_drift", message=text, store=header.store, business_date=header.business_date)
            return Record(place=place, raw=piece.raw, troubles=(trouble,))
        outgoing = Outgoing(
            type=_TYPES[type(message)],
            data=message,
            id=message.key,
            time=header.ended_at or header.began_at,
            correlation=header.correlation,
        )
        return Record(place=place, raw=piece.raw, events=(outgoing,), claims=claims)

    def _mapped(self, transaction: Element, header: Header) -> tuple[Any, tuple[Claim, ...], str]:
        """The message and its claims, or why there is none. Raises ``DriftError``."""
        body = _body(transaction)
        if body is not None:
            made, claims = self._retail.read(transaction, body, header)
            if made.kind is Kind.TRAINING and self.settings.training == "ignore":
                return None, (), "a training transaction"
            return made, claims, ""
        outcome = self._without_lines(transaction, header)
        training = isinstance(outcome.message, Transaction) and outcome.message.kind is Kind.TRAINING
        if training and self.settings.training == "ignore":
            return None, (), "a training transaction"
        return outcome.message, (), outcome.ignored

    def _without_lines(self, transaction: Element, header: Header) -> Outcome:
        tender_control = transaction.find("TenderControlTransaction")
        if tender_control is not None:
            return self._controls.tender_control(transaction, tender_control, header)
        control = transaction.find("ControlTransaction")
        if control is not None or text_of(transaction.find("TransactionType")):
            return self._controls.control(transaction, control, header)
        state = before_lines(transaction, transaction, linked=False, paid=False)
        if state in (Kind.CANCELLED, Kind.SUSPENDED, Kind.TRAINING, Kind.NO_SALE):
            return Outcome(plain_transaction(header, state))
        other = next((child.tag for child in transaction if child.tag.endswith("Transaction")), "")
        if other and not any(True for _ in transaction.iter("Tender")):
            return Outcome(ignored=f"{other}: there are no events for it")
        raise DriftError(
            f"holds no RetailTransaction, TenderControlTransaction or ControlTransaction{other and f', but {other}'}",
            other or "Transaction",
        )


def _sound(message: Any) -> bool:
    """Whether sums are of sane size, too; what they are made of was looked at when it was read."""
    figures: list[Decimal | None] = []
    if isinstance(message, Transaction):
        figures += [message.total, message.tax, message.rounding, message.net]
        figures += [line.amount for line in message.lines]
        figures += [tax.amount for line in message.lines for tax in line.taxes]
        figures += [points for one in message.loyalty for points in (one.earned, one.redeemed)]
    elif isinstance(message, TillOpened):
        figures.append(message.opening_float)
    elif isinstance(message, TillClosed | DayClosed):
        figures.append(message.totals.amount)
        if isinstance(message, TillClosed):
            figures += [amount for one in message.tenders for amount in (one.calculated, one.counted)]
    return all(one is None or is_sound(one) for one in figures)


def _body(transaction: Element) -> Element | None:
    """The element that holds the line items."""
    found = [child for child in transaction if child.tag in _BODIES]
    if len(found) > 1:
        raise DriftError(f"holds {len(found)} retail transactions under one number", "RetailTransaction")
    if found:
        return found[0]
    return transaction if transaction.find("LineItem") is not None else None


def _trouble(error: DriftError, transaction: Element, header: Header | None) -> Trouble:
    """With the money at risk, as far as it can be read."""
    amount: Decimal | None = None
    for total in transaction.iter("Total"):
        if (total.get("TotalType") or "").endswith("TransactionGrandAmount"):
            amount = _amount(total)
            break
    else:
        amount = next((found for one in transaction.iter("Amount") if (found := _amount(one))), None)
    currency = header.currency if header is not None else ""
    return Trouble(
        code=error.code,
        message=error.message,
        pointer=error.pointer,
        store=header.store if header is not None else None,
        business_date=header.business_date if header is not None else None,
        amount=amount if currency else None,
        currency=currency or None,
    )


def _amount(element: Element) -> Decimal | None:
    try:
        return number(element, "")
    except DriftError:
        return None
