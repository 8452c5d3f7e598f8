"""The settings of service levels: objectives, alerts and where they go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from tillwire.config.posting import Positive
from tillwire.errors import ConfigurationError

Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,39}$")]
Seconds = Annotated[float, Meta(gt=0)]
Level = Literal["info", "warning", "critical"]

MEASURED = ("posting_latency", "stock_lag", "acknowledgement_latency")
"""Figures whose objectives have a threshold."""
COMPLETENESS = "days_complete_by_deadline"
RESOLUTION = "exception_resolution"


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a figure is to be, how often, over how long. What falls short uses up the error budget, one minus the
    target. Objectives of your own take the place of all defaults.
    """

    name: Name
    figure: Literal[
        "posting_latency",
        "stock_lag",
        "acknowledgement_latency",
        "days_complete_by_deadline",
        "exception_resolution",
    ]
    """What is measured: docs/reference/service-levels.md. Exceptions are held against
    ``[exceptions.service_levels]``."""
    target: Annotated[float, Meta(gt=0, lt=1)]
    """The share that is to be good: 0.99."""
    threshold_s: Seconds | None = None
    """Good is what takes no longer; of latencies and lags."""
    deadline: str = ""
    """Of completeness: the time of day, on the store's clock, on the day after the business date: 08:00."""
    window_days: Annotated[int, Meta(ge=1, le=366)] = 28
    stores: tuple[str, ...] = ("*",)
    """Of which stores, with ``*``; where a figure has no stores (acknowledgement_latency), it counts for all."""
    companies: tuple[str, ...] = ("*",)


DEFAULT_OBJECTIVES = (
    Objective(name="posting", figure="posting_latency", target=0.99, threshold_s=900),
    Objective(name="completeness", figure="days_complete_by_deadline", target=0.99, deadline="08:00"),
    Objective(name="stock", figure="stock_lag", target=0.999, threshold_s=5),
    Objective(name="exceptions", figure="exception_resolution", target=0.95),
    Objective(name="acknowledgement", figure="acknowledgement_latency", target=0.999, threshold_s=1),
)


class ServiceLevels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How figures are kept."""

    keep_minutes_days: Positive = 3
    """Values by the minute are kept so long; the hour's sums and distributions take over."""
    keep_hours_days: Positive = 100
    """Values by the hour; of single stores this is the finest."""
    keep_days_days: Positive = 1100
    """Values by the day (UTC)."""


class Alerts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When people are told. ERPs: `posting.alert_minutes` and `posting.accepted_alert_minutes`."""

    deadline_minutes: Positive = 60
    """So long before the deadline of completeness those who miss it are named."""
    stock_lag_s: Seconds = 60.0
    """The oldest accepted event that is not recorded may wait so long."""
    money_at_risk: Decimal = Decimal(10_000)
    """The most that may lie in open exceptions, in major units of each currency."""
    projection_lag_events: Positive = 20_000
    """So many recorded events may wait for an async projection or the backbone."""
    projection_lag_minutes: Positive = 5
    """For so long."""
    silent_transactions: Annotated[float, Meta(ge=3)] = 12.0
    """A store is silent when, by its habit of the last four weeks, so many transactions should have come, and none
    did."""
    silent_minutes: Positive = 20
    """And nothing has come for so long."""
    settle_s: Annotated[float, Meta(ge=0)] = 60.0
    """An alert is over when its cause is gone for so long."""
    group_wait_s: Annotated[float, Meta(ge=0)] = 30.0
    """Alerts of one group that fire within so long are told together."""
    group_interval_s: Annotated[float, Meta(ge=0)] = 300.0
    """What changes in a group is told at most so often."""
    repeat_hours: Positive = 4
    """What still fires is told again."""
    allow_networks: tuple[str, ...] = ()
    """Networks that hooks may lead to although they are refused: link-local ones, which clouds keep secrets on."""
    give_up_hours: Positive = 24
    """A message that nobody takes for so long is given up, and said so in the log."""


class Smtp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that e-mail goes to."""

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """``none`` is for a server on this machine."""
    username: str = ""
    password: str = ""
    """A secret: it belongs into the environment."""
    password_file: str = ""
    """A file that holds it instead."""
    sender: str = "tillwire@localhost"
    timeout_s: Seconds = 20.0


