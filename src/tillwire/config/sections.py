"""The settings' sections, but for posting: typed structs, all with defaults."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tillwire.config.access import Access
from tillwire.config.posting import Erp, ErpInstance, Positive, Posting
from tillwire.config.service_levels import (
    DEFAULT_OBJECTIVES,
    AlertRoute,
    Alerts,
    Objective,
    ServiceLevels,
    Smtp,
)

Port = Annotated[int, Meta(ge=0, le=65535)]


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API."""

    host: str = "127.0.0.1"
    port: Port = 8400
    api_keys: Literal["required", "off"] = "required"
    """``off`` is for trying things out, and allowed only while ``host`` is a loopback address."""
    most_body_bytes: Positive = 10 * 1024 * 1024
    most_batch_events: Positive = 1_000
    most_depth: Annotated[int, Meta(ge=16, le=256)] = 64
    """How deep an event may be nested: arrays and objects within one another, of extensions, too."""
    backlog_limit: Positive = 200_000
    """Events that may wait for a worker before new ones are answered 503."""
    public_url: str = ""
    """Where others reach this hub, such as https://hub.example.com; empty: by ``host`` and ``port``."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies whose X-Forwarded-For says who calls: 10.1.0.0/16, 127.0.0.1. Of nobody else it counts."""
    metrics: Literal["local", "granted", "open"] = "local"
    """Who may read /metrics: ``local``: programs on this machine that call it directly, and clients that may read
    service levels; ``granted``: the latter only; ``open``: whoever reaches it. It tells how much business there is."""


