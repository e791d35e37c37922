"""Looks whether the user's voice arrives at whoever has the call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from voicebridge.contract.audio import AudioFormat
from voicebridge.core.line_watch import LineWatch

from .leg import Leg

__all__ = ["LineGuard", "LineOwner"]

_LOOK_S = 0.25
_AGAIN_S = 3.0
"""So often a line that stays stalled is told of."""
_ROUNDING_MS = 60.0
"""Converters hold some samples back, and places are rounded."""


class LineOwner(Protocol):
    """Who can do something about it."""

    @property
    def has_room(self) -> bool:
        """Whether somebody takes the events: else no word of what arrives comes through."""

    def line_stalled(self, since: float, *, first: bool) -> None:
        """Nothing more has arrived since then."""

    def line_recovered(self) -> None:
        """It has, after all."""


class LineGuard:
    """Looks while something is under way on a connection that knows what has arrived.

    Args:
        leg: gives the one that has the call.
    """

    def __init__(
        self, leg: Callable[[], Leg | None], format: AudioFormat, clock: Callable[[], float], owner: LineOwner
    ) -> None:
        self._leg, self._clock, self._owner = leg, clock, owner
        self._rounding = format.size(_ROUNDING_MS)
        self._watched: Leg | None = None
        self._watch = LineWatch()
        self._told_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def looks(self) -> bool:
        """Whether it will look again by itself."""
        return self._timer is not None

    def start(self) -> None:
        """Something was sent."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        leg, now = self._leg(), self._clock()
        if leg is not self._watched:
            self._watched, self._watch = leg, LineWatch()
        if leg is None or leg.ready is None or leg.session is None or not leg.session.confirms:
            return
        arrived = leg.delivered_bytes
        under_way = leg.sent.size - arrived - self._rounding
        news = self._watch.look(under_way, arrived, now, deaf=not self._owner.has_room)
        if under_way > 0:
            self.start()
        if news == "recovered":
            self._owner.line_recovered()
        elif self._watch.stalled and self._watch.since is not None and (news or now - self._told_at >= _AGAIN_S):
            self._told_at = now
            self._owner.line_stalled(self._watch.since, first=bool(news))
