"""Deliveries: every message to its recipient, in order, until it is taken. At least once; under a key that stays."""

from __future__ import annotations

import smtplib
import ssl
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
import structlog

from tillwire.config import AlertRoute, Settings, Smtp
from tillwire.config.service_levels import check_hook
from tillwire.database import sql
from tillwire.errors import ConfigurationError, TillwireError, TransientError
from tillwire.faultpoints import passing
from tillwire.observability import hooks, messages
from tillwire.observability.telling import Message

_sql = sql.load("tillwire.observability", "delivering.sql")
_log = structlog.get_logger(__name__)

FIRST_WAIT = timedelta(seconds=5)
MOST_WAIT = timedelta(minutes=15)
LONGEST_WAIT_S = 3600.0
"""However long somebody asks us to wait."""

JSON = {"Content-Type": "application/json", "User-Agent": "Tillwire"}


class Delivery(msgspec.Struct, frozen=True):
    """One message to one recipient."""

    delivery_id: int
    recipient: str
    key: str
    message: Message
    attempts: int
    made_at: datetime


Send = Callable[[Delivery], None]
"""Sends one; raises ``TillwireError`` if it was not taken."""


class Deliverer:
    """Delivers for one route on one connection (in autocommit): a route that is slow holds up no other."""

    def __init__(
        self, connection: psycopg.Connection, settings: Settings, route: AlertRoute, send: Send | None = None
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._route = route
        self._send = send or sender(settings, route)

    def deliver_once(self, now: datetime) -> int:
        """Try whatever is due for this route: the oldest of each recipient; how many were taken."""
        lease = timedelta(seconds=2 * max(self._route.timeout_s, self._settings.smtp.timeout_s) + 30)
        parameters = {"route": self._route.name, "now": now, "lease": now + lease}
        taken = 0
        for row in self._connection.execute(_sql.claim, parameters).fetchall():
            number, recipient, key, message, attempts, made_at = row
            told = msgspec.convert(message, Message, strict=False)
            delivery = Delivery(number, recipient, key, told, attempts, made_at)
            passing("alerts.before_send")
            try:
                self._send(delivery)
            except TillwireError as error:
                self._failed(delivery, error, now)
            else:
                passing("alerts.after_send")
                self._connection.execute(_sql.sent, {"delivery_id": delivery.delivery_id, "now": now})
                taken += 1
        return taken

    def _failed(self, delivery: Delivery, error: TillwireError, now: datetime) -> None:
        give_up = timedelta(hours=self._settings.alerts.give_up_hours)
        over = now - delivery.made_at >= give_up
        wait = wait_after(delivery.attempts, getattr(error, "retry_after_s", None))
        parameters = {
            "delivery_id": delivery.delivery_id,
            "state": "failed" if over else "waiting",
            "next_at": now + wait,
            "error": str(error),
        }
        self._connection.execute(_sql.failed, parameters)
        tell = _log.error if over else _log.warning
        tell(
            "alert_not_delivered",
            route=self._route.name,
            group=delivery.message.group,
            status=delivery.message.status,
            attempts=delivery.attempts,
            error=str(error),
            given_up=over,
        )


def wait_after(attempts: int, asked_s: float | None) -> timedelta:
    """How long to wait after so many attempts: twice as long each time, or what was asked for."""
    if asked_s is not None:
        return timedelta(seconds=min(max(asked_s, 0.0), LONGEST_WAIT_S))
    return min(MOST_WAIT, FIRST_WAIT * 2 ** min(attempts - 1, 16))


def secret_of(value: str, file: str, place: str) -> str:
    """A secret that is set, or stands in a file. Raises ``ConfigurationError`` if the file cannot be read."""
    if not file:
        return value
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place}_file: {error}") from error


def sender(settings: Settings, route: AlertRoute) -> Send:
    """What sends a route's messages. Secrets are read when they are needed, so that a new one counts at once."""
    if route.kind == "email":
        return lambda delivery: send_mail(settings.smtp, delivery)
    return lambda delivery: send_hook(settings, route, delivery)


def send_hook(settings: Settings, route: AlertRoute, delivery: Delivery) -> None:
    """Post a message to a webhook, signed, or to a Slack-compatible hook. Raises ``TillwireError``."""
    place = f"alert_routes.{route.name}"
    url = secret_of(route.url, route.url_file, f"{place}.url")
    check_hook(place, url)
    headers = {**JSON, "Idempotency-Key": delivery.key}
    if route.kind == "slack":
        body = messages.as_slack(delivery.message)
    else:
        body = messages.as_json(delivery.message, delivery.key)
        secret = secret_of(route.secret, route.secret_file, f"{place}.secret")
        if secret:
            headers["X-Tillwire-Signature"] = hooks.signature(secret, body)
    allowed = settings.alerts.allow_networks
    hooks.post(url, body, headers=headers, timeout_s=route.timeout_s, allowed=allowed)


def send_mail(smtp: Smtp, delivery: Delivery) -> None:
    """Send a message as e-mail. Raises ``TransientError`` if the server does not take it, ``ConfigurationError``."""
    mail = messages.as_email(delivery.message, smtp.sender, delivery.recipient, delivery.key)
    password = secret_of(smtp.password, smtp.password_file, "smtp.password")
    try:
        with _connected(smtp) as server:
            if smtp.username:
                server.login(smtp.username, password)
            server.send_message(mail)
    except smtplib.SMTPException as error:
        raise TransientError(f"{smtp.host}: {_words(error)}") from error
    except OSError as error:
        raise TransientError(f"{smtp.host}: {error}") from error


def _connected(smtp: Smtp) -> smtplib.SMTP:
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=smtp.timeout_s, context=ssl.create_default_context())
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=smtp.timeout_s)
    if smtp.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _words(error: smtplib.SMTPException) -> str:
    match error:
        case smtplib.SMTPRecipientsRefused():
            refusals: Mapping[str, tuple[int, bytes]] = error.recipients
            return "; ".join(f"{code} {text.decode('utf-8', 'replace')}" for code, text in refusals.values())
        case smtplib.SMTPResponseException():
            words = error.smtp_error
            return f"{error.smtp_code} {words.decode('utf-8', 'replace') if isinstance(words, bytes) else words}"
    return str(error) or type(error).__name__


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a message, or will."""

    delivery_id: int
    route: str
    recipient: str
    group: str
    state: str
    attempts: int
    made_at: datetime
    next_at: datetime
    sent_at: datetime | None
    last_error: str | None


def deliveries(connection: psycopg.Connection, *, most: int = 50) -> list[DeliveryView]:
    """Messages, the newest first: for who reaches all stores, as they name any."""
    names = DeliveryView.__struct_fields__
    rows = connection.execute(_sql.listed, {"most": most})
    return [DeliveryView(**dict(zip(names, row, strict=True))) for row in rows]


def send_test(settings: Settings, name: str, hub: str, now: datetime) -> None:
    """Send a message to every recipient of a route. Raises ``TillwireError`` if there is none such, or it was not
    taken.
    """
    route = next((one for one in settings.alert_routes if one.name == name), None)
    if route is None:
        there = ", ".join(one.name for one in settings.alert_routes) or "none"
        raise ConfigurationError(f"there is no route {name!r}; there are {there}")
    message = Message(status="test", group=f"route {name}", at=now, severity="info", firing=[], resolved=[], hub=hub)
    send = sender(settings, route)
    for recipient in route.to if route.kind == "email" else ("",):
        send(Delivery(0, recipient, str(uuid.uuid4()), message, 1, now))
