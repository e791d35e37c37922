"""What the user heard of each response: told when it is final, told again when the player corrects it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from voicebridge.contract.events import OutputHeard
from voicebridge.contract.stages import Word
from voicebridge.core.history import History
from voicebridge.core.playback import TOLERANCE_MS, Player, ResponsePlayback
from voicebridge.transport.delivery import Delivery

__all__ = ["PlaybackTracker"]

_STALLED_S = 2.0
"""A player that reports, but no progress for this long after it should have come to the end, has stopped."""


class PlaybackTracker:
    """Follows playback, by the player's reports or as if it played at once, and keeps the history true to it."""

    def __init__(self, history: History, delivery: Delivery) -> None:
        self._history, self._delivery = history, delivery
        self._player = Player()
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def received(self, response_id: str, duration_ms: float, text: str, words: Sequence[Word]) -> None:
        """Audio of a response came."""
        self._player.received(response_id, duration_ms, self._loop.time(), text, words)

    def sounds(self, response_id: str) -> bool:
        """Whether a response has had any audio."""
        return self._player.response(response_id) is not None

    def response_ended(self, response_id: str, *, whole: bool) -> None:
        """No more audio will come. When all of it has been played, what was heard is told.

        Args:
            whole: it said all that it meant to say.
        """
        playback = self._player.response(response_id)
        if playback is None or playback.settled:
            return
        playback.ended = whole
        if _at_end(playback):
            self._settle(response_id)
        else:
            stalled_s = 0.0 if playback.played_ms is None else _STALLED_S
            self._watch(response_id, playback.ends_at + stalled_s, playback.played_ms)

    def report(self, response_id: str, ms: float) -> None:
        """The player says how far it is. For unknown responses nothing follows."""
        self._player.report(response_id, ms)
        playback = self._player.response(response_id)
        if playback is None or playback.played_ms is None:
            return
        if not playback.settled:
            if _at_end(playback):
                self._settle(response_id)
        elif playback.whole and playback.basis == "estimated" and not _at_end(playback):
            playback.settled = False  # it plays more slowly than was assumed
            self._watch(response_id, self._loop.time() + _STALLED_S, playback.played_ms)
        elif not playback.whole and abs(playback.played_ms - playback.heard_ms) >= 1:
            self._settle(response_id)

    def cut(self, response_ids: Iterable[str], heard: Mapping[str, float]) -> None:
        """These play no more: what was heard is what `heard` says, or what is known of the playback now."""
        for id in response_ids:
            if id in heard:
                self._player.cut(id, heard[id])
            self._delivery.purge(id)
            self._settle(id)

    def heard_nothing(self, response_id: str) -> None:
        """A response was stopped before it had any audio."""
        self._history.hear(response_id, "")
        self._delivery.put(OutputHeard(response_id=response_id, heard_ms=0.0, text="", basis="measured"))

    def unsettled(self) -> tuple[str, ...]:
        """Responses that may still be playing, oldest first."""
        return self._player.unsettled()

    def close(self) -> None:
        """Nothing is told any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _watch(self, response_id: str, at: float, seen_ms: float | None) -> None:
        self._forget_timer(response_id)
        self._timers[response_id] = self._loop.call_at(at, self._due, response_id, seen_ms)

    def _due(self, response_id: str, seen_ms: float | None) -> None:
        """By now it should have been played. One that reports is waited for as long as it gets on."""
        playback = self._player.response(response_id)
        if playback is None or playback.settled:
            self._forget_timer(response_id)
        elif playback.played_ms is None or playback.played_ms == seen_ms:
            self._settle(response_id)
        else:
            self._watch(response_id, self._loop.time() + _STALLED_S, playback.played_ms)

    def _settle(self, response_id: str) -> None:
        self._forget_timer(response_id)
        playback = self._player.settle(response_id, self._loop.time())
        if playback is None:
            return
        text = playback.text_until(playback.heard_ms)
        if playback.whole:
            self._history.hear_all(response_id)
        else:
            self._history.hear(response_id, text)
        heard = OutputHeard(response_id=response_id, heard_ms=playback.heard_ms, text=text, basis=playback.basis)
        self._delivery.put(heard)

    def _forget_timer(self, response_id: str) -> None:
        if timer := self._timers.pop(response_id, None):
            timer.cancel()


def _at_end(playback: ResponsePlayback) -> bool:
    """Whether the player says that it has played all that there is."""
    played_ms = playback.played_ms
    return playback.ended and played_ms is not None and played_ms >= playback.received_ms - TOLERANCE_MS
