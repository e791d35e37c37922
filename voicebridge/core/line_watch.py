"""Whether what a connection is sent arrives: one that is dead upwards may still speak.

state     input                                         becomes
fine      nothing is under way, or more has arrived     fine
fine      nothing more arrived for 2.5 s, some is       stalled   "stalled"
          under way
stalled   more has arrived                              fine      "recovered"
any       nobody could have noticed what arrives        the same: that time does not count
"""

from __future__ import annotations

from typing import Literal

__all__ = ["LineWatch", "News"]

News = Literal["stalled", "recovered", ""]

_STALLED_S = 2.5
_LOOK_S = 0.5
"""Between two looks. One that comes later was kept from it, and so was whoever hears what arrives."""


class LineWatch:
    """Is asked to look several times a second, as long as something is under way. Sizes are bytes, times seconds."""

    def __init__(self) -> None:
        self.since: float | None = None
        """Since when nothing more has arrived, while something is under way."""
        self.stalled = False
        self._arrived = 0
        self._looked_at: float | None = None

    def look(self, under_way: int, arrived: int, now: float, *, deaf: bool = False) -> News:
        """What is new.

        Args:
            under_way: sent, and not known to have arrived.
            deaf: what arrives can't be noticed just now.
        """
        before, self._looked_at = self._looked_at, now
        if under_way <= 0 or arrived > self._arrived:
            self._arrived = max(arrived, self._arrived)
            self.since = now if under_way > 0 else None
            recovered, self.stalled = self.stalled, False
            return "recovered" if recovered else ""
        if self.since is None:
            self.since = now
        elif before is not None:
            self.since += now - before if deaf else max(0.0, now - before - _LOOK_S)
        if not self.stalled and now - self.since >= _STALLED_S:
            self.stalled = True
            return "stalled"
        return ""
