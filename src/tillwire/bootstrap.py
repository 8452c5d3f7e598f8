"""The one place that wires implementations together: which projections there are, which connector speaks to the ERP."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg
import structlog

from tillwire.config import ONLY, Access, ErpPolicy, LateArrivals, Rules, Settings, erp_policies
from tillwire.connectors import registry
from tillwire.connectors.erp import CallbackConnector, CallWatch, ErpConnector, MasterSource
from tillwire.connectors.spec import secrets_of
from tillwire.errors import ConfigurationError, TillwireError
from tillwire.events.follow import AsyncProjection
from tillwire.events.recorded import InlineProjection
from tillwire.exceptions.dry_run import Rehearsal
from tillwire.governance.access import ALL, Reach, role_named
from tillwire.governance.sealing import Sealer
from tillwire.governance.tokens import Tokens
from tillwire.intake.rules import Policy
from tillwire.intake.rules_history import LatePolicy
from tillwire.intake.worker import Worker
from tillwire.inventory.states import ReportedStates
from tillwire.inventory.stock_ledger import StockLedger
from tillwire.masterdata.projection import MasterRecords
from tillwire.posting.accounts import AccountBook
from tillwire.posting.coverage import Taker
from tillwire.posting.due import MarkDue
from tillwire.posting.policy import PostingPolicy
from tillwire.sales.completeness import Completeness
from tillwire.sales.gift_cards import GiftCards
from tillwire.sales.hourly import HourlySales
from tillwire.sales.past import PastOfEvents
from tillwire.sales.subledger import Subledger

if TYPE_CHECKING:
    from tillwire.governance.oidc import Provider

_log = structlog.get_logger(__name__)


def inline_projections(*, replay: bool = False, into_empty: bool = False) -> list[InlineProjection]:
    """What is recorded with every event, in its transaction. A replay fills tables and starts nothing."""
    projections: list[InlineProjection] = [
        MasterRecords(),
        Subledger(),
        StockLedger(into_empty=into_empty),
        ReportedStates(),
        Completeness(),
        PastOfEvents(),
        GiftCards(),
    ]
    return projections if replay else [*projections, MarkDue()]  # posting is a state: a replay posts nothing


def async_projections() -> list[AsyncProjection]:
    """What follows the event store at its own pace."""
    return [HourlySales()]


def policy(rules: Rules) -> Policy:
    """The validation rules as they are in force. Raises ``ConfigurationError`` for codes that there are not."""
    codes = rules.codes
    return Policy(
        extension_tolerance_units=rules.extension_tolerance_units,
        total_tolerance_units=rules.total_tolerance_units,
        over_payment_units=rules.over_payment_units,
        under_payment_units=rules.under_payment_units,
        future_days=rules.future_days,
        past_days=rules.past_days,
        severities={code: one.severity for code, one in codes.items() if one.severity is not None},
        owners={code: one.owner for code, one in codes.items() if one.owner is not None},
        tolerances={code: one.tolerance for code, one in codes.items() if one.tolerance is not None},
        sources=tuple((one.pattern, one.severity) for one in rules.sources),
    )


def late_policy(late: LateArrivals) -> Callable[[str], LatePolicy]:
    """The policy for late arrivals of each store."""

    @cache
    def of(store: str) -> LatePolicy:
        for other in late.stores:
            if fnmatchcase(store, other.stores):
                days = late.most_days if other.most_days is None else other.most_days
                return LatePolicy(policy=other.policy or late.policy, most_days=days)
        return LatePolicy(policy=late.policy, most_days=late.most_days)

    return of


def rehearsal(connection: psycopg.Connection, settings: Settings, reach: Reach = ALL) -> Rehearsal:
    """Dry runs of fixes: a worker as it works in this hub, that posts nothing, and the mapping to accounts. Only what
    is within reach is fixed and shown.
    """

    def make(inside: psycopg.Connection) -> Worker:
        return Worker(inside, inline_projections(), policy(settings.rules), late=late_policy(settings.late_arrivals))

    return Rehearsal(connection, make, account_book(settings), reach)


def _hub_key(settings: Settings) -> str:
    """The key that all processes of a hub share; empty if none is set. Raises ``ConfigurationError``."""
    if settings.clients.token_key_file:
        try:
            return Path(settings.clients.token_key_file).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"clients.token_key_file: {error}") from error
    return settings.clients.token_key


def sealer(settings: Settings, *, purpose: str = "people") -> Sealer | None:
    """What seals secrets, by default people's; none if no key is set. Raises ``ConfigurationError`` for one that cannot
    be read.
    """
    key = _hub_key(settings)
    return Sealer(key, purpose=purpose) if key else None


def check_access(access: Access) -> None:
    """Raises ``ConfigurationError`` if the settings of access name roles that there are not."""
    named = [("access.totp_roles", access.totp_roles)]
    named += [(f"access.oidc.groups, {one.group}", one.roles) for one in access.oidc.groups]
    for where, roles in named:
        for role in roles:
            try:
                role_named(role)
            except TillwireError as error:
                raise ConfigurationError(f"{where}: {error}") from error


def provider(settings: Settings) -> Provider | None:
    """The company's own sign-in; none if none is set. Raises ``ConfigurationError`` for roles in the settings of access
    that there are not, and if the secret's file cannot be read or there is no key to seal with.
    """
    check_access(settings.access)
    oidc = settings.access.oidc
    if not oidc.issuer:
        return None
    sealing = sealer(settings, purpose="signing in")
    if sealing is None:
        raise ConfigurationError("access.oidc needs clients.token_key, which seals what browsers carry to the provider")
    secret = oidc.client_secret
    if oidc.client_secret_file:
        try:
            secret = Path(oidc.client_secret_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"access.oidc.client_secret_file: {error}") from error
    from tillwire.governance.oidc import Provider  # what it stands on takes memory that other processes do not need

    redirect_uri = public_url(settings) + "/sign-in/oidc/callback"
    return Provider(oidc, secret=secret, redirect_uri=redirect_uri, sealer=sealing)


def tokens(settings: Settings) -> Tokens | None:
    """What gives access tokens to API clients; none if no signing key is set.

    Raises ``ConfigurationError`` if the key's file cannot be read, or holds no key.
    """
    clients, key = settings.clients, _hub_key(settings)
    if not key:
        return None
    issuer = settings.http.public_url.rstrip("/") or "urn:tillwire"  # the same on every machine that shares the key
    return Tokens(key, issuer=issuer, life_s=clients.token_minutes * 60)


def public_url(settings: Settings) -> str:
    """Where others reach this hub, without a slash at its end."""
    http = settings.http
    return http.public_url.rstrip("/") or f"http://{http.host}:{http.port}"


def account_book(settings: Settings) -> AccountBook:
    """The mapping of components to accounts."""
    return AccountBook(settings.posting)


def posting_policy(settings: Settings) -> PostingPolicy:
    """How each store posts."""
    return PostingPolicy(settings.posting, erps(settings))


def erps(settings: Settings) -> tuple[ErpPolicy, ...]:
    """Every configured ERP, in the order in which a company finds its own."""
    return erp_policies(settings.posting, settings.erp, settings.erps)


def erp_named(settings: Settings, name: str | None = None) -> ErpPolicy:
    """One ERP by its name; without one, the only one. Raises ``ConfigurationError`` that names those there are."""
    found = erps(settings)
    if not found:
        raise ConfigurationError("no ERP is configured: set erp.kind and its section, or [[erps]]")
    chosen = [one for one in found if name in (None, one.name)]
    if len(chosen) != 1:
        there = ", ".join(one.name for one in found)
        raise ConfigurationError(f"there is no ERP {name!r}; there are {there}" if name else f"which ERP of {there}?")
    return chosen[0]


def erp_connector(
    settings: Settings, policy: ErpPolicy | None = None, *, watch: CallWatch | None = None
) -> ErpConnector:
    """The connector of an ERP; without one named, of the only one. Raises ``ConfigurationError``."""
    policy = policy or erp_named(settings)
    of = "erp.settings" if policy.name == ONLY else f"erps.{policy.name}"
    spec = registry.spec_of(policy.kind)
    if "erp" not in spec.roles:
        raise ConfigurationError(f"{of}: {spec.name} is no ERP")
    connector: ErpConnector = spec.configure(policy.settings, of=of)
    if watch is not None:
        connector.watched_by(watch)
    return connector


def callback_connectors(settings: Settings) -> dict[str, CallbackConnector]:
    """The connectors of ERPs that call back when they have posted, by the ERP's name.

    One whose settings are wrong is left out, with a word in the log: no sale waits for an ERP.
    """
    found: dict[str, CallbackConnector] = {}
    for policy in erps(settings):
        try:
            connector = erp_connector(settings, policy)
        except ConfigurationError as error:
            _log.error("erp_cannot_be_reached", erp=policy.name, error=str(error))
            continue
        if hasattr(connector, "called_back"):
            found[policy.name] = cast(CallbackConnector, connector)
        else:
            connector.close()
    return found


def takers(settings: Settings) -> list[Taker]:
    """What each ERP takes, in the order in which a company finds its own."""
    found = []
    for policy in erps(settings):
        connector = erp_connector(settings, policy)
        connector.close()
        found.append(Taker(policy, connector.takes))
    return found


def contradictions(settings: Settings) -> list[str]:
    """What is to be posted and cannot be: kinds of documents that an ERP does not take, in words. They would wait."""
    posting, found = settings.posting, []
    for policy in erps(settings):
        connector = erp_connector(settings, policy)
        connector.close()
        own = policy.instance
        modes = {own.mode if own and own.mode else posting.mode, *(one.mode for one in posting.stores if one.mode)}
        stock = {own.stock if own and own.stock else posting.stock, *(one.stock for one in posting.stores if one.stock)}
        if "invoice" in modes and "invoice" not in connector.takes:
            found.append(f"ERP {policy.name} ({policy.kind}) takes no invoices: documents of mode 'invoice' would wait")
        if stock - {"off"} and "stock" not in connector.takes:
            found.append(f"ERP {policy.name} ({policy.kind}) takes no stock movements: stock documents would wait")
    return found


def inbound_connectors(settings: Settings) -> dict[str, Any]:
    """The connector of every connection that is enabled, by the connection's name.

    Raises ``ConfigurationError`` that names the connection and the setting.
    """
    found: dict[str, Any] = {}
    inboxes: dict[Path, str] = {}
    for connection in settings.connections:
        if connection.enabled:
            spec = registry.spec_of(connection.connector)
            if spec.roles == ("erp",):
                raise ConfigurationError(f"connections.{connection.name}: {spec.name} is an ERP: it belongs in [erp]")
            if connection.inbox:
                if "file" not in spec.roles:
                    raise ConfigurationError(f"connections.{connection.name}.inbox: {spec.name} reads no files")
                other = inboxes.setdefault(Path(connection.inbox).resolve(), connection.name)
                if other != connection.name:
                    raise ConfigurationError(f"connections.{connection.name}.inbox: it is also that of {other}")
            found[connection.name] = spec.configure(connection.settings, of=f"connections.{connection.name}")
    return found


def check_inboxes(settings: Settings) -> None:
    """Raises ``ConfigurationError`` for an inbox that cannot be made or written. Makes none."""
    for one in settings.connections:
        if one.enabled and one.inbox:
            folder = Path(one.inbox).absolute()
            try:
                there = next(each for each in (folder, *folder.parents) if each.exists())
            except OSError as error:
                raise ConfigurationError(f"connections.{one.name}.inbox: {error}") from error
            if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
                reason = "cannot be written" if there.is_dir() else "is no folder"
                raise ConfigurationError(f"connections.{one.name}.inbox: {there} {reason}")


def secrets_written(content: Mapping[str, Any], settings: Settings) -> list[str]:
    """The secrets that stand in a configuration file's ``content``, by their places there; for sound ``settings``."""
    erp = content.get("erp", {})
    places = [("erp.settings", settings.erp.kind, erp.get("settings", {}))] if settings.erp.kind != "none" else []
    for one in content.get("erps", ()):
        places.append((f"erps.{one['name']}.settings", one["kind"], one.get("settings", {})))
    for one in content.get("connections", ()):
        places.append((f"connections.{one['name']}.settings", one["connector"], one.get("settings", {})))
    own = ["clients.token_key"] if content.get("clients", {}).get("token_key") else []
    if content.get("access", {}).get("oidc", {}).get("client_secret"):
        own.append("access.oidc.client_secret")
    return own + [
        f"{place}.{name}"
        for place, kind, given in places
        for name in sorted(secrets_of(registry.spec_of(kind).settings) & given.keys())
        if given[name]
    ]


def master_source(settings: Settings, name: str | None = None, *, watch: CallWatch | None = None) -> MasterSource:
    """An ERP as a source of master data. Raises ``ConfigurationError`` if none is configured or it is none."""
    policy = erp_named(settings, name)
    connector = erp_connector(settings, policy, watch=watch)
    if not hasattr(connector, "pull"):
        connector.close()
        raise ConfigurationError(f"the connector {policy.kind!r} offers no master data")
    return cast(MasterSource, connector)
