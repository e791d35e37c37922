"""How much of each response has left the speaker: by the player's reports, or as a player in real time would."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from voicebridge.contract.stages import Word

from .spoken_text import ROUNDING_MS, SpokenText

__all__ = ["TOLERANCE_MS", "Player", "ResponsePlayback"]

TOLERANCE_MS = ROUNDING_MS
"""A response is heard to its end when no more than this is missing."""
_REMEMBERED = 16
"""Responses of which a late correction is still understood. Those that still play are remembered in any case."""


@dataclass(slots=True)
class ResponsePlayback:
    """The audio of one response: what was received, what was played, what was said where. In milliseconds."""

    received_ms: float = 0.0
    undelivered_ms: float = 0.0
    """Of what was received: dropped before any player had it."""
    waiting_ms: float = 0.0
    """Of what was received: nobody has taken it yet."""
    played_ms: float | None = None
    """As reported by the player; None while it has not said anything."""
    reported_at: float = 0.0
    """Seconds: when it said so."""
    step_ms: float = 0.0
    """How far it came from its report before that one, and no more than the time between them: so far it may have come
    since. 0 where that is not known, or it stands still."""
    ends_at: float = 0.0
    """Seconds: when a player that plays at once, in real time, would have played it all; or one that goes on in real
    time from where it last said that it is, if that is later."""
    over: bool = False
    """No more audio will come."""
    complete: bool = False
    """It is over, and this was all that was to be said."""
    settled: bool = False
    heard_ms: float = 0.0
    """Final once settled, unless it is corrected."""
    basis: Literal["measured", "provider", "estimated"] = "estimated"
    text: SpokenText = field(default_factory=SpokenText)
    told_text: str = ""
    """The words that were told with `heard_ms`."""
    cut: bool = False
    """It was stopped; what was heard is known better than by the course of time."""
    written: bool = False
    """It came as text, not as speech."""

    @property
    def playable_ms(self) -> float:
        """What a player can have played."""
        return max(0.0, self.received_ms - self.undelivered_ms)

    @property
    def taken_ms(self) -> float:
        """What a player has by now."""
        return max(0.0, self.received_ms - self.undelivered_ms - self.waiting_ms)

    @property
    def whole(self) -> bool:
        """Whether all of it was heard."""
        return self.complete and self.heard_ms >= self.received_ms

    @property
    def at_end(self) -> bool:
        """Whether the player says that it has played all that there is."""
        if not self.over or self.played_ms is None:
            return False
        return self.played_ms >= self.playable_ms - TOLERANCE_MS

    def played_by(self, now: float) -> float:
        """How many milliseconds left the speaker until `now`, never more than could."""
        if self.played_ms is not None:
            played_ms = self._between_reports(self.played_ms, now)
        else:
            played_ms = max(0.0, self.received_ms - self.waiting_ms - max(0.0, (self.ends_at - now) * 1000))
        missing = self.undelivered_ms or self.waiting_ms
        to_the_end = self.complete and not missing and played_ms >= self.received_ms - TOLERANCE_MS
        return self.received_ms if to_the_end else min(played_ms, self.playable_ms)

    def _between_reports(self, played_ms: float, now: float) -> float:
        """Where a player is by now that goes on as it did. One that misses a report has stopped."""
        since_ms = max(0.0, (now - self.reported_at) * 1000)
        if not self.step_ms or since_ms > 2 * self.step_ms:
            return played_ms
        return max(played_ms, min(played_ms + min(since_ms, self.step_ms), self.taken_ms))

    def hear(self, now: float) -> None:
        """Fix what left the speaker until `now`. Once settled, only a player's word changes it."""
        if self.played_ms is not None or not self.settled:
            self.heard_ms = self.played_by(now)
            self.basis = "estimated" if self.played_ms is None else "measured"

    def text_until(self, ms: float) -> str:
        """The words spoken in the first `ms`: by their times where known, else by proportion, to whole words."""
        return self.text.until(ms, self.received_ms)[0]

    def add(self, duration_ms: float, text: str, words: Sequence[Word]) -> None:
        """A piece follows that speaks `text`. One without text prolongs the text of the piece before."""
        start_ms = self.received_ms
        self.received_ms += duration_ms
        if text:
            self.text.say(text, start_ms, words=words)
        elif words:
            self.text.time(words, start_ms)


