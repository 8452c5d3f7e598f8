"""Tender control and control transactions: cash that moves, tills and days that open and close."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.header import Header
from tillwire.connectors.poslog.kinds import before_lines, said_type
from tillwire.connectors.poslog.people import Pseudonyms, code, key_part
from tillwire.connectors.poslog.settings import PoslogSettings
from tillwire.connectors.poslog.tenders import TenderReader
from tillwire.connectors.poslog.tree import DriftError, number, text_at, text_of
from tillwire.model.money import ZERO
from tillwire.model.till import ControlTotals, DayClosed, DayOpened, TenderCount, TillClosed, TillOpened
from tillwire.model.transaction import Kind, Tender, Transaction

_MOVES = {
    "tenderloan": Kind.LOAN,
    "loan": Kind.LOAN,
    "tenderpickup": Kind.PICKUP,
    "pickup": Kind.PICKUP,
    "safedrop": Kind.PICKUP,
    "paidin": Kind.PAY_IN,
    "payin": Kind.PAY_IN,
    "paidout": Kind.PAY_OUT,
    "payout": Kind.PAY_OUT,
    "pettycash": Kind.PAY_OUT,
    "tipout": Kind.PAY_OUT,
}
_OUT = frozenset({Kind.PICKUP, Kind.PAY_OUT})
_DAY_OPEN = frozenset({"businesssod", "storesod", "dayopen", "businessdayopen", "storeopen", "sod", "startofday"})
_DAY_CLOSE = frozenset({"businesseod", "storeeod", "dayclose", "businessdayclose", "storeclose", "eod", "endofday"})
_TILL_OPEN = frozenset({"tillsod", "tillopen"})
_TILL_CLOSE = frozenset({"tilleod", "tillclose", "tillsettle"})
_NO_SALE = frozenset({"nosale", "opendrawer", "cashdraweropen"})
_VOIDS = frozenset({"transactionvoid", "suspenddelete"})
_COMMON = frozenset({"shift", "daypart", "reasoncode", "associate", "operatorid", "transactionlink", "reason"})
_ELSEWHERE = ("Safe", "TenderExchange", "TillDeclaration", "Deposit")
"""Of the safe and the bank, or of one tender for another: no till is richer or poorer."""
_LEDGER_OUT = ("Returns", "PaidOut", "Pickup", "Deposit")
_LEDGER_IN = ("Beginning", "Sales", "PaidIn", "Loan")


class Outcome(NamedTuple):
    """What a control transaction comes to: one message, or why there is none."""

    message: Any = None
    ignored: str = ""


def plain_transaction(
    header: Header, kind: Kind, total: Decimal = ZERO, tenders: tuple[Tender, ...] = ()
) -> Transaction:
    """A transaction without lines. Raises ``DriftError`` if nothing says its currency."""
    if not header.currency:
        raise DriftError("says no currency; the setting currency may name it", "CurrencyCode")
    return Transaction(
        store=header.store,
        register=header.register,
        business_date=header.business_date,
        sequence=header.sequence,
        kind=kind,
        currency=header.currency,
        total=total,
        tenders=tenders,
        began_at=header.began_at,
        ended_at=header.ended_at,
        operator=header.operator,
        receipt=header.receipt,
    )


class ControlReader:
    """Reads control transactions under one connection's settings."""

    def __init__(self, settings: PoslogSettings, pseudonyms: Pseudonyms) -> None:
        self._settings = settings
        self._tenders = TenderReader(settings, pseudonyms)

    def tender_control(self, transaction: Element, body: Element, header: Header) -> Outcome:
        """A TenderControlTransaction. Raises ``DriftError``."""
        said = _MOVES.get(said_type(transaction))
        settle = body.find("TillSettle")
        moves = [*self._moves(body), *(self._moves(settle) if settle is not None else ())]
        kinds = {kind for kind, tenders in moves if any(one.amount for one in tenders)} or {kind for kind, _ in moves}
        if said is not None and kinds and kinds != {said}:
            amounts = ", ".join(f"{kind} {sum(abs(one.amount) for one in own)}" for kind, own in moves)
            text = f"says it is a {said}, and holds {amounts}"
            raise DriftError(text, "TransactionType", "kind_contradiction")
        if len(kinds) > 1:
            raise DriftError(
                f"is {' and '.join(sorted(kinds))} in one", "TenderControlTransaction", "kind_contradiction"
            )
        if kinds:
            return self._moved(transaction, body, header, kinds.pop(), [one for _, own in moves for one in own])
        if settle is not None:
            return self._settled(transaction, body, settle, header)
        names = ", ".join(child.tag for child in body if child.tag.lower() not in _COMMON)
        if any(True for _ in body.iter("Amount")) and not names.startswith(
            ("Safe", "TenderExchange", "TillDeclaration")
        ):
            raise DriftError(f"tender control of an unknown kind: {names or 'nothing'}", "TenderControlTransaction")
        return Outcome(ignored=f"tender control that no till's money is moved by: {names or 'empty'}")

    def _moves(self, body: Element) -> Iterator[tuple[Kind, tuple[Tender, ...]]]:
        for child in body:
            kind = _MOVES.get(child.tag.lower())
            if kind is not None:
                yield kind, tuple(self._amounts(child, -1 if kind in _OUT else 1))

    def _amounts(self, element: Element, sign: int) -> Iterator[Tender]:
        """What a loan, pickup and so on moves, per tender; cash where no tender is named."""
        inner = [child for child in element if child.tag in ("Tender", "Totals", "TenderTotal")]
        direct = number(element.find("Amount"), f"{element.tag}/Amount")
        for part in [element] if direct is not None or not inner else inner:
            amount = direct if part is element else number(part.find("Amount"), f"{element.tag}/{part.tag}/Amount")
            if amount is None:
                raise DriftError(f"a {element.tag} without an amount", f"{element.tag}/Amount")
            kind = self._tenders.type_of(part) or self._tenders.type_of(element) or "cash"
            amount = abs(amount)
            yield Tender(kind, amount if sign > 0 else -amount)

    def _moved(self, transaction: Element, body: Element, header: Header, kind: Kind, tenders: list[Tender]) -> Outcome:
        links = body.findall("TransactionLink")
        state = before_lines(transaction, body, linked=bool(links), paid=True)
        if state is Kind.POST_VOID:  # taken back: the same movement the other way
            tenders = [Tender(one.type, -one.amount) for one in tenders]
            state = None
        total = sum([one.amount for one in tenders], ZERO)
        return Outcome(plain_transaction(header, state or kind, total, tuple(tenders)))

    def _settled(self, transaction: Element, body: Element, settle: Element, header: Header) -> Outcome:
        if before_lines(transaction, body, linked=False, paid=True) is Kind.TRAINING:
            return Outcome(ignored="a till settled in training")
        part = text_of(body.find("DayPart")).lower()
        summary = settle.find("TenderSummary")
        beginning = summary is not None and summary.find("Beginning") is not None and summary.find("Ending") is None
        if said_type(transaction) in ("sod", "tillopen") or part == "sod" or (beginning and part != "eod"):
            return Outcome(self._opened(settle, body, header))
        return self._closed(settle, body, header)

    def _opened(self, settle: Element | None, body: Element, header: Header) -> TillOpened:
        cash = ZERO
        if settle is not None:
            found = settle.findall("TenderSummary/Beginning") or settle.findall("Tender")
            for one in found:
                if self._tenders.type_of(one) in ("", "cash"):
                    cash += number(one.find("Amount"), "TillSettle/Beginning/Amount") or ZERO
        return TillOpened(
            store=header.store,
            register=header.register,
            business_date=header.business_date,
            currency=_currency(header),
            opening_float=cash,
            shift=_shift(body, header),
            operator=header.operator,
            at=header.began_at or header.ended_at,
        )

    def _closed(self, settle: Element, body: Element, header: Header) -> Outcome:
        counts = tuple(self._counts(settle))
        totals = self._totals(settle)
        if totals is None:
            if not any(one.calculated or one.counted for one in counts):
                return Outcome(ignored="a till close without control totals: nothing was counted")
            text = "counts tenders and gives no totals of its transactions (TransactionCount, TotalNetSalesAmount)"
            raise DriftError(text, "TillSettle/TransactionCount")
        return Outcome(
            TillClosed(
                store=header.store,
                register=header.register,
                business_date=header.business_date,
                currency=_currency(header),
                totals=totals,
                tenders=counts,
                shift=_shift(body, header),
                operator=header.operator,
                at=header.ended_at or header.began_at,
            )
        )

    def _totals(self, settle: Element) -> ControlTotals | None:
        """Count and amount of what was sold; none unless both are given."""
        count = number(settle.find("TransactionCount"), f"{settle.tag}/TransactionCount")
        if count is None:
            return None
        if count != int(count) or not 0 <= count <= 10**12:
            raise DriftError(f"a count of {count} transactions", f"{settle.tag}/TransactionCount")
        figures = {
            name: number(settle.find(name), f"{settle.tag}/{name}")
            for name in ("TotalNetSalesAmount", "TotalNetReturnAmount", "TotalTaxAmount",
                         "GrossPositiveAmount", "GrossNegativeAmount")
        }  # fmt: skip
        net, gross = figures["TotalNetSalesAmount"], figures["GrossPositiveAmount"]
        if gross is not None and (net is None or self._settings.control_amount == "gross"):
            amount = gross - abs(figures["GrossNegativeAmount"] or ZERO)
        elif net is not None:
            amount = net - abs(figures["TotalNetReturnAmount"] or ZERO) + (figures["TotalTaxAmount"] or ZERO)
        else:
            return None
        return ControlTotals(transactions=int(count), amount=amount)

    def _counts(self, settle: Element) -> Iterator[TenderCount]:
        """Calculated and counted per tender, in the standard's ledger and in a form that some vendors have."""
        ledgers: dict[str, dict[str, Decimal]] = {}
        for summary in settle.iterfind("TenderSummary"):
            inner = summary.findall("TenderLedger") or summary.findall("Ledger") or [summary]
            for entry in (one for ledger in inner for one in ledger):
                kind = self._tenders.type_of(entry) or "cash"
                amount = number(entry.find("Amount"), f"TenderSummary/{entry.tag}/Amount")
                if amount is not None:
                    ledger = ledgers.setdefault(kind, {})
                    ledger[entry.tag] = ledger.get(entry.tag, ZERO) + amount
        for kind, ledger in ledgers.items():
            yield _ledger_count(kind, ledger)
        for one in settle:
            counted = number(one.find("CurrentAmount"), f"TillSettle/{one.tag}/CurrentAmount")
            registered = number(one.find("RegisteredAmount"), f"TillSettle/{one.tag}/RegisteredAmount")
            if counted is None and one.tag == "Tender":
                counted = number(one.find("GrossTotal"), "TillSettle/Tender/GrossTotal")
            if counted is None:
                continue
            if registered is None:
                registered = counted - (number(one.find("Difference"), f"TillSettle/{one.tag}/Difference") or ZERO)
            if counted or registered:
                kind = self._tenders.type_of(one)
                # In this form vouchers carry a number where the standard has the type.
                kind = code(f"{one.tag}:{kind}") if kind.isdigit() else kind or code(one.tag)
                yield TenderCount(type=kind, calculated=registered, counted=counted)

    def control(self, transaction: Element, body: Element | None, header: Header) -> Outcome:
        """A ControlTransaction, or a transaction that only its type tells. Raises ``DriftError``."""
        children = [] if body is None else [one for one in body if one.tag.lower() not in _COMMON]
        name = children[0].tag if children else text_of(transaction.find("TransactionType"))
        low = name.lower()
        if low == "applicationevent":
            name = text_of(children[0]) or text_at(children[0], "Event") or name
            low = name.lower()
        training = before_lines(transaction, transaction, linked=False, paid=False) is Kind.TRAINING
        if training:
            return Outcome(ignored=f"control transaction in training: {name}")
        if low in _DAY_OPEN:
            at = header.began_at or header.ended_at
            return Outcome(DayOpened(store=header.store, business_date=header.business_date, at=at))
        if low in _DAY_CLOSE:
            return self._day_closed(children[0] if children else None, name, header)
        if low in _TILL_OPEN and body is not None:
            return Outcome(self._opened(children[0], body, header))
        if low in _TILL_CLOSE and body is not None:
            return self._closed(children[0], body, header)
        if low in _NO_SALE:
            return Outcome(plain_transaction(header, Kind.NO_SALE))
        if low in _VOIDS:
            return Outcome(plain_transaction(header, Kind.CANCELLED))
        if low == "postvoid":
            text = "a post-void that gives no lines: what it takes back is with the transaction that it names"
            raise DriftError(text, "ControlTransaction/PostVoid", "empty_transaction")
        if self._settings.controls == "count" and header.currency:
            return Outcome(plain_transaction(header, Kind.NO_SALE))
        return Outcome(ignored=f"control transaction without effect on money or goods: {name or 'of no kind'}")

    def _day_closed(self, element: Element | None, name: str, header: Header) -> Outcome:
        totals = None if element is None else self._totals(element)
        if totals is None:
            return Outcome(ignored=f"{name} without control totals: there is nothing to prove the day against")
        return Outcome(
            DayClosed(
                store=header.store,
                business_date=header.business_date,
                currency=_currency(header),
                totals=totals,
                at=header.ended_at or header.began_at,
            )
        )


def _currency(header: Header) -> str:
    if not header.currency:
        raise DriftError("says no currency; the setting currency may name it", "CurrencyCode")
    return header.currency


def _shift(body: Element, header: Header) -> str:
    said = text_at(body, "Shift/ShiftID") or text_of(body.find("Shift")) or header.till
    return key_part(said) if said.strip("0") else "1"


def _ledger_count(kind: str, ledger: dict[str, Decimal]) -> TenderCount:
    flow = sum([ledger.get(name, ZERO) for name in _LEDGER_IN], ZERO)
    flow -= sum([abs(ledger.get(name, ZERO)) for name in _LEDGER_OUT], ZERO)
    counted = ledger.get("Ending", flow)
    if "Over" in ledger or "Short" in ledger:
        return TenderCount(
            type=kind, calculated=counted - ledger.get("Over", ZERO) + abs(ledger.get("Short", ZERO)), counted=counted
        )
    return TenderCount(
        type=kind, calculated=flow if set(ledger) - {"Ending", "Beginning"} else counted, counted=counted
    )
