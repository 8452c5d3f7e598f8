"""How a store posts: the general settings, those of its company's ERP over them, its own over both."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fnmatch import fnmatchcase

import msgspec

from tillwire.config import ErpInstance, ErpPolicy, GiftCards, Mode, Posting, StockMode, StorePosting


class StorePolicy(msgspec.Struct, frozen=True):
    """How one store posts."""

    mode: Mode
    stock: StockMode
    trickle_s: int
    """Post an open day every so many seconds; 0: not by time."""
    trickle_events: int
    """Post an open day as soon as so many of its events wait; 0: not by number."""

    def wants(self, *, waiting_s: float, events: int) -> bool:
        """True if a day that is still open is to be posted now."""
        by_time = bool(self.trickle_s) and waiting_s >= self.trickle_s
        return by_time or (bool(self.trickle_events) and events >= self.trickle_events)


class PostingPolicy:
    """The policy of every store, by its number and company."""

    def __init__(self, posting: Posting, erps: Sequence[ErpPolicy] = ()) -> None:
        self._posting = posting
        self._erps = erps
        self._found: dict[tuple[str, str], StorePolicy] = {}
        given: list[Posting | StorePosting | ErpInstance] = [posting, *posting.stores]
        given += [one.instance for one in erps if one.instance is not None]
        self.trickles = any(one.trickle_minutes or one.trickle_transactions for one in given)
        """False if no day is ever posted before it is closed."""

    @property
    def closed_period(self) -> str:
        """What becomes of a journal whose period is closed: ``next_open`` or ``exception``."""
        return self._posting.closed_period

    @property
    def rounding_most_units(self) -> Decimal:
        """The most that one transaction may post as a rounding difference, in minor units."""
        return self._posting.rounding_most_units

    def of(self, store: str, company: str) -> StorePolicy:
        """How this store posts."""
        found = self._found.get((store, company))
        if found is None:
            found = self._found[(store, company)] = self._decide(store, company)
        return found

    def _decide(self, store: str, company: str) -> StorePolicy:
        erp = next((one for one in self._erps if one.serves(company)), None)
        stores = [one for one in self._posting.stores if fnmatchcase(store, one.stores)]
        over: list[StorePosting | ErpInstance | Posting] = [*stores]
        if erp is not None and erp.instance is not None:
            over.append(erp.instance)
        over.append(self._posting)
        return StorePolicy(
            mode=next(one.mode for one in over if one.mode is not None),
            stock=next(one.stock for one in over if one.stock is not None),
            trickle_s=60 * next(one.trickle_minutes for one in over if one.trickle_minutes is not None),
            trickle_events=next(one.trickle_transactions for one in over if one.trickle_transactions is not None),
        )

    def erp_of(self, company: str) -> str:
        """The name of the ERP that serves a company; empty if none does."""
        return next((one.name for one in self._erps if one.serves(company)), "")

    def issuer(self, number: str, sold_by: str | None) -> str | None:
        """The company that owes on a gift card: as configured by its number, else the one that sold it, if known."""
        rules: tuple[GiftCards, ...] = self._posting.gift_cards
        return next((one.company for one in rules if number.startswith(one.prefix)), sold_by)
