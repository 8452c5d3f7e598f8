"""Settings: ``tillwire.toml`` and the environment, as typed structs. All have defaults; unknown names are errors.

The environment overrides the file: ``TILLWIRE_DATABASE_URL``, ``TILLWIRE_NATS_URL``, ``TILLWIRE_HTTP_PORT`` and so on
(section and name in capitals). Secrets belong there, not in the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tillwire.errors import ConfigurationError

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1)]


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


class AccountRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which account a component of the subledger goes to. The first rule that matches counts; ``*`` matches all."""

    component: str
    account: str
    code: str = "*"


DEFAULT_ACCOUNTS = tuple(
    AccountRule(component=component, code=code, account=account)
    for component, code, account in (
        ("revenue", "*", "4000"),
        ("discount", "*", "4900"),
        ("tax", "*", "2200"),
        ("tender", "cash", "1010"),
        ("tender", "gift_card", "2300"),
        ("tender", "*", "1020"),
        ("liability", "gift_card", "2300"),
        ("liability", "*", "2310"),
        ("cash_movement", "*", "1015"),
        ("rounding", "*", "6900"),
        ("over_short", "*", "6910"),
    )
)


class Posting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Journals and their dispatch."""

    mode: Literal["summary", "transaction"] = "summary"
    """One journal per store and business date, or one per transaction."""
    accounts: tuple[AccountRule, ...] = DEFAULT_ACCOUNTS
    suspense_account: str = "1999"
    """Where a component goes that no rule maps: it never blocks the close, and stays visible."""
    settle_s: float = 120.0
    """After a lost reply, how long a journal that the ERP does not show is left alone before it is sent again: the
    longest time the ERP may still be working on a request whose sender has gone."""
    batch_journals: Positive = 50
    """Journals sent to the ERP in one call."""
    idle_ms: Positive = 200
    limit_per_min: Positive = 600
    """Calls to the ERP per minute."""
    retry_first_s: float = 0.5
    retry_most_s: float = 60.0


class Erp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ERP the journals go to. ``settings`` are the connector's own; its reference says which there are."""

    kind: Literal["none", "tryton"] = "none"
    settings: dict[str, Any] = {}


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


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that can be set."""

    database_url: str = ""
    """A PostgreSQL of yours; empty: ``tillwire up`` starts one."""
    nats_url: str = ""
    """A NATS server of yours, with JetStream; empty: ``tillwire up`` starts one."""
    http: Http = Http()
    work: Work = Work()
    rules: Rules = Rules()
    exceptions: Exceptions = Exceptions()
    late_arrivals: LateArrivals = LateArrivals()
    relay: Relay = Relay()
    posting: Posting = Posting()
    erp: Erp = Erp()
    connections: tuple[Connection, ...] = ()


def _overrides(environment: Mapping[str, str], kind: type, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}_{field.name.upper()}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            inner = _overrides(environment, field.type, name)
            if inner:
                found[field.name] = inner
        elif name in environment:
            found[field.name] = environment[name]
        elif field.name == "settings":
            start = name + "_"
            inner = {key[len(start) :].lower(): value for key, value in environment.items() if key.startswith(start)}
            if inner:
                found[field.name] = inner
    return found


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        inner = merged.get(key)
        merged[key] = _merge(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return merged


def written(path: Path | None, environment: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    """What stands in the file, and which it is; none and nothing if there is none. Raises ``ConfigurationError``."""
    if path is None:
        named = environment.get("TILLWIRE_CONFIG")
        path = Path(named) if named else Path("tillwire.toml")
        if not named and not path.exists():
            return None, {}
    try:
        return path, tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def load(path: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a file (``tillwire.toml`` here if there is one) and the environment.

    Raises ``ConfigurationError`` that names the field, if something is unknown or has the wrong type.
    """
    environment = os.environ if environment is None else environment
    if "TILLWIRE_SETTINGS" in environment:  # from `tillwire up` to its processes: whole and checked already
        return msgspec.json.decode(Path(environment["TILLWIRE_SETTINGS"]).read_bytes(), type=Settings)
    path, content = written(path, environment)
    try:
        settings = msgspec.convert(
            _merge(content, _overrides(environment, Settings, "TILLWIRE")), Settings, strict=False
        )
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path or 'environment'}: {error}") from error
    _refuse_unknown(environment, settings)
    settings = _with_secrets(settings, environment)
    check(settings)
    return settings


