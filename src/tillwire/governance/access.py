"""Who may do what: operations, roles, grants and the stores they reach. Nothing is allowed that is not granted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from tillwire.errors import TillwireError


class Operation(StrEnum):
    """One kind of thing that can be done; every route needs one of them."""

    SEND_EVENTS = "events:send"
    READ_EVENTS = "events:read"
    REPLAY_EVENTS = "events:replay"
    READ_SALES = "sales:read"
    """Transactions, their traces, completeness and proof."""
    READ_STOCK = "stock:read"
    READ_MASTER_DATA = "master-data:read"
    WRITE_MASTER_DATA = "master-data:write"
    READ_EXCEPTIONS = "exceptions:read"
    WORK_EXCEPTIONS = "exceptions:work"
    """Edit, retry, dismiss, assign."""
    APPROVE_FIXES = "exceptions:approve"
    """Let a fix take effect that somebody else has proposed, or refuse it."""
    READ_LEDGER = "ledger:read"
    WORK_LEDGER = "ledger:work"
    """Send journals again, take what lies in suspense to its account."""
    READ_CONNECTORS = "connectors:read"
    TEST_CONNECTORS = "connectors:test"
    READ_SERVICE_LEVELS = "service-levels:read"
    SILENCE_ALERTS = "alerts:silence"
    READ_CATALOGUE = "catalogue:read"
    READ_AUDIT = "audit:read"
    READ_PERSONAL_DATA = "personal-data:read"
    """See personal data unmasked."""
    ERASE_PERSONAL_DATA = "personal-data:erase"
    ADMINISTER_ACCESS = "access:administer"


_READ = frozenset(
    {
        Operation.READ_SALES,
        Operation.READ_STOCK,
        Operation.READ_MASTER_DATA,
        Operation.READ_EXCEPTIONS,
        Operation.READ_SERVICE_LEVELS,
        Operation.READ_CATALOGUE,
    }
)

ROLES: Mapping[str, frozenset[Operation]] = {
    "viewer": _READ,
    "store-operations": _READ | {Operation.WORK_EXCEPTIONS, Operation.READ_PERSONAL_DATA, Operation.SILENCE_ALERTS},
    "finance": _READ
    | {
        Operation.WORK_EXCEPTIONS,
        Operation.READ_LEDGER,
        Operation.WORK_LEDGER,
        Operation.READ_EVENTS,
        Operation.SILENCE_ALERTS,
    },
    "approver": _READ | {Operation.APPROVE_FIXES, Operation.READ_LEDGER},
    "integrator": _READ
    | {
        Operation.READ_EVENTS,
        Operation.REPLAY_EVENTS,
        Operation.WRITE_MASTER_DATA,
        Operation.WORK_EXCEPTIONS,
        Operation.READ_LEDGER,
        Operation.READ_CONNECTORS,
        Operation.TEST_CONNECTORS,
        Operation.SILENCE_ALERTS,
    },
    "administrator": frozenset(
        {
            Operation.ADMINISTER_ACCESS,
            Operation.READ_AUDIT,
            Operation.READ_CONNECTORS,
            Operation.READ_SERVICE_LEVELS,
            Operation.READ_CATALOGUE,
            Operation.ERASE_PERSONAL_DATA,
        }
    ),
}
"""What each role of a person may do. An administrator gives rights and reads the audit log, and has no say about money:
whoever is to have both is given both roles, and the audit log says by whom."""

EVERYTHING = frozenset(Operation)


class Reach(msgspec.Struct, frozen=True):
    """The stores that somebody may see or touch in one operation; ``stores`` is None for all of them.

    What belongs to no store (or to one that master data does not know) is in nobody's reach but theirs who have all.
    """

    stores: frozenset[str] | None = None

    def covers(self, store: str | None) -> bool:
        """Whether what belongs to this store is within reach."""
        return self.stores is None or (store is not None and store in self.stores)

    def narrowed(self, store: str | None) -> Reach:
        """This reach and no more than one store: what a parameter asks for never widens it."""
        if store is None:
            return self
        return Reach(frozenset({store} if self.covers(store) else ()))

    @property
    def parameter(self) -> list[str] | None:
        """For SQL: ``(%(reach)s::text[] IS NULL OR store = ANY(%(reach)s))``."""
        return None if self.stores is None else sorted(self.stores)


ALL = Reach()


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Operations within a scope: stores by patterns of their number and of their company, and sources of events. A
    pattern is text with ``*`` and ``?``."""

    operations: frozenset[Operation]
    stores: tuple[str, ...] = ("*",)
    companies: tuple[str, ...] = ("*",)
    sources: tuple[str, ...] = ("*",)

    @property
    def everywhere(self) -> bool:
        """Whether it has all stores in its scope, those that are not known yet, too."""
        return "*" in self.stores and "*" in self.companies

    def takes(self, store: str, company: str) -> bool:
        """Whether a store of this company is in its scope."""
        return _fits(store, self.stores) and _fits(company, self.companies)

    def takes_source(self, source: str) -> bool:
        """Whether events of this source are in its scope."""
        return _fits(source, self.sources)


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asking: an API client, a person, or whoever is at the machine of a hub without access control."""

    name: str
    kind: Literal["client", "person", "local"]
    grants: tuple[Grant, ...] = ()

    def may(self, operation: Operation) -> bool:
        """Whether it is granted anywhere at all."""
        return any(operation in grant.operations for grant in self.grants)

    def reads_source(self, operation: Operation, source: str) -> bool:
        """Whether it is granted for what comes from a source, of whatever store."""
        return any(
            grant.everywhere and grant.takes_source(source) for grant in self.grants if operation in grant.operations
        )

    def reach(self, operation: Operation, companies: Mapping[str, str]) -> Reach:
        """Where it is granted; ``companies`` has every known store's company."""
        fitting = [grant for grant in self.grants if operation in grant.operations]
        if any(grant.everywhere for grant in fitting):
            return ALL
        return Reach(
            frozenset(
                store for store, company in companies.items() if any(grant.takes(store, company) for grant in fitting)
            )
        )


LOCAL = Principal(name="local", kind="local", grants=(Grant(operations=EVERYTHING),))
"""Whoever asks a hub whose access control is off, which only answers its own machine."""


def operations_of(names: Iterable[str]) -> frozenset[Operation]:
    """Operations by their names. Raises ``TillwireError`` that names what there is not, and what there is."""
    found = set()
    for name in names:
        try:
            found.add(Operation(name))
        except ValueError:
            raise TillwireError(f"there is no operation {name!r}; there are {', '.join(Operation)}") from None
    return frozenset(found)


def role_named(name: str) -> frozenset[Operation]:
    """What a role may do. Raises ``TillwireError`` that names the roles there are."""
    if name not in ROLES:
        raise TillwireError(f"there is no role {name!r}; there are {', '.join(ROLES)}")
    return ROLES[name]


def _fits(value: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)
