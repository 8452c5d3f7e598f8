"""What must hold between settings."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from tillwire.config.posting import check_posting
from tillwire.config.sections import Http, Settings
from tillwire.config.service_levels import check_alerts, check_objectives
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
    _check_http(settings.http)
    if settings.clients.token_key and len(settings.clients.token_key) < 32:
        raise ConfigurationError("clients.token_key needs 32 characters at least, chosen at random")
    if settings.clients.token_key and settings.clients.token_key_file:
        raise ConfigurationError("clients.token_key and clients.token_key_file are both set: which of them counts?")
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
    _check_oidc(settings)
    check_posting(settings.posting, settings.erp, settings.erps)
    check_objectives(settings.objectives)
    check_alerts(settings.alerts, settings.smtp, settings.alert_routes)


def _check_oidc(settings: Settings) -> None:
    oidc = settings.access.oidc
    if not oidc.issuer:
        if oidc.client_id or oidc.groups:
            raise ConfigurationError("access.oidc.issuer is missing: whose client_id and groups are these?")
        return
    parts = urlsplit(oidc.issuer)
    sound = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not sound or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"access.oidc.issuer: {oidc.issuer!r} is no address such as https://login.example.com")
    if not oidc.client_id:
        raise ConfigurationError("access.oidc.client_id is missing: the provider gives one for this hub")
    if oidc.client_secret and oidc.client_secret_file:
        raise ConfigurationError("access.oidc.client_secret and client_secret_file are both set: which of them counts?")
    if "openid" not in oidc.scopes:
        raise ConfigurationError("access.oidc.scopes needs openid: without it there is no ID token")
    if not oidc.algorithms:
        raise ConfigurationError("access.oidc.algorithms is empty: no ID token would do")
    if not settings.http.public_url and not is_loopback(settings.http.host):
        raise ConfigurationError("access.oidc needs http.public_url: the provider sends people back there")


def _check_http(http: Http) -> None:
    for text in http.trusted_proxies:
        try:
            ip_network(text)
        except ValueError as error:
            raise ConfigurationError(f"http.trusted_proxies: {text!r} is no network such as 10.1.0.0/16") from error
    if http.public_url:
        parts = urlsplit(http.public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigurationError(
                f"http.public_url: {http.public_url!r} is no address such as https://hub.example.com"
            )
