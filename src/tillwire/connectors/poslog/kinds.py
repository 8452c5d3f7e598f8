"""What kind of transaction a RetailTransaction is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from xml.etree.ElementTree import Element

from tillwire.connectors.poslog.drafts import Draft
from tillwire.connectors.poslog.tree import attribute, flag, text_of
from tillwire.model.transaction import Kind, LineKind

_CANCELLED = frozenset({"canceled", "cancelled", "failed", "aborted", "suspendeddeleted", "abandoned", "incomplete"})
_VOIDED = frozenset({"voided", "void", "transactionvoided", "voidedtransaction"})
_POST_VOIDED = frozenset({"postvoid", "postvoided", "posttransactionvoid", "postvoidtransaction"})
_RESUMED = frozenset({"suspendedretrieved", "retrieved"})
_NO_SALES = frozenset({"nosale", "opendrawer"})


def said_type(transaction: Element) -> str:
    """The transaction type that vendors write beside the standard's elements, in lower case without blanks."""
    said = text_of(transaction.find("TransactionType")) or attribute(transaction, "TypeCode")
    return said.rpartition(":")[2].replace(" ", "").replace("_", "").lower()


def status(transaction: Element, body: Element) -> str:
    """The status of a transaction, in lower case."""
    said = attribute(body, "TransactionStatus") or attribute(transaction, "TransactionStatus")
    said = said or attribute(transaction, "Status") or text_of(body.find("TransactionStatus"))
    return said.rpartition(":")[2].replace(" ", "").lower()


def before_lines(transaction: Element, body: Element, *, linked: bool, paid: bool) -> Kind | None:
    """The kind that flags and status say; none if its lines say it."""
    now, said = status(transaction, body), said_type(transaction)
    body_type = attribute(body, "TypeCode").lower()
    if flag(transaction, "TrainingModeFlag") or now == "training" or said == "training":
        return Kind.TRAINING
    if flag(transaction, "CancelFlag") or flag(body, "CancelFlag") or now in _CANCELLED or said in _CANCELLED:
        return Kind.CANCELLED
    if now == "suspended" or said in ("suspend", "suspended"):
        return Kind.SUSPENDED
    if now in _RESUMED:
        return Kind.RESUMED
    if now in _POST_VOIDED or said in _POST_VOIDED or body_type in _POST_VOIDED:
        return Kind.POST_VOID
    if flag(body, "PostVoidFlag") or flag(transaction, "PostVoidFlag"):
        return Kind.POST_VOID
    voided = now in _VOIDED or said in _VOIDED or body_type in _VOIDED
    if voided or flag(transaction, "VoidFlag") or flag(body, "VoidFlag"):
        # Voided while it went on, and nothing was paid; else it takes a finished one back.
        return Kind.POST_VOID if linked or paid else Kind.CANCELLED
    if said in _NO_SALES:
        return Kind.NO_SALE
    return None


def of_lines(body: Element, drafts: Sequence[Draft], voided: Sequence[bool], total: Decimal) -> Kind:
    """The kind that the lines in force say."""
    in_force = [draft for draft, void in zip(drafts, voided, strict=True) if not void]
    said = text_of(body.find("LayawayFlag")).lower() == "true"
    if said or (in_force and all(draft.item.tag == "Layaway" for draft in in_force)):
        return Kind.LAYAWAY
    goods = [draft for draft in in_force if draft.kind in (LineKind.ITEM, LineKind.SERVICE)] or in_force
    out = any(draft.extended > 0 or (not draft.extended and draft.quantity > 0) for draft in goods)
    back = any(draft.extended < 0 or (not draft.extended and draft.quantity < 0) for draft in goods)
    if out and back:
        return Kind.EXCHANGE
    if back:
        return Kind.RETURN if total <= 0 else Kind.EXCHANGE
    return Kind.SALE if total >= 0 or not drafts else Kind.EXCHANGE
