"""How long those wait who fail to sign in: a person's name, and an address. Each attempt is counted before it is looked
at, so that many at once are not all the first; and a name that nobody has is counted like one that somebody has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

import psycopg

from tillwire import clock
from tillwire.config import Access
from tillwire.database import sql
from tillwire.errors import TillwireError

_sql = sql.load("tillwire.governance", "lockout.sql")

FORGOTTEN_AFTER = timedelta(days=1)
"""A person's failures are forgotten after so long without one."""
ONE_FORGIVEN_AFTER_S = 60
"""An address, behind which there may be many people, has one failure less after so long."""
_ADDRESS = "address "


class LockedOut(TillwireError):
    """Too many failures: nothing is looked at until the wait is over."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many attempts have failed: try again in {wait_s} s")
        self.wait_s = wait_s


def subjects_of(name: str, address: str) -> tuple[str, str]:
    """What is counted: a name, of which a digest is kept (who mistakes the field may type a password), and an address,
    of IPv6 the network of 64 bits that somebody has.
    """
    return "person " + hashlib.sha256(name.casefold().encode("utf-8", "surrogateescape")).hexdigest(), _ADDRESS + _net(
        address
    )


def _net(address: str) -> str:
    try:
        known = ip_address(address)
    except ValueError:
        return address[:100]
    return str(ip_network((int(known), 64), strict=False)) if isinstance(known, IPv6Address) else str(known)


def attempt(connection: psycopg.Connection, settings: Access, subjects: Iterable[str]) -> None:
    """Count an attempt, until ``succeeded``. Raises ``LockedOut`` for who has to wait, and counts nothing then."""
    named = sorted(subjects)
    with connection.transaction():
        connection.execute(_sql.begin, (named,))
        now = clock.now()
        counted = {}
        for subject, failures, last in connection.execute(_sql.lock, (named,)).fetchall():
            left = _left(subject, failures, last, now)
            wait_s = _wait_s(settings, subject, left) - (now - last).total_seconds()
            if wait_s > 0:
                raise LockedOut(max(1, round(wait_s)))
            counted[subject] = left + 1
        told = {"subjects": list(counted), "failures": list(counted.values()), "now": now}
        connection.execute(_sql.count, told)


def _left(subject: str, failures: int, last: datetime, now: datetime) -> int:
    """Failures that still count."""
    if subject.startswith(_ADDRESS):
        return max(0, failures - int((now - last).total_seconds()) // ONE_FORGIVEN_AFTER_S)
    return failures if now - last < FORGOTTEN_AFTER else 0


def _wait_s(settings: Access, subject: str, failures: int) -> int:
    free = settings.free_failures_of_address if subject.startswith(_ADDRESS) else settings.free_failures
    if failures < free:
        return 0
    return min(settings.most_wait_minutes * 60, 2 ** min(failures - free, 20))


def succeeded(connection: psycopg.Connection, subjects: Iterable[str], *, wholly: bool = True) -> None:
    """What was counted was no failure. A person's failures before it are forgiven if they are ``wholly`` who they say:
    with a password alone others could guess codes for ever, and with an account of their own at other people's.
    """
    for subject in sorted(subjects):
        forgiven = wholly and not subject.startswith(_ADDRESS)
        connection.execute(_sql.forgive if forgiven else _sql.one_less, (subject,))


def sweep(connection: psycopg.Connection) -> None:
    """Take away what has been forgotten."""
    connection.execute(_sql.sweep, (clock.now() - FORGOTTEN_AFTER,))