class AlertRoute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where some alerts go. An alert goes to every route that takes it."""

    name: Name
    kind: Literal["webhook", "slack", "email"]
    url: str = ""
    """Of webhook and slack. That of a Slack-compatible hook is a secret: ``TILLWIRE_ALERT_ROUTE_NAME_URL``, in
    capitals, with ``_`` for ``-``."""
    url_file: str = ""
    """A file that holds it instead."""
    secret: str = ""
    """Of webhook: signs the body (HMAC-SHA256, in ``X-Tillwire-Signature``). ``TILLWIRE_ALERT_ROUTE_NAME_SECRET``."""
    secret_file: str = ""
    """A file that holds it instead."""
    to: tuple[str, ...] = ()
    """Of email: addresses."""
    severities: tuple[Level, ...] = ("warning", "critical")
    owners: tuple[str, ...] = ("*",)
    """Who has to act: finance, store operations, integration, merchandising; patterns."""
    alerts: tuple[str, ...] = ("*",)
    """Names of alerts, as docs/reference/service-levels.md lists them; patterns."""
    timeout_s: Seconds = 10.0


_DEADLINE = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")


def check_objectives(objectives: Sequence[Objective]) -> None:
    """Raises ``ConfigurationError`` that names the objective, if one cannot be measured as it says."""
    names = [one.name for one in objectives]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"objectives: {', '.join(twice)} is there more than once: names are unique")
    for one in objectives:
        measured = one.figure in MEASURED
        if measured and one.threshold_s is None:
            raise ConfigurationError(f"objectives.{one.name}: {one.figure} needs threshold_s")
        if not measured and one.threshold_s is not None:
            raise ConfigurationError(f"objectives.{one.name}.threshold_s: {one.figure} has none")
        if one.figure == COMPLETENESS and not _DEADLINE.match(one.deadline):
            raise ConfigurationError(f"objectives.{one.name}.deadline: {one.deadline!r} is no time such as 08:00")
        if one.figure != COMPLETENESS and one.deadline:
            raise ConfigurationError(f"objectives.{one.name}.deadline: {one.figure} has none")


def check_alerts(alerts: Alerts, smtp: Smtp, routes: Sequence[AlertRoute]) -> None:
    """Raises ``ConfigurationError`` that names the setting, if alerts could not be told as it says."""
    limit = alerts.money_at_risk
    if not limit.is_finite() or limit < 0:
        raise ConfigurationError(f"alerts.money_at_risk must be a finite number from zero on, not {limit}")
    for text in alerts.allow_networks:
        try:
            ip_network(text)
        except ValueError as error:
            raise ConfigurationError(f"alerts.allow_networks: {text!r} is no network such as 169.254.7.0/24") from error
    names = [one.name for one in routes]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"alert_routes: {', '.join(twice)} is there more than once: names are unique")
    for one in routes:
        _check_route(one, smtp)
    if smtp.password and smtp.password_file:
        raise ConfigurationError("smtp.password and smtp.password_file are both set: which of them counts?")


def _check_route(one: AlertRoute, smtp: Smtp) -> None:
    place = f"alert_routes.{one.name}"
    if one.kind == "email":
        if not one.to:
            raise ConfigurationError(f"{place}.to: name an address at least")
        for address in one.to:
            if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", address):
                raise ConfigurationError(f"{place}.to: {address!r} is no address")
        if not smtp.host:
            raise ConfigurationError(f"{place}: e-mail needs smtp.host")
        return
    if bool(one.url) == bool(one.url_file):
        raise ConfigurationError(f"{place}: give url or url_file")
    if one.url:
        check_hook(place, one.url)
    if one.secret and one.secret_file:
        raise ConfigurationError(f"{place}: secret and secret_file are both set: which of them counts?")


def check_hook(place: str, url: str) -> None:
    """Raises ``ConfigurationError`` for an address that no hook can have. It may be a secret: it is not told."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{place}.url: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigurationError(f"{place}.url is no address such as https://hooks.example.com/tillwire")
    if parts.username or parts.password:
        raise ConfigurationError(f"{place}.url: a name and a password in it would show up in logs")