_OTHER_VARIABLES = frozenset({"TILLWIRE_CONFIG", "TILLWIRE_SETTINGS", "TILLWIRE_FAULT", "TILLWIRE_ERP_BIN"})


def _names(kind: type, prefix: str) -> set[str]:
    found: set[str] = set()
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}_{field.name.upper()}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= _names(field.type, name)
        else:
            found.add(name)
    return found


def _prefix(connection: Connection) -> str:
    return f"TILLWIRE_CONNECTION_{connection.name.upper().replace('-', '_')}_"


def _with_secrets(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """Connections with the settings that the environment gives them."""
    given: dict[str, dict[str, str]] = {}
    prefixes = sorted((_prefix(connection) for connection in settings.connections), key=len, reverse=True)
    for name, value in environment.items():
        own = next((prefix for prefix in prefixes if name.startswith(prefix)), None)  # of WEB_ and WEB_SHOP_ the longer
        if own is not None:
            given.setdefault(own, {})[name.removeprefix(own).lower()] = value
    return msgspec.structs.replace(
        settings,
        connections=tuple(
            msgspec.structs.replace(one, settings={**one.settings, **given.get(_prefix(one), {})})
            for one in settings.connections
        ),
    )


def _refuse_unknown(environment: Mapping[str, str], settings: Settings) -> None:
    """Raises ``ConfigurationError`` for a variable that looks like a setting and is none."""
    known = _names(Settings, "TILLWIRE") | _OTHER_VARIABLES
    prefixes = ("TILLWIRE_ERP_SETTINGS_", *(_prefix(connection) for connection in settings.connections))
    for name in environment:
        if name.startswith("TILLWIRE_") and name not in known and not name.startswith(prefixes):
            raise ConfigurationError(f"environment: {name} is no setting; docs/reference/configuration.md lists them")


def is_loopback(host: str) -> bool:
    """True if only this machine can reach a server that binds to ``host``."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name: whoever resolves it decides where it leads
        return False


def check(settings: Settings) -> None:
    """Raises ``ConfigurationError`` if settings contradict each other."""
    if settings.http.api_keys == "off" and not is_loopback(settings.http.host):
        raise ConfigurationError(f"http.api_keys = off needs a loopback address, not {settings.http.host}")
    for name in ("extension_tolerance_units", "total_tolerance_units", "over_payment_units", "under_payment_units"):
        tolerance = getattr(settings.rules, name)
        if not tolerance.is_finite() or tolerance < 0:
            raise ConfigurationError(f"rules.{name} must be a finite number from zero on, not {tolerance}")
    limit = settings.exceptions.second_person_above
    if not limit.is_finite() or limit < 0:
        raise ConfigurationError(f"exceptions.second_person_above must be a finite number from zero on, not {limit}")
    if not settings.posting.suspense_account.strip():
        raise ConfigurationError("posting.suspense_account is empty: name the account for what no rule maps")
    for name in ("stream", "subject_prefix", "master_stream", "master_subject_prefix"):
        if not getattr(settings.relay, name).replace("_", "").replace("-", "").isalnum():
            raise ConfigurationError(f"relay.{name} may have letters, digits, - and _ only")
    names = [connection.name for connection in settings.connections]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"connections: {', '.join(twice)} is there more than once: names are unique")
    if not settings.posting.accounts:
        raise ConfigurationError("posting.accounts is empty: every component would go to suspense")
