"""The figures that users run on, each defined once: its name, what it is in words, its unit and where it comes from.

Everything else (sampling, history, metrics, dashboards, the reference page) is made from these definitions.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["distribution", "ratio", "count", "state"]
Unit = Literal["seconds", "ratio", "count", "money"]

SECONDS: Unit = "seconds"
RATIO: Unit = "ratio"
COUNT: Unit = "count"
MONEY: Unit = "money"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. Distributions, ratios and counts are of what happened in a time; a state is of a moment."""

    name: str
    title: str
    formula: str
    """What it is, in words."""
    kind: Kind
    unit: Unit
    sources: tuple[str, ...]
    """The tables that it is computed from."""
    query: str = ""
    """The named query of ``figures.sql`` that computes it; empty: its module does, as ``formula`` says."""
    better: Literal["lower", "higher"] = "lower"
    part: str = ""
    """What it is told apart by, beside stores: an ERP, a currency, an owner."""
    per_store: bool = False
    over_minutes: int = 60
    """Its value now is that of so many minutes; of a state, that of the last look."""
    every_minutes: int = 1
    combined: Literal["sum", "most", "ratio"] = "sum"
    """How a state's stores make the hub's."""
    hub_apart: bool = False
    """The query's rows without a store are the hub's; those of stores are not added to them."""
    trade: str = ""
    """What the trade calls it."""


_DAY, _WEEK, _MONTH = 24 * 60, 7 * 24 * 60, 28 * 24 * 60

