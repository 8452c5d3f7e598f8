"""Every alert, defined once: what for, how grave, who has to act, and how it is found."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from tillwire.observability import findings
from tillwire.observability.conditions import FINANCE, INTEGRATION, STORES, Alert

_ALL = (
    Alert(
        name="erp_down",
        title="An ERP is left alone",
        meaning="An ERP's circuit breaker has been open for `posting.alert_minutes`: nothing is posted there."
        " Stores sell on,"
        " journals wait.",
        severity="critical",
        owner=INTEGRATION,
        find=partial(findings.erp_trouble, name="erp_down"),
        figure="posting_backlog",
    ),
    Alert(
        name="erp_backlog",
        title="Journals wait for an ERP",
        meaning="The oldest journal has waited for `posting.alert_minutes` to be sent, although the ERP"
        " answers: its budget"
        " of calls is too small, or dispatch stands still.",
        severity="warning",
        owner=INTEGRATION,
        find=partial(findings.erp_trouble, name="erp_backlog"),
        figure="posting_backlog_age",
    ),
    Alert(
        name="erp_unserved",
        title="Journals that no ERP serves",
        meaning="Journals have waited for `posting.alert_minutes`, and no configured ERP serves their companies.",
        severity="critical",
        owner=INTEGRATION,
        find=partial(findings.erp_trouble, name="erp_unserved"),
        figure="posting_backlog",
    ),
    Alert(
        name="erp_accepted",
        title="An ERP does not post what it accepted",
        meaning="An ERP accepted journals `posting.accepted_alert_minutes` ago and has not posted them: its own"
        " jobs stand"
        " still.",
        severity="warning",
        owner=FINANCE,
        find=partial(findings.erp_trouble, name="erp_accepted"),
        figure="posting_backlog",
    ),
    Alert(
        name="posted_twice",
        title="Journals are in the books twice",
        meaning="A look-up or reading back found more than one posted document under one reference. It ends"
        " when the books"
        " were read back (`tillwire reconcile --read-back`) and found right.",
        severity="critical",
        owner=FINANCE,
        find=findings.posted_twice,
        figure="duplicate_postings",
    ),
    Alert(
        name="completeness_near",
        title="A deadline is near",
        meaning="In `alerts.deadline_minutes` store days are to be complete in the books, and are not.",
        severity="warning",
        owner=FINANCE,
        find=findings.days_near,
        figure="posting_completeness",
    ),
    Alert(
        name="completeness_missed",
        title="A deadline was missed",
        meaning="Store days were not complete in the books at their deadline, and still are not.",
        severity="critical",
        owner=FINANCE,
        find=findings.days_missed,
        figure="days_complete_by_deadline",
    ),
    Alert(
        name="exceptions_overdue",
        title="Exceptions are overdue",
        meaning="Something is in the exception queue longer than its service level"
        " (`exceptions.service_levels`) allows.",
        severity="warning",
        owner=STORES,
        find=findings.exceptions_overdue,
        figure="exception_age",
    ),
    Alert(
        name="money_at_risk",
        title="Much money is at risk",
        meaning="More than `alerts.money_at_risk` of a currency lies in the exception queue.",
        severity="critical",
        owner=FINANCE,
        find=findings.money_at_risk,
        figure="money_at_risk",
    ),
    Alert(
        name="proof_broken",
        title="A proof is broken",
        meaning="Closed store days have differences that neither pass by themselves nor lie in the exception queue.",
        severity="warning",
        owner=FINANCE,
        find=findings.proof_broken,
        figure="reconciliation_breaks",
    ),
    Alert(
        name="store_silent",
        title="A store is silent",
        meaning="Nothing comes from a store although, by its habit of the last four weeks, `alerts.silent_transactions`"
        " transactions should have come since, and `alerts.silent_minutes` have passed.",
        severity="warning",
        owner=STORES,
        find=findings.stores_silent,
        figure="stores_silent",
    ),
    Alert(
        name="stock_behind",
        title="Stock is behind",
        meaning="The oldest accepted event has waited for `alerts.stock_lag_s` to be recorded: stock and sales"
        " are old.",
        severity="critical",
        owner=INTEGRATION,
        find=findings.stock_behind,
        figure="oldest_waiting",
    ),
    Alert(
        name="projection_lag",
        title="Subscribers are behind",
        meaning="More than `alerts.projection_lag_events` recorded events have waited for an async projection or the"
        " backbone, for `alerts.projection_lag_minutes`.",
        severity="warning",
        owner=INTEGRATION,
        find=findings.projections_behind,
        wait=lambda settings: timedelta(minutes=settings.alerts.projection_lag_minutes),
        figure="projection_lag",
    ),
    Alert(
        name="budget_burns",
        title="An error budget burns",
        meaning="An objective's error budget is used up much faster than it may be: 14.4 times over an hour, 6"
        " times over six"
        " hours (both critical), or once over three days (a warning).",
        severity="critical",
        owner=INTEGRATION,
        find=findings.budgets_burn,
        figure="service_level_attainment",
    ),
    Alert(
        name="route_fails",
        title="Alerts do not arrive",
        meaning="Messages for one of the routes have not been taken for a quarter of an hour. Other routes are told.",
        severity="warning",
        owner=INTEGRATION,
        find=findings.deliveries_fail,
    ),
)

ALERTS: dict[str, Alert] = {one.name: one for one in _ALL}
"""Every alert by its name."""
