"""What a code of business exceptions is: meaning, reason, owner, severity, tolerance."""

from __future__ import annotations

from decimal import Decimal

import msgspec

STORE_OPERATIONS = "store operations"
MERCHANDISING = "merchandising"
FINANCE = "finance"
INTEGRATION = "integration"

BLOCKING = "blocking"
"""The event is kept and waits in the exception queue: nothing of it is recorded until it is mended."""
WARNING = "warning"
"""The event is recorded with all its effects, and the fault is shown to its owner."""
OFF = "off"
"""The rule is not judged."""
SEVERITIES = (BLOCKING, WARNING, OFF)

OUTCOME_UNKNOWN = "erp_outcome_unknown"
"""The code of a journal of which nobody knows whether its ERP holds it."""

AT_INTAKE = "intake"
BY_MESSAGE = "message"
BY_HISTORY = "history"
BY_CONNECTOR = "connector"
BY_POSTING = "posting"
BY_RECONCILIATION = "reconciliation"


class Code(msgspec.Struct, frozen=True):
    """One code: its meaning and its reason in a sentence each, and its defaults."""

    code: str
    meaning: str
    reason: str
    owner: str
    severity: str = BLOCKING
    tolerance: Decimal | None = None
    """In minor units of the transaction's currency (pieces for ``item_count_mismatch``); none: there is none."""
    fixed: bool = False
    """True if its severity cannot be changed."""
    judged: str = BY_MESSAGE
    """Where it is raised: from the message and master data, from what was recorded before, or further on."""
