"""Reading settings: the file, the environment over it, and what must hold between them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from tillwire.config.checks import check
from tillwire.config.posting import ErpInstance
from tillwire.config.sections import Connection, Settings
from tillwire.config.service_levels import AlertRoute
from tillwire.errors import ConfigurationError


def _overrides(environment: Mapping[str, str], kind: type, prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}_{field.name.upper()}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            inner = _overrides(environment, field.type, name)
            if inner:
                found[field.name] = inner
        elif name in environment:
            value = environment[name]
            found[field.name] = value.replace(",", " ").split() if field.type == tuple[str, ...] else value
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
    settings = msgspec.structs.replace(
        settings,
        connections=_with_secrets(settings.connections, environment),
        erps=_with_secrets(settings.erps, environment),
        alert_routes=tuple(_route_with_secrets(one, environment) for one in settings.alert_routes),
    )
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


def _prefix(named: Connection | ErpInstance) -> str:
    section = "ERPS" if isinstance(named, ErpInstance) else "CONNECTION"
    return f"TILLWIRE_{section}_{named.name.upper().replace('-', '_')}_"


_Named = TypeVar("_Named", Connection, ErpInstance)


def _with_secrets(given: Sequence[_Named], environment: Mapping[str, str]) -> tuple[_Named, ...]:
    """Connections, or ERPs, with the settings that the environment gives them."""
    found: dict[str, dict[str, str]] = {}
    prefixes = sorted((_prefix(one) for one in given), key=len, reverse=True)
    for name, value in environment.items():
        own = next((prefix for prefix in prefixes if name.startswith(prefix)), None)  # of WEB_ and WEB_SHOP_ the longer
        if own is not None:
            found.setdefault(own, {})[name.removeprefix(own).lower()] = value
    return tuple(
        msgspec.structs.replace(one, settings={**one.settings, **found.get(_prefix(one), {})}) for one in given
    )


_ROUTE_SECRETS = ("url", "secret")


def _route_variables(route: AlertRoute) -> dict[str, str]:
    """The variables that a route's secrets may come from, by their fields."""
    start = f"TILLWIRE_ALERT_ROUTE_{route.name.upper().replace('-', '_')}_"
    return {field: start + field.upper() for field in _ROUTE_SECRETS}


def _route_with_secrets(route: AlertRoute, environment: Mapping[str, str]) -> AlertRoute:
    variables = _route_variables(route)
    given = {field: environment[name] for field, name in variables.items() if name in environment}
    return msgspec.structs.replace(route, **given)


def _refuse_unknown(environment: Mapping[str, str], settings: Settings) -> None:
    """Raises ``ConfigurationError`` for a variable that looks like a setting and is none."""
    known = _names(Settings, "TILLWIRE") | _OTHER_VARIABLES
    known |= {name for one in settings.alert_routes for name in _route_variables(one).values()}
    own = [_prefix(one) for one in settings.connections] + [_prefix(one) for one in settings.erps]
    prefixes = ("TILLWIRE_ERP_SETTINGS_", *own)
    for name in environment:
        if name.startswith("TILLWIRE_") and name not in known and not name.startswith(prefixes):
            raise ConfigurationError(f"environment: {name} is no setting; docs/reference/configuration.md lists them")
