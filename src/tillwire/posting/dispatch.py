"""Dispatch: journals to the ERP, exactly once, within its limits, however it fails.

States: built, sent, posted, rejected, unknown. A journal is marked sent, durably, before the call that sends it;
whoever finds it so after a crash looks it up by its reference before anything is sent again. One lane per hub: an
advisory lock makes further dispatchers stand by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

import psycopg
import structlog

from tillwire.config import Posting as PostingSettings
from tillwire.connectors.erp import DuplicatePostingError, ErpConnector, Posted, PostingOutcome, Rejected, Unknown
from tillwire.database import sql
from tillwire.errors import AuthenticationError, ConfigurationError, OutcomeUnknownError, TransientError
from tillwire.faultpoints import passing
from tillwire.model.ledger import ErpDocument, Journal, JournalLine

_sql = sql.load("tillwire.posting", "posting.sql")
_log = structlog.get_logger(__name__)

_NOTHING_HAPPENED = (TransientError, AuthenticationError, ConfigurationError)
"""What a connector raises when the ERP has not done anything."""

_LANE = 0x7111_0002


class Dispatcher:
    """Sends journals over one connector, on one database connection (in autocommit)."""

    def __init__(self, connection: psycopg.Connection, connector: ErpConnector, settings: PostingSettings) -> None:
        self._connection = connection
        self._connector = connector
        self._settings = settings
        self._owns_lane = False
        self._failures = 0

    def own_lane(self) -> bool:
        """Take the lane if it is free. What a dead predecessor left marked sent becomes unknown."""
        if not self._owns_lane:
            row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_LANE,)).fetchone()
            self._owns_lane = bool(row and row[0])
            if self._owns_lane:
                orphans = self._connection.execute(_sql.orphans).rowcount
                if orphans:
                    _log.warning("journals_left_by_a_dead_dispatcher", journals=orphans)
        return self._owns_lane

    def dispatch_once(self) -> int:
        """Settle what is unknown, then send one batch; returns how many journals were dealt with.

        Errors of the ERP are noted with the journals and tried again later; they do not raise.
        """
        if not self.own_lane():
            return 0
        return self._settle() + self._send()

    def _wait_s(self) -> float:
        """Exponential back-off over failures in a row."""
        return min(self._settings.retry_most_s, self._settings.retry_first_s * 2 ** min(self._failures, 16))

    def _send(self) -> int:
        rows = self._connection.execute(_sql.to_send, {"most": self._settings.batch_journals}).fetchall()
        if not rows:
            return 0
        journals = self._journals(rows)
        self._connection.execute(_sql.mark_sent, ([row[0] for row in rows],))
        passing("posting.before_send")
        references = [journal.reference for journal in journals]
        try:
            outcomes: Sequence[PostingOutcome] = self._connector.post(journals)
        except _NOTHING_HAPPENED as error:
            self._resend(references, error)
            return 0
        except OutcomeUnknownError as error:
            outcomes = [Unknown(reference, str(error)) for reference in references]
        passing("posting.after_send")
        self._record(outcomes)
        return len(outcomes)

    def _resend(self, references: list[str], error: Exception) -> None:
        """Nothing has happened at the ERP: the journals are as good as never sent."""
        wait_s = getattr(error, "retry_after_s", None) or self._wait_s()
        self._failures += 1
        _log.warning("erp_not_reached", error=str(error), journals=len(references), wait_s=wait_s)
        parameters = {"references": references, "reason": str(error), "wait_s": wait_s}
        self._connection.execute(_sql.mark_to_resend, parameters)

    def _record(self, outcomes: Sequence[PostingOutcome]) -> None:
        passing("posting.before_record")
        unknown = False
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for outcome in outcomes:
                match outcome:
                    case Posted(reference, document_id, number):
                        parameters = {"reference": reference, "document_id": document_id, "number": number}
                        cursor.execute(_sql.mark_posted, parameters)
                    case Rejected(reference, reason):
                        _log.error("journal_rejected", reference=reference, reason=reason)
                        cursor.execute(_sql.mark_rejected, {"reference": reference, "reason": reason})
                    case Unknown(reference, reason):
                        unknown = True
                        cursor.execute(
                            _sql.mark_unknown,
                            {"reference": reference, "reason": reason, "wait_s": self._wait_s()},
                        )
        self._failures = self._failures + 1 if unknown else 0

    def _settle(self) -> int:
        """Look up what is unknown: post drafts, note what is posted, send again what is surely not there."""
        most = self._settings.batch_journals * 4
        parameters = {"settle_s": self._settings.settle_s, "most": most}
        rows = self._connection.execute(_sql.to_look_up, parameters).fetchall()
        if not rows:
            return 0
        references = [reference for reference, _, _ in rows]
        try:
            found = self._find(references)
            drafts = [document for document in found.values() if not document.posted]
            outcomes = self._connector.finish(drafts) if drafts else []
        except (*_NOTHING_HAPPENED, OutcomeUnknownError, DuplicatePostingError) as error:
            self._failures += 1
            _log.warning("look_up_failed", error=str(error), journals=len(references))
            self._record([Unknown(reference, str(error)) for reference in references])
            return 0
        outcomes += [
            Posted(document.reference, document.document_id, document.number or "")
            for document in found.values()
            if document.posted
        ]
        self._record(outcomes)
        missing = [(reference, settled) for reference, _, settled in rows if reference not in found]
        again = [reference for reference, settled in missing if settled]
        if again:
            _log.warning("journals_not_there", journals=len(again), reaction="sending again")
            reason = "looked up after a lost reply: the ERP does not have it"
            self._connection.execute(_sql.mark_to_resend, {"references": again, "reason": reason, "wait_s": 0})
        reason = "the ERP does not show it yet; it may still be working on it"
        self._record([Unknown(reference, reason) for reference, settled in missing if not settled])
        return len(found)

    def _find(self, references: Sequence[str]) -> dict[str, ErpDocument]:
        """As the connector; journals that are there twice are marked so, loudly, and taken out of the lane."""
        try:
            return self._connector.find(references)
        except DuplicatePostingError as error:
            _log.critical("journal_posted_twice", references=sorted(error.duplicates), error=str(error))
            for reference in error.duplicates:
                self._connection.execute(_sql.mark_duplicate, {"reference": reference, "reason": str(error)})
            return error.found

    def _journals(self, rows: Sequence[tuple]) -> list[Journal]:
        lines: dict[int, list[JournalLine]] = defaultdict(list)
        ids = [row[0] for row in rows]
        rows_of = self._connection.execute(_sql.lines_of, (ids,))
        for journal_id, account, debit, credit, component, code, original_date in rows_of:
            text = f"{component} {code}" + (f", of {original_date}" if original_date else "")
            lines[journal_id].append(JournalLine(account=account, debit=debit, credit=credit, description=text))
        return [
            Journal(
                reference=reference,
                company=company,
                store=store,
                business_date=business_date,
                currency=currency,
                description=f"Store {store}, {business_date}, no. {version}: {transactions} transactions",
                lines=tuple(lines[journal_id]),
            )
            for journal_id, reference, company, store, business_date, version, currency, transactions in rows
        ]


def confirm(connection: psycopg.Connection, connector: ErpConnector, *, again: bool = False) -> list[str]:
    """Read posted journals back from the ERP and compare them, account by account, with ours.

    Notes the time on those that agree; returns a sentence for each difference. ``again`` also reads those that were
    confirmed before. Raises ``TransientError`` or ``OutcomeUnknownError`` if the ERP cannot be read.
    """
    differences: list[str] = []
    after = ""
    while True:
        parameters = {"again": again, "after": after, "most": 200}
        rows = connection.execute(_sql.to_confirm, parameters).fetchall()
        if not rows:
            return differences
        references = [reference for reference, _ in rows]
        after = references[-1]
        ours: dict[str, dict[str, Decimal]] = {reference: {} for reference in references}
        for reference, account, balance in connection.execute(_sql.lines_by_reference, (references,)):
            if balance:
                ours[reference][account] = balance
        try:
            documents = connector.read_back(references)
        except DuplicatePostingError as error:
            differences += [f"{reference}: posted more than once in the ERP" for reference in error.duplicates]
            single = [reference for reference in references if reference not in error.duplicates]
            connection.execute(_sql.unconfirm, (list(error.duplicates),))
            references, documents = single, connector.read_back(single)
        good: list[str] = []
        bad: list[str] = []
        for reference in references:
            difference = _difference(ours[reference], documents.get(reference))
            if difference is None:
                good.append(reference)
            else:
                bad.append(reference)
                differences.append(f"{reference}: {difference}")
        connection.execute(_sql.confirm, (good,))
        connection.execute(_sql.unconfirm, (bad,))


def _difference(ours: dict[str, Decimal], document: ErpDocument | None) -> str | None:
    if document is None:
        return "the ERP does not have it"
    if not document.posted:
        return "the ERP has it as a draft only"
    theirs: dict[str, Decimal] = defaultdict(Decimal)
    for line in document.lines:
        theirs[line.account] += line.debit - line.credit
    for account in sorted(ours.keys() | theirs.keys()):
        mine, its = ours.get(account, Decimal(0)), theirs.get(account, Decimal(0))
        if mine != its:
            return f"account {account} is {its} in the ERP, {mine} here"
    return None
