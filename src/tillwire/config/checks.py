"""What must hold between settings."""

from __future__ import annotations

from ipaddress import ip_address

from tillwire.config.posting import check_posting
from tillwire.config.sections import Settings
from tillwire.errors import ConfigurationError


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
    for name in ("stream", "subject_prefix", "master_stream", "master_subject_prefix"):
        if not getattr(settings.relay, name).replace("_", "").replace("-", "").isalnum():
            raise ConfigurationError(f"relay.{name} may have letters, digits, - and _ only")
    names = [connection.name for connection in settings.connections]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"connections: {', '.join(twice)} is there more than once: names are unique")
    check_posting(settings.posting, settings.erp, settings.erps)