class Clients(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Access tokens of API clients (OAuth 2.0 client credentials). Without a signing key none are given."""

    token_key: str = ""
    """Signs tokens: 32 random characters or more, the same for every API process. A secret: it belongs into the
    environment. ``tillwire up`` makes one of its own and keeps it in the data folder."""
    token_key_file: str = ""
    """A file that holds it instead."""
    token_minutes: Annotated[int, Meta(ge=1, le=1440)] = 15
    """How long a token is good, unless its client is revoked before."""


class Work(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The workers that record events."""

    processes: Positive = 2
    """How many ``tillwire up`` starts."""
    most_events: Positive = 1_000
    """Events in one transaction."""
    idle_ms: Positive = 20
    """How long a worker that found nothing waits before it looks again."""


Severity = Literal["blocking", "warning", "off"]


class CodeRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One code as it is to be in force; what is left out stays as the catalogue has it (`tillwire rules`)."""

    severity: Severity | None = None
    """``blocking``: the event waits in the exception queue; ``warning``: it is recorded and shown; ``off``: nothing."""
    owner: str | None = None
    """Who works its exceptions."""
    tolerance: Decimal | None = None
    """What the rule lets through, in minor units of the transaction's currency (pieces for item_count_mismatch)."""


class SourceRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Severities for events of some sources. The first entry that matches a source and names a code counts."""

    pattern: str
    """Of the event's ``source``, with ``*`` and ``?``: urn:pos:franchise-*."""
    severity: dict[str, Severity]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The validation rules; ``*_units`` are in minor units of the transaction's currency."""

    extension_tolerance_units: Decimal = Decimal(1)
    """Of computed lines: line_extension_mismatch and line_tax_mismatch."""
    total_tolerance_units: Decimal = Decimal(0)
    """Of sums: total, net, tax and discount of the header, and the discount of a line."""
    over_payment_units: Decimal = Decimal(0)
    """Tenders may exceed the total by so much: an over_under_payment; beyond, a tender_mismatch."""
    under_payment_units: Decimal = Decimal(0)
    """Tenders may fall short of the total by so much."""
    future_days: Positive = 1
    """How far ahead of the hub's date a business date may be."""
    past_days: Positive = 3660
    """How old a business date may be."""
    codes: dict[str, CodeRule] = {}
    """Severity, owner and tolerance by code."""
    sources: tuple[SourceRules, ...] = ()
    """Severities by source."""


class ServiceLevel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Within how many hours exceptions of a code and owner are to be mended. The first that fits counts."""

    hours: Positive
    code: str = "*"
    owner: str = "*"


class Exceptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exception queue."""

    second_person_above: Decimal = Decimal(1000)
    """An edit that moves more money than this, in major units of its currency, and a dismissal of more, wait until a
    second person approves."""
    service_levels: tuple[ServiceLevel, ...] = (
        ServiceLevel(code="processing_failed", hours=4),
        ServiceLevel(code="schema_drift", hours=8),
        ServiceLevel(code="*", hours=24),
    )


class LateStores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What other stores do. The first whose pattern matches a store counts."""

    stores: str
    """Store numbers, with ``*`` for any text: ``7*``."""
    policy: Literal["reopen", "adjust"] | None = None
    most_days: Annotated[int, Meta(ge=0)] | None = None


class LateArrivals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of a transaction that comes after its store's day was closed."""

    policy: Literal["reopen", "adjust"] = "reopen"
    """``reopen``: it is posted to its own day, in a further journal; ``adjust``: to the store's open day, in lines that
    name its own. It counts in its own day either way."""
    most_days: Annotated[int, Meta(ge=0)] = 60
    """How old its business date may be before it is an exception `late_arrival`, for a person."""
    stores: tuple[LateStores, ...] = ()


class Relay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Publication on the backbone."""

    stream: str = "RETAIL"
    subject_prefix: str = "retail"
    master_stream: str = "MASTER"
    """The stream that keeps the last value of every master record."""
    master_subject_prefix: str = "master"
    replicas: Positive = 1
    idle_ms: Positive = 50


class Drop(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How files are taken from a connection's inbox."""

    pattern: str = "*"
    """Names of files that are taken, with * and ?."""
    marker: str = ""
    """A file is complete when a file of its name with this suffix (.done, say), in place of its own or after it, is
    beside it. Empty: see ``quiet_s``."""
    quiet_s: Annotated[float, Meta(ge=0)] = 5.0
    """A file is complete when its size and time did not change for so long; 0: at once, for files that are renamed into
    the inbox when they are complete."""
    ignore: tuple[str, ...] = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp")
    """Suffixes of files that are still being written."""
    batch_records: Positive = 500
    """Records in one transaction."""


class Connection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A system that data comes from in its own words, by one of the connectors. As many as there are systems."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,39}$")]
    """Yours to choose; part of its address `/v1/connections/NAME` and of its events' source `urn:connection:NAME`."""
    connector: str
    """One of those that ``tillwire connections`` lists."""
    settings: dict[str, Any] = {}
    """The connector's own; its reference says which there are. Secrets belong into the environment:
    ``TILLWIRE_CONNECTION_NAME_SETTING``, in capitals, with ``_`` for ``-``; of connections such as web and web-shop the
    longest name that fits is meant. Tables and lists are given there as JSON: ``{"42": "101"}``, ``["a", "b"]``."""
    inbox: str = ""
    """A folder that is watched for files; empty: none."""
    drop: Drop = Drop()
    """How files are taken from the inbox; see below."""
    enabled: bool = True


class Console(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operators' pages."""

    locale: str = "en_US"
    """How numbers, money and dates are written: de_CH, fr_CA."""
    locales: dict[str, str] = {}
    """The same for single companies' amounts, by company."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    database_url: str = ""
    """A PostgreSQL of yours; empty: ``tillwire up`` starts one."""
    nats_url: str = ""
    """A NATS server of yours, with JetStream; empty: ``tillwire up`` starts one."""
    http: Http = Http()
    console: Console = Console()
    access: Access = Access()
    clients: Clients = Clients()
    work: Work = Work()
    rules: Rules = Rules()
    exceptions: Exceptions = Exceptions()
    late_arrivals: LateArrivals = LateArrivals()
    relay: Relay = Relay()
    posting: Posting = Posting()
    service_levels: ServiceLevels = ServiceLevels()
    objectives: tuple[Objective, ...] = DEFAULT_OBJECTIVES
    alerts: Alerts = Alerts()
    smtp: Smtp = Smtp()
    alert_routes: tuple[AlertRoute, ...] = ()
    erp: Erp = Erp()
    erps: tuple[ErpInstance, ...] = ()
    connections: tuple[Connection, ...] = ()
