"""The codes of business exceptions: what each means, why it is there, who owns it, and how it weighs by default.

Severity, owner and tolerance are defaults: configuration overrides them (``[rules]``), except for codes that are
*fixed*, where recording the event all the same would record something false. Source of the rules: ARTS/OMG POSLog
semantics, double-entry bookkeeping and common sales-audit practice.
"""

from __future__ import annotations

from tillwire.exceptions.code import (
    AT_INTAKE,
    BLOCKING,
    BY_CONNECTOR,
    BY_HISTORY,
    BY_MESSAGE,
    BY_POSTING,
    BY_RECONCILIATION,
    FINANCE,
    INTEGRATION,
    MERCHANDISING,
    OFF,
    SEVERITIES,
    STORE_OPERATIONS,
    WARNING,
    Code,
)
from tillwire.exceptions.codes_of_messages import MESSAGE_CODES

__all__ = [
    "AT_INTAKE",
    "BLOCKING",
    "BY_CONNECTOR",
    "BY_HISTORY",
    "BY_MESSAGE",
    "BY_POSTING",
    "BY_RECONCILIATION",
    "CODES",
    "FINANCE",
    "INTEGRATION",
    "MERCHANDISING",
    "OFF",
    "SEVERITIES",
    "STORE_OPERATIONS",
    "WARNING",
    "Code",
    "owner_of",
]

_HISTORY = (
    Code(
        "duplicate_conflict",
        "the same key came again with other content",
        "a transaction is recorded once; which of two contents is right is for a person to say",
        INTEGRATION,
        fixed=True,
        judged=AT_INTAKE,
    ),
    Code(
        "duplicate_channel",
        "two systems report one sale",
        "an order that both the shop and the till report would count twice in revenue and stock",
        FINANCE,
        judged=BY_HISTORY,
    ),
    Code(
        "original_unknown",
        "the transaction that is returned or voided was never recorded",
        "a refund of a sale that nobody knows is the commonest fraud, or a sale that has not arrived",
        STORE_OPERATIONS,
        judged=BY_HISTORY,
    ),
    Code(
        "return_exceeds_original",
        "more is returned than was sold",
        "goods cannot come back twice; the second refund is money given away",
        STORE_OPERATIONS,
        judged=BY_HISTORY,
    ),
    Code(
        "refund_exceeds_price",
        "more is refunded for an item than was paid for it",
        "a refund at another price than the one on the receipt is money given away, or a discount that was forgotten",
        STORE_OPERATIONS,
        WARNING,
        judged=BY_HISTORY,
    ),
    Code(
        "already_voided",
        "the transaction that is voided, or corrected, is voided already",
        "a second void takes back money and goods that are back; a correction would bring the sale to life again",
        STORE_OPERATIONS,
        judged=BY_HISTORY,
    ),
    Code(
        "void_mismatch",
        "a post-void is not the opposite of what it voids",
        "what is left of the two is revenue, or stock, that nobody sold",
        STORE_OPERATIONS,
        judged=BY_HISTORY,
    ),
    Code(
        "sequence_gap",
        "a register's numbers have a hole",
        "a number that never arrived is a sale that never arrived",
        STORE_OPERATIONS,
        WARNING,
        judged=BY_HISTORY,
    ),
    Code(
        "schema_drift",
        "the source changed its format: what came cannot be read as its contract says",
        "fields that appear or vanish unannounced are lost silently unless somebody is told",
        INTEGRATION,
        fixed=True,
        judged=BY_CONNECTOR,
    ),
    Code(
        "connection_lost",
        "a connected system cut its connection: nothing comes until it is made again",
        "a shop that is silent looks like a shop that sells nothing",
        INTEGRATION,
        fixed=True,
        judged=BY_CONNECTOR,
    ),
    Code(
        "price_overlap",
        "two prices with an end, for the same, share some of their time",
        "which of two prices a till asks for must never depend on which was sent last",
        MERCHANDISING,
        fixed=True,
        judged=AT_INTAKE,
    ),
    Code(
        "revision_conflict",
        "a master record's revision is there already, with other content",
        "two systems that number a record alike would take turns in silence; which of them is right is for a person",
        MERCHANDISING,
        fixed=True,
        judged=AT_INTAKE,
    ),
    Code(
        "gtin_taken",
        "a GTIN of the product is another active product's",
        "a scanned code that means two products sells one and moves the stock of the other",
        MERCHANDISING,
        fixed=True,
        judged=AT_INTAKE,
    ),
    Code(
        "held",
        "an earlier version, or the transaction that it refers to, is in the queue",
        "a correction or a return that is recorded before what it follows would be booked out of order",
        INTEGRATION,
        fixed=True,
        judged=AT_INTAKE,
    ),
    Code(
        "processing_failed",
        "the event could not be processed, alone, by the hub's own fault",
        "one event must not stop its neighbours, and must not be lost",
        INTEGRATION,
        fixed=True,
        judged=AT_INTAKE,
    ),
)


def _later(code: str, meaning: str, reason: str, owner: str, judged: str, severity: str) -> Code:
    return Code(code, meaning, reason, owner, severity, judged=judged)


_LATER = tuple(
    _later(*row)
    for row in (
        (
            "erp_rejected",
            "the ERP refused a journal",
            "what the ERP refuses is in no books until its cause is mended",
            FINANCE,
            BY_POSTING,
            BLOCKING,
        ),
        (
            "erp_outcome_unknown",
            "the ERP's reply was lost, and it does not show the journal",
            "sent again too early it is posted twice, never sent again it is missing",
            INTEGRATION,
            BY_POSTING,
            BLOCKING,
        ),
        (
            "erp_auth_failed",
            "the ERP does not accept the hub's credentials",
            "nothing is posted until somebody renews them",
            INTEGRATION,
            BY_POSTING,
            BLOCKING,
        ),
        (
            "count_break",
            "the source counts other transactions than are recorded",
            "a store day is proven by count before it is by amount",
            STORE_OPERATIONS,
            BY_RECONCILIATION,
            WARNING,
        ),
        (
            "amount_break",
            "the source's amount differs from what is recorded or posted",
            "the difference is revenue that is missing, or there twice",
            FINANCE,
            BY_RECONCILIATION,
            WARNING,
        ),
        (
            "missing_acknowledgement",
            "a journal was sent and the ERP has not confirmed it",
            "sent is not posted: only the ERP's own document says so",
            INTEGRATION,
            BY_RECONCILIATION,
            WARNING,
        ),
        (
            "settlement_break",
            "a payout differs from the tenders it settles",
            "fees, chargebacks and lost settlements are money that the acquirer keeps",
            FINANCE,
            BY_RECONCILIATION,
            WARNING,
        ),
        (
            "stock_drift",
            "a system's stock level differs from the stock ledger as of its time",
            "what is sold online is promised from this number",
            STORE_OPERATIONS,
            BY_RECONCILIATION,
            WARNING,
        ),
    )
)

CODES: dict[str, Code] = {one.code: one for one in (*MESSAGE_CODES, *_HISTORY, *_LATER)}


def owner_of(code: str) -> str:
    """Who works exceptions of this code by default."""
    return CODES[code].owner
