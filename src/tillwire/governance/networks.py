"""Where a request comes from, and whether that is one of the networks it may come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from tillwire.errors import TillwireError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks by their texts (``10.0.0.0/8``, ``2001:db8::/32``, or one address). Raises ``TillwireError``."""
    found = []
    for text in texts:
        try:
            found.append(ip_network(text.strip()))
        except ValueError as error:
            raise TillwireError(f"{text!r} is no network such as 10.0.0.0/8: {error}") from error
    return tuple(found)


def address_of(text: str) -> Address | None:
    """An address by its text, an IPv4 one in IPv6's clothes as what it is; none if it is no address."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none."""
    return address is not None and any(address in network for network in networks)


def caller(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """Whose request it is: the peer's, unless that is a trusted proxy; then whom the last proxy that is trusted names.

    ``forwarded`` are the values of X-Forwarded-For in the order in which they stand. Whoever sends a request may write
    them, so only what a trusted proxy has added at the end counts; none if that is no address.
    """
    address = address_of(peer)
    if not trusted or not forwarded or not within(address, trusted):
        return address
    for text in reversed([part for value in forwarded for part in value.split(",")]):
        address = address_of(text)
        if not within(address, trusted):
            return address
    return address
