"""The sales auditor's rules: what a message must satisfy before it is recorded.

A rule is a small pure function that is registered with a code (``registry.py``); the code's meaning, reason, severity,
tolerance and owner are in the catalogue (``exceptions/codes.py``), and configuration overrides them (``policy.py``).
"""

from tillwire.events.recorded import Enrichment
from tillwire.intake.rules.auditor import NOTES, UNIT_CONVERTED, ZERO_AMOUNT, ZERO_QUANTITY, Auditor
from tillwire.intake.rules.policy import Policy
from tillwire.intake.rules.registry import RULES, Fault, Rule, Scope, StoreMessage

__all__ = [
    "NOTES",
    "RULES",
    "UNIT_CONVERTED",
    "ZERO_AMOUNT",
    "ZERO_QUANTITY",
    "Auditor",
    "Enrichment",
    "Fault",
    "Policy",
    "Rule",
    "Scope",
    "StoreMessage",
]