_ALL = (
    Figure(
        name="posting_latency",
        title="Posting latency",
        formula="From the accept of a journal's newest transaction (of a day that is posted at its close: the close) to"
        " the ERP having posted it, weighted by transactions",
        kind="distribution",
        unit=SECONDS,
        sources=("journal", "event_chunk"),
        query="posted_newest",
        per_store=True,
        trade="posting latency",
    ),
    Figure(
        name="oldest_posting_latency",
        title="Posting latency of the oldest sale",
        formula="From the accept of a journal's oldest transaction to the ERP having posted it: the day's length"
        " included, where days are posted at their close",
        kind="distribution",
        unit=SECONDS,
        sources=("journal", "event_chunk"),
        query="posted_oldest",
        per_store=True,
        over_minutes=_DAY,
        trade="posting latency",
    ),
    Figure(
        name="posting_completeness",
        title="Posting completeness",
        formula="Of the transactions of the last seven business dates that have ended on the store's clock (told by its"
        " day close, or recorded or in exceptions, whichever is more), the share that is posted",
        kind="state",
        unit=RATIO,
        sources=("completeness", "store_day", "exception", "posting_due", "journal", "master_record"),
        better="higher",
        per_store=True,
        every_minutes=5,
        combined="ratio",
        trade="posting completeness",
    ),
    Figure(
        name="days_complete_by_deadline",
        title="Store days complete by their deadline",
        formula="Of the store days whose deadline has passed (the objective's time of day, on the store's clock), the"
        " share that was closed, without open exceptions, and posted whole by then",
        kind="ratio",
        unit=RATIO,
        sources=("day_judged",),
        better="higher",
        part="objective",
        per_store=True,
        over_minutes=_WEEK,
        trade="posting completeness",
    ),
    Figure(
        name="stock_lag",
        title="Stock synchronisation lag",
        formula="From the accept of an event to its movements being in the stock ledger. A batch that is recorded"
        " together counts with its oldest event, a store with its newest batch",
        kind="distribution",
        unit=SECONDS,
        sources=("event_chunk", "store_seen"),
        query="recorded",
        per_store=True,
        hub_apart=True,
        trade="stock synchronisation lag",
    ),
    Figure(
        name="oldest_waiting",
        title="Oldest event that waits",
        formula="How long the oldest accepted event that is not recorded has waited for a worker",
        kind="state",
        unit=SECONDS,
        sources=("intake_queue", "intake_group"),
        query="oldest_waiting",
        combined="most",
        trade="stock synchronisation lag",
    ),
    Figure(
        name="acknowledgement_latency",
        title="Acknowledgement latency",
        formula="From the last byte of a request with events to its answer, when they are on disk; measured by the API"
        " processes",
        kind="distribution",
        unit=SECONDS,
        sources=("figure_history",),
        trade="order acknowledgement latency",
    ),
    Figure(
        name="failed_message_rate",
        title="Failed message rate",
        formula="Of the events that were processed, the share that raised a blocking exception",
        kind="ratio",
        unit=RATIO,
        sources=("exception", "event_chunk"),
        query="failed",
        trade="failed message rate",
    ),
    Figure(
        name="exceptions_open",
        title="Exceptions in the queue",
        formula="Blocking exceptions that are open, waiting, retried or before a second person, by owner",
        kind="state",
        unit=COUNT,
        sources=("exception",),
        query="exceptions_open",
        part="owner",
        per_store=True,
        trade="exception volume",
    ),
    Figure(
        name="exceptions_raised",
        title="Exceptions raised",
        formula="Blocking exceptions raised, by owner",
        kind="count",
        unit=COUNT,
        sources=("exception",),
        query="exceptions_raised",
        part="owner",
        per_store=True,
        over_minutes=_DAY,
        trade="exception volume",
    ),
    Figure(
        name="exception_age",
        title="Age of the oldest exception",
        formula="How long ago the oldest blocking exception of the queue was raised, by owner",
        kind="state",
        unit=SECONDS,
        sources=("exception",),
        query="exception_age",
        part="owner",
        combined="most",
        trade="exception age",
    ),
    Figure(
        name="money_at_risk",
        title="Money at risk",
        formula="The amounts of the queue's blocking exceptions added without their sign, by currency",
        kind="state",
        unit=MONEY,
        sources=("exception",),
        query="money_at_risk",
        part="currency",
        per_store=True,
        trade="money at risk",
    ),
    Figure(
        name="exception_resolution",
        title="Time to resolve exceptions",
        formula="From a blocking exception being raised to its being resolved, dismissed or superseded, by owner",
        kind="distribution",
        unit=SECONDS,
        sources=("exception",),
        query="exceptions_resolved",
        part="owner",
        per_store=True,
        over_minutes=_WEEK,
        trade="mean time to resolve",
    ),
    Figure(
        name="posting_backlog",
        title="Journals that are not posted",
        formula="Journals and documents that are built, sent, accepted, unknown or rejected, by ERP (empty: none serves"
        " them)",
        kind="state",
        unit=COUNT,
        sources=("journal",),
        part="ERP",
    ),
    Figure(
        name="posting_backlog_age",
        title="Oldest journal that waits",
        formula="How long ago the oldest journal was built that waits to be sent, by ERP",
        kind="state",
        unit=SECONDS,
        sources=("journal",),
        part="ERP",
        combined="most",
    ),
    Figure(
        name="reconciliation_breaks",
        title="Reconciliation breaks",
        formula="Store days of the last seven business dates that are closed and whose proof has a difference which"
        " neither passes by itself nor lies in the exception queue",
        kind="state",
        unit=COUNT,
        sources=("completeness", "store_day", "till_close", "journal", "exception", "late_arrival"),
        per_store=True,
        every_minutes=15,
        trade="reconciliation breaks",
    ),
    Figure(
        name="duplicate_postings",
        title="Duplicate posting incidents",
        formula="Journals that were found more than once in an ERP's books, by look-up or by reading them"
        " back; must be none",
        kind="count",
        unit=COUNT,
        sources=("erp_incident",),
        query="duplicate_postings",
        part="ERP",
        over_minutes=_MONTH,
        trade="duplicate posting incidents",
    ),
    Figure(
        name="stores_silent",
        title="Silent stores",
        formula="Stores from which nothing comes although, by their habit of the last four weeks, it should",
        kind="state",
        unit=COUNT,
        sources=("store_seen", "hourly_sales", "store_day", "master_record"),
        per_store=True,
    ),
    Figure(
        name="store_offline_recovery",
        title="Store offline recovery time",
        formula="From a silent store being heard from again to what it sends being of the present: its newest event no"
        " older than ten minutes",
        kind="distribution",
        unit=SECONDS,
        sources=("store_seen", "event_chunk"),
        per_store=True,
        over_minutes=_WEEK,
        trade="store offline recovery time",
    ),
    Figure(
        name="projection_lag",
        title="Projection lag",
        formula="Recorded events that an async projection, or the relay to the backbone, has not taken yet",
        kind="state",
        unit=COUNT,
        sources=("event_partition", "projection_position"),
        query="projection_lag",
        part="projection",
        combined="most",
    ),
    Figure(
        name="manual_interventions",
        title="Manual interventions",
        formula="What people and clients did to exceptions and journals (retry, edit, dismiss, approve, assign, map"
        " anew, reclassify, replay), by what they did, from the audit log",
        kind="count",
        unit=COUNT,
        sources=("audit_entry",),
        query="interventions",
        part="action",
        over_minutes=_DAY,
        trade="manual interventions",
    ),
    Figure(
        name="time_to_detect",
        title="Time to detect",
        formula="From the beginning of what an alert is about to the alert firing, by alert",
        kind="distribution",
        unit=SECONDS,
        sources=("alert",),
        query="detected",
        part="alert",
        over_minutes=_MONTH,
        trade="mean time to detect",
    ),
    Figure(
        name="time_to_resolve",
        title="Time to resolve",
        formula="From an alert firing to its cause being gone, by alert",
        kind="distribution",
        unit=SECONDS,
        sources=("alert",),
        query="alerts_resolved",
        part="alert",
        over_minutes=_MONTH,
        trade="mean time to resolve",
    ),
    Figure(
        name="service_level_attainment",
        title="Service-level attainment",
        formula="Of the objectives that anything was measured for in their window, the share that is met; by objective:"
        " the share of what was measured that was good",
        kind="state",
        unit=RATIO,
        sources=("figure_history",),
        better="higher",
        part="objective",
        trade="service-level attainment",
    ),
)

FIGURES: dict[str, Figure] = {one.name: one for one in _ALL}
"""Every figure by its name."""

OBJECTIVE = "objective"
"""The history's name for what objectives count: ``n`` measured, ``total`` of it good, by objective and store."""

NOT_MEASURED = {
    "stock accuracy by channel": "counts are movements here and shops' levels are states; nothing yet compares them as"
    " of the moment they were counted",
    "order promise reliability": "orders with the date they were promised for; the hub knows their sales only",
    "return cycle time": "when a return was announced and authorised; the hub knows when goods and money came back",
    "replenishment signal freshness": "demand signals to a replenishment system",
    "settlement breaks": "payouts and fees of acquirers",
}
"""What the trade runs on, too, and what data is missing to measure it: no figure is made up for these."""

QUANTILES = (0.5, 0.95)
"""Those that are told of a distribution."""
