"""A message as each kind of route is told it: JSON for webhooks, text for Slack-compatible hooks and e-mail."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

import msgspec

from tillwire.observability.alerts import AlertView
from tillwire.observability.telling import Message

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_MOST_ALERTS = 20
"""So many of a group are written out in words; the rest is counted."""

_SIGNS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}


def as_json(message: Message, delivery_key: str) -> bytes:
    """The body of a webhook: the message, and the key under which it may come more than once."""
    content: dict[str, Any] = msgspec.to_builtins(message)
    return msgspec.json.encode({"id": delivery_key, **content})


def as_slack(message: Message) -> bytes:
    """The body of a Slack-compatible hook: what comes from outside is text in it, and no mention or link."""
    lines = [f"{_SIGNS.get(message.severity, '')} *{_escaped(subject(message))}*"]
    for state, one in _shown(message):
        lines.append(f"• {state}: {_escaped(_line(one))}")
    lines += [_escaped(line) for line in _rest(message)]
    return msgspec.json.encode({"text": "\n".join(lines)})


def as_email(message: Message, sender: str, recipient: str, delivery_key: str) -> EmailMessage:
    """An e-mail whose Message-ID stays the same if it is sent again."""
    mail = EmailMessage()
    mail["From"], mail["To"] = sender, recipient
    mail["Subject"] = subject(message)
    mail["Date"] = message.at
    mail["Message-ID"] = f"<{delivery_key}@{_domain(sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    lines = []
    for state, one in _shown(message):
        lines += [f"{state}: {_line(one)}", *_more(one), ""]
    mail.set_content("\n".join([*lines, *_rest(message), message.hub]))
    return mail


def subject(message: Message) -> str:
    """One line that says what, how grave, and of what."""
    alerts = message.firing or message.resolved
    first = _clean(alerts[0].title) if alerts else "messages arrive"
    more = f" and {len(alerts) - 1} more" if len(alerts) > 1 else ""
    return f"[{message.status}] {first}{more} ({_clean(message.group)})"


def _shown(message: Message) -> list[tuple[str, AlertView]]:
    everything = [("firing", one) for one in message.firing] + [("resolved", one) for one in message.resolved]
    return everything[:_MOST_ALERTS]


def _rest(message: Message) -> list[str]:
    left = len(message.firing) + len(message.resolved) - _MOST_ALERTS
    return [f"and {left} more"] if left > 0 else []


def _line(one: AlertView) -> str:
    parts = [f"{one.title}: {_clean(one.detail)}"]
    if one.money:
        parts.append("at stake: " + _money(one.money))
    if one.deadline is not None:
        parts.append(f"deadline {_time(one.deadline)}")
    return "; ".join(parts)


def _more(one: AlertView) -> list[str]:
    lines = [f"  severity {one.severity}, {one.owner}, since {_time(one.began_at)}"]
    if one.stores:
        rest = one.store_count - len(one.stores)
        named = ", ".join(map(_clean, one.stores))
        lines.append(f"  stores: {named}" + (f" and {rest} more" if rest > 0 else ""))
    return [*lines, f"  what to do: {one.runbook}"]


def _money(money: dict[str, Decimal]) -> str:
    return ", ".join(f"{amount:,} {currency}" for currency, amount in sorted(money.items()))


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _domain(address: str) -> str:
    return _CONTROL.sub("", address.rpartition("@")[2].strip("> ")) or "tillwire"
