"""The UUIDs of messages to SAP: a new one for each, and the same again for one that got no answer."""

from __future__ import annotations

import uuid

from tillwire import clock


class Unanswered:
    """What was sent and got no answer, by its content, for a while.

    SAP takes a message of one UUID once. So what is sent again after a lost reply is not booked twice, even while SAP
    has not worked off the first and nothing of it can be seen. What SAP answered is forgotten: the same journal may be
    sent again after it was refused and mended in SAP. In memory only: after a crash the look-up alone decides.
    """

    def __init__(self, kept_s: float) -> None:
        self._kept_s = kept_s
        self._by_content: dict[bytes, tuple[str, float]] = {}

    def uuid_for(self, content: bytes) -> str:
        """The UUID to send this under: that of before if it got no answer, else a new one."""
        now = clock.monotonic_s()
        self._by_content = {key: kept for key, kept in self._by_content.items() if kept[1] > now}
        known = self._by_content.get(content)
        return known[0] if known is not None else str(uuid.uuid4())

    def lost(self, content: bytes, identifier: str) -> None:
        """No answer came."""
        self._by_content.setdefault(content, (identifier, clock.monotonic_s() + self._kept_s))

    def answered(self, content: bytes) -> None:
        """It did come."""
        self._by_content.pop(content, None)
