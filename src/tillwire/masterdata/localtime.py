"""From the clock on a store's wall to an instant and back, on days of 23, 24 and 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=8192)
def instant(local: datetime, zone_name: str) -> datetime:
    """The first instant (in UTC) at which a clock in that zone shows ``local`` or a later time.

    A time that occurs twice, when clocks are set back, means its first occurrence. One that never occurs, when they are
    set forward, means the moment they are. So the later of two local times never comes before the earlier one.
    """
    zone = ZoneInfo(zone_name)
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if local_time(first, zone_name) == local:
        return first
    # In the gap: clocks were set forward somewhere between these two seconds.
    before = int(local.replace(tzinfo=zone, fold=1).timestamp())
    after = int(first.timestamp())
    while after - before > 1:
        middle = (before + after) // 2
        if local_time(datetime.fromtimestamp(middle, UTC), zone_name) < local:
            before = middle
        else:
            after = middle
    return datetime.fromtimestamp(after, UTC)


def local_time(moment: datetime, zone_name: str) -> datetime:
    """What a clock in that zone shows at an instant (which has an offset)."""
    return moment.astimezone(ZoneInfo(zone_name)).replace(tzinfo=None, fold=0)
