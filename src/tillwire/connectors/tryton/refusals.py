"""What Tryton's words of refusal mean. They are told apart as they read in English, the language of the hub's user; in
another language a refusal is ``other``, and nothing else changes.
"""

from __future__ import annotations

import re

from tillwire.connectors.erp import RejectionKind

_PERIOD = re.compile(
    r"closed (journal-)?period|period .*(is|are) (closed|locked)|journal-?period|no (accounting )?period"
    r"|find a period|fiscal ?year|must reopen period",
    re.IGNORECASE,
)
_BALANCE = re.compile(r"balance all its lines|does not balance|unbalanced", re.IGNORECASE)
_ACCOUNT = re.compile(r"for field \"account\"|no account |several accounts |account .* is closed", re.IGNORECASE)
_TAKEN = re.compile(r"hub_reference_unique")


def kind_of(words: str) -> RejectionKind:
    """What sort of refusal it is."""
    if _PERIOD.search(words):
        return "closed_period"
    if _BALANCE.search(words):
        return "unbalanced"
    if _ACCOUNT.search(words):
        return "unknown_account"
    return "other"


def is_taken(words: str) -> bool:
    """True if the server-side module refused a second document under one reference."""
    return _TAKEN.search(words) is not None
