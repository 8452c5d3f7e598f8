"""What a connector says of itself: its one registration, from which come lint, reference page and conformance tests.

A connector is one folder below ``connectors`` whose package has ``SPEC``. Nothing else needs to know of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from tillwire.errors import ConfigurationError

Secret = Annotated[str, Meta(extra={"secret": True})]
"""The type of a setting that is never shown, and that belongs into the environment rather than into a file."""

Role = Literal["file", "message", "webhook", "pull", "erp"]
"""``file``: reads files of any size, record by record. ``message``: reads bodies sent by HTTP with an API key.
``webhook``: proves by a signature who sent a body. ``pull``: fetches from the other system. ``erp``: posts journals."""


class Example(Struct, frozen=True, kw_only=True):
    """A payload of the connector's own folder, for the conformance suite and for who reads the reference."""

    file: str
    """Its name below the folder ``examples`` of the connector."""
    about: str
    settings: Mapping[str, Any] = {}
    topic: str = ""
    codes: tuple[str, ...] = ()
    """The exceptions that it must raise; none: it is mapped whole."""


class Spec(Struct, frozen=True, kw_only=True):
    """One connector."""

    name: str
    title: str
    about: str
    contract: str
    """The public contract it is written from, with version or date."""
    roles: tuple[Role, ...]
    settings: type[Struct]
    """Frozen, keyword only, unknown fields forbidden; defaults wherever there is a sane one."""
    make: Callable[[Any], Any]
    """Makes the connector from its settings; touches nothing outside."""
    media_types: tuple[str, ...] = ()
    """Of bodies and files, the usual one first."""
    examples: tuple[Example, ...] = ()
    simulator: str = ""
    """Of ERPs: where the class of its simulator is (``package.module:Class``), which is loaded only when it is run."""

    def simulator_class(self) -> Any:
        """The class of its simulator (``simulation.ErpSimulator``). Raises ``ConfigurationError`` if it has none."""
        if not self.simulator:
            raise ConfigurationError(f"{self.name} has no simulator")
        module, _, name = self.simulator.partition(":")
        return getattr(importlib.import_module(module), name)

    def simulated(self, **given: Any) -> Any:
        """A simulator of this ERP. Raises ``ConfigurationError`` if it has none."""
        return self.simulator_class()(**given)

    def configure(self, given: Mapping[str, Any], *, of: str) -> Any:
        """The connector with these settings. Raises ``ConfigurationError`` that names ``of`` and the setting."""
        try:
            settings = msgspec.convert(_parsed(given, self.settings), self.settings, strict=False)
            return self.make(settings)
        except (ConfigurationError, msgspec.ValidationError, ValueError, LookupError) as error:
            raise ConfigurationError(f"{of}: {error}") from error


_CONTAINERS = (
    msgspec.inspect.DictType,
    msgspec.inspect.CollectionType,
    msgspec.inspect.TupleType,
    msgspec.inspect.StructType,
)
_decode = msgspec.json.Decoder(float_hook=str).decode


def _parsed(given: Mapping[str, Any], settings: type[Struct]) -> dict[str, Any]:
    """Settings whose tables and lists are told as JSON text, as the environment must, as tables and lists."""
    parsed = dict(given)
    for field in _fields(settings):
        kind = field.type.type if isinstance(field.type, msgspec.inspect.Metadata) else field.type
        value = parsed.get(field.encode_name)
        if isinstance(value, str) and isinstance(kind, _CONTAINERS):
            try:
                parsed[field.encode_name] = _decode(value)
            except (msgspec.DecodeError, RecursionError) as error:
                raise ConfigurationError(f"{field.encode_name}: a JSON object or list is expected: {error}") from error
    return parsed


def _fields(settings: type[Struct]) -> tuple[msgspec.inspect.Field, ...]:
    named = msgspec.inspect.type_info(settings)
    assert isinstance(named, msgspec.inspect.StructType)
    return named.fields


def time_zone(name: str, setting: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises ``ConfigurationError`` that names the setting."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:  # no proper name, a folder of zones, unknown
        raise ConfigurationError(f"{setting}: {name!r} is no IANA time zone, such as America/New_York") from error


_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def checked_url(url: str, setting: str, *, secret: bool = True) -> str:
    """A URL of HTTP without the slash at its end. Raises ``ConfigurationError`` that names the setting: for what is no
    URL, and where ``secret`` for one that would send secrets in clear to another machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigurationError(f"{setting}: {url!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in url):
        raise ConfigurationError(f"{setting}: {url!r} is no URL: it must begin with https:// and name a host")
    if secret and parts.scheme == "http" and host not in _LOOPBACK:
        raise ConfigurationError(f"{setting}: {url!r} must begin with https://, for secrets are sent with it")
    return url.rstrip("/")


def secrets_of(settings: type[Struct]) -> frozenset[str]:
    """The names of a settings struct's secrets."""
    return frozenset(
        field.name
        for field in _fields(settings)
        if isinstance(field.type, msgspec.inspect.Metadata) and (field.type.extra or {}).get("secret")
    )