class Player:
    """Follows a player through all responses: by its reports, or as if it played at once and in real time."""

    def __init__(self) -> None:
        self._responses: dict[str, ResponsePlayback] = {}
        self._free_at = 0.0

    def start(self, response_id: str) -> ResponsePlayback:
        """A response that may get audio. Old ones that are settled are forgotten."""
        if known := self._responses.get(response_id):
            return known
        made = self._responses[response_id] = ResponsePlayback()
        settled = [id for id, response in self._responses.items() if response.settled]
        for id in settled[: max(0, len(self._responses) - _REMEMBERED)]:
            del self._responses[id]
        return made

    def received(
        self, response_id: str, duration_ms: float, now: float, text: str = "", words: Sequence[Word] = ()
    ) -> None:
        """Audio of a response came, `duration_ms` long, speaking `text` with word times from its own first sample."""
        response = self._responses.get(response_id) or self.start(response_id)
        if text or words:
            response.add(duration_ms, text, words)
        else:
            response.received_ms += duration_ms
        self._queue(response, duration_ms, now)

    def plays(self, response: ResponsePlayback, duration_ms: float, now: float) -> None:
        """`received` of a response that is known, without words: fifty times a second."""
        response.received_ms += duration_ms
        self._queue(response, duration_ms, now)

    def waits(self, response: ResponsePlayback, duration_ms: float) -> None:
        """`plays` of what nobody has taken yet: `taken` says when somebody does."""
        response.received_ms += duration_ms
        if response.settled:
            response.undelivered_ms += duration_ms
        else:
            response.waiting_ms += duration_ms

    def taken(self, response: ResponsePlayback, duration_ms: float, now: float) -> None:
        """Somebody has it, and plays it."""
        duration_ms = min(duration_ms, response.waiting_ms)
        response.waiting_ms -= duration_ms
        if not response.settled and duration_ms:
            self._queue(response, duration_ms, now)

    def _queue(self, response: ResponsePlayback, duration_ms: float, now: float) -> None:
        if response.settled:  # nobody plays it any more; it only tells how long the words took
            response.undelivered_ms += duration_ms
            return
        free_at = self._free_at if self._free_at > now else now
        self._free_at = response.ends_at = free_at + duration_ms / 1000

    def undelivered(self, response_id: str, ms: float, now: float) -> None:
        """The last `ms` of what was received of a response were dropped before any player had them."""
        response = self._responses.get(response_id)
        if response is None or not 0 < ms < math.inf:
            return
        ms = min(ms, response.playable_ms)
        response.undelivered_ms += ms
        queued_ms = max(0.0, ms - response.waiting_ms)
        response.waiting_ms = max(0.0, response.waiting_ms - ms)
        if not response.settled and queued_ms:
            ms = queued_ms
            self._skip(response, min(ms / 1000, max(0.0, response.ends_at - now)))

    def report(self, response_id: str, ms: float, now: float) -> bool:
        """The player says how far it is. It never goes back; what is no time is ignored. Whether that is news."""
        response = self._responses.get(response_id)
        if response is None or not (ms >= 0 and math.isfinite(ms)):
            return False
        before_ms, before = response.played_ms, response.reported_at
        if before_ms is not None and ms <= before_ms:
            response.step_ms = 0.0
            return False
        response.played_ms, response.reported_at = ms, now
        plays = not response.cut and not (response.settled and response.at_end)
        response.step_ms = min(ms - before_ms, (now - before) * 1000) if before_ms is not None and plays else 0.0
        ahead_ms = response.received_ms - response.waiting_ms - ms
        if plays and (late := now + ahead_ms / 1000 - response.ends_at) > 0:
            self._skip(response, -late)
        return True

    def cut(self, response_id: str, ms: float) -> bool:
        """The application says how much was heard: that counts, whatever was reported before. Whether it is a time."""
        response = self._responses.get(response_id)
        if response is None or not math.isfinite(ms):
            return False
        response.played_ms, response.step_ms = max(0.0, ms), 0.0
        return True

    def response(self, response_id: str) -> ResponsePlayback | None:
        """What is known of a response; None where there is nothing."""
        return self._responses.get(response_id)

    def unsettled(self) -> tuple[str, ...]:
        """Responses of which it is not yet final what was heard, oldest first."""
        return tuple(id for id, response in self._responses.items() if not response.settled)

    def settle(self, response_id: str, now: float) -> ResponsePlayback | None:
        """Fix what was heard of a response, at its end or where it is cut. What was queued of it plays no more."""
        response = self._responses.get(response_id)
        if response is None:
            return None
        response.hear(now)
        if not response.settled:
            response.settled = True
            self._skip(response, min(max(0.0, response.ends_at - now), response.received_ms / 1000))
        return response

    def _skip(self, shortened: ResponsePlayback, seconds: float) -> None:
        """A response ends earlier than was assumed, or later (below 0), and so does what waits behind it."""
        for response in self._responses.values():
            if response.ends_at > shortened.ends_at:
                response.ends_at -= seconds
        shortened.ends_at -= seconds
        self._free_at -= seconds
