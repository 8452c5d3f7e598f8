"""What the Square connector must be told: which of Square's locations is which store, and how to reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from tillwire.connectors.spec import Secret, checked_url, time_zone
from tillwire.errors import ConfigurationError
from tillwire.model.fields import Code, Identifier


class SquareSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One seller. Reading needs none of it but ``locations`` and ``time_zone``; webhooks need ``signature_key`` and
    ``notification_url``; fetching needs ``access_token`` and ``locations``."""

    locations: Mapping[str, Identifier] = {}
    """Store of the hub by Square's location id; one that is not named is a store by its own id."""
    register: Identifier = "square"
    """The register that Square's sales are told under: Square numbers neither devices nor receipts."""
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    """The stores' zone (IANA): gives business dates, for Square's times are in UTC."""
    time_zones: Mapping[str, str] = {}
    """The zone of a store (by its number in the hub), where it is another."""
    skus: Mapping[str, str] = {}
    """Product code by Square's catalog object id (of the variation); one that is not named is
    ``catalog:ID``, an item without one ``item:NAME``."""
    refund_tender: Code = "refund"
    """The tender of refunds whose means of payment Square does not tell with them."""
    signature_key: Secret = ""
    """Signs the webhooks (x-square-hmacsha256-signature)."""
    old_signature_key: Secret = ""
    """The one before, for as long as a rotation takes."""
    notification_url: str = ""
    """The webhooks' URL exactly as Square has it: it is part of what is signed."""
    url: str = "https://connect.squareup.com"
    access_token: Secret = ""
    api_version: str = "2025-01-23"
    """The header Square-Version of our requests."""
    interval_s: Annotated[int, Meta(ge=1)] = 300
    """Between two pulls."""
    overlap_s: Annotated[int, Meta(ge=1)] = 900
    """How far a pull reaches back behind the start of the one before."""
    since: str = "2020-01-01T00:00:00Z"
    """The first pull begins at this time."""
    page_size: Annotated[int, Meta(ge=1, le=100)] = 100
    timeout_s: Annotated[int, Meta(ge=1)] = 60
    attempts: Annotated[int, Meta(ge=1, le=10)] = 3
    patience_s: Annotated[int, Meta(ge=0)] = 20
    """The longest wait within a pull; asked for more, it is put off."""

    def __post_init__(self) -> None:
        time_zone(self.time_zone, "time_zone")
        for store, name in self.time_zones.items():
            time_zone(name, f"time_zones.{store}")
        checked_url(self.url, "url")
        if self.notification_url:
            checked_url(self.notification_url, "notification_url", secret=False)

    def zone(self, store: str) -> ZoneInfo:
        """A store's time zone."""
        return ZoneInfo(self.time_zones.get(store, self.time_zone))

    def checked_url(self) -> str:
        """Square's URL without a slash at its end. Raises ``ConfigurationError`` for one that sends the token in
        clear, and where something to fetch with is missing."""
        if not self.access_token or not self.locations:
            raise ConfigurationError("access_token and locations are needed to fetch from Square")
        return checked_url(self.url, "url")
