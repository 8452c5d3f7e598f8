"""Calls to hooks, by addresses that were looked at first.

Who can set a route may point it anywhere; what a cloud keeps on link-local addresses (credentials of the machine) is
not for that. A name is resolved once, every address it has is judged, and the connection goes to one of those: what the
name means a moment later does not matter. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tillwire.errors import ConfigurationError, RateLimitedError, TransientError

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Sequence[str]]

REFUSED = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this machine, on some systems
        "169.254.0.0/16",  # link-local, metadata services of clouds
        "100.100.100.200/32",  # metadata, Alibaba Cloud
        "168.63.129.16/32",  # wire server, Azure
        "192.0.0.192/32",  # metadata, Oracle Cloud
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "fe80::/10",
        "fec0::/10",
        "fd00:ec2::/32",  # metadata, AWS
        "fd20:ce::/32",  # metadata, Google Cloud
        "ff00::/8",
    )
)
_NAT64, _LOCAL_NAT64, _TEREDO = (IPv6Network(one) for one in ("64:ff9b::/96", "64:ff9b:1::/48", "2001::/32"))


class RefusedAddressError(ConfigurationError):
    """A hook leads to where none may lead."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises ``TransientError`` if it has none at present."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TransientError(f"{host}: {error}") from error
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _meant(address: Address) -> list[Address]:
    """An address, and the IPv4 address that is in it."""
    if isinstance(address, IPv4Address):
        return [address]
    inside: list[Address] = [address]
    if address.ipv4_mapped is not None:
        inside.append(address.ipv4_mapped)
    if address.sixtofour is not None:
        inside.append(address.sixtofour)
    if address in _NAT64 or address in _LOCAL_NAT64 or int(address) >> 32 == 0:
        inside.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _TEREDO and address.teredo is not None:
        inside += address.teredo
    return inside


def judged(host: str, port: int, allowed: Sequence[str] = (), resolver: Resolver = resolve) -> list[str]:
    """The addresses of a host, all of which may be called.

    Raises ``RefusedAddressError`` if one may not (unless it is in an ``allowed`` network), ``TransientError`` if there
    is none.
    """
    exempt = [ip_network(text) for text in allowed]
    found = []
    for text in resolver(host, port):
        address = ip_address(text.partition("%")[0])
        # Loopback is ::1, whose last 32 bits are an address of 0.0.0.0/8: it is meant as it stands.
        for one in [address] if address.is_loopback else _meant(address):
            if any(one in network for network in REFUSED) and not any(one in network for network in exempt):
                raise RefusedAddressError(
                    f"{host} leads to {text}, which is refused: alerts.allow_networks can allow it"
                )
        found.append(text)
    if not found:
        raise TransientError(f"{host} has no address")
    return found


def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    allowed: Sequence[str] = (),
    resolver: Resolver = resolve,
) -> None:
    """Post JSON to a hook; returns when it was taken (any 2xx).

    Raises ``TransientError`` if it was not: try again; ``RefusedAddressError`` if nothing may be sent there. No error
    names more of the URL than its host: the rest may be a secret.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    last: TransientError | None = None
    for address in judged(host, port, allowed, resolver):
        try:
            _post_to(address, port, url, body, headers, timeout_s)
        except httpx2.ConnectError as error:  # the next address may answer
            last = TransientError(f"{host}: {error}")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise TransientError(f"{host}: {type(error).__name__}") from error
        else:
            return
    assert last is not None
    raise last


def _post_to(address: str, port: int, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> None:
    """Post to one address of a host, in the host's name."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    target = httpx2.URL(url).copy_with(host=address.partition("%")[0], port=port)
    own: dict[str, Any] = {"sni_hostname": host} if parts.scheme == "https" else {}
    name = f"[{host}]" if ":" in host else host
    sent = {**headers, "Host": name if parts.port is None else f"{name}:{parts.port}"}
    with (
        httpx2.Client(timeout=timeout_s, trust_env=False, follow_redirects=False) as client,
        client.stream("POST", target, content=body, headers=sent, extensions=own) as answer,
    ):
        if answer.is_success:
            return
        if answer.is_redirect:
            where = urlsplit(answer.headers.get("location", "")).hostname or "elsewhere"
            raise TransientError(f"{host} redirects to {where}: name the address itself, redirects are not followed")
        after = answer.headers.get("retry-after", "")
        seconds = float(after) if after.isascii() and after.isdigit() else None
        if answer.status_code == 429:
            raise RateLimitedError(f"{host} answered 429", retry_after_s=seconds)
        raise TransientError(f"{host} answered {answer.status_code}", retry_after_s=seconds)


def signature(secret: str, body: bytes) -> str:
    """Of a webhook's body: who has the secret can tell that it comes from this hub."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
