"""What the user heard of each response, told to the application and to the history. The rules are the clock's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from voicebridge.contract.events import OutputHeard
from voicebridge.contract.stages import Word
from voicebridge.core.history import History
from voicebridge.core.playback_clock import PlaybackClock
from voicebridge.transport.delivery import Delivery

__all__ = ["PlaybackTracker"]


class PlaybackTracker:
    """A playback clock with a timer, which keeps the history true to what was heard."""

    def __init__(self, history: History, delivery: Delivery) -> None:
        self._history, self._delivery = history, delivery
        self._clock = PlaybackClock()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def received(self, response_id: str, duration_ms: float, text: str, words: Sequence[Word]) -> None:
        """Audio of a response came."""
        self._clock.received(response_id, duration_ms, self._loop.time(), text, words)

    def sounds(self, response_id: str) -> bool:
        """Whether a response has had any audio."""
        return self._clock.knows(response_id)

    def response_ended(self, response_id: str, *, whole: bool) -> None:
        """No more audio will come. When all of it has been played, what was heard is told.

        Args:
            whole: it said all that it meant to say.
        """
        self._tell(self._clock.ended(response_id, "completed" if whole else "failed", self._loop.time()))

    def tell_expected(self, response_id: str) -> None:
        """A response broke off: which of its words have audio, known here alone, is told at once. When that has been
        played, or not, it is told again."""
        if expected := self._clock.expected(response_id):
            self._tell([expected])

    def report(self, response_id: str, ms: float) -> None:
        """The player says how far it is. For unknown responses nothing follows."""
        self._tell(self._clock.report(response_id, ms, self._loop.time()))

    def cut(self, response_ids: Iterable[str], heard: Mapping[str, float]) -> None:
        """These play no more: what was heard is what `heard` says, or what is known of the playback now."""
        ids = tuple(response_ids)
        for id in ids:
            self._delivery.purge(id)
        self._tell(self._clock.cut(ids, heard, self._loop.time()))

    def heard_nothing(self, response_id: str) -> None:
        """A response was stopped before it had any audio."""
        self._clock.received(response_id, 0.0, self._loop.time())
        self.cut((response_id,), {})

    def unsettled(self) -> tuple[str, ...]:
        """Responses that may still be playing, oldest first."""
        return self._clock.unsettled()

    def close(self) -> None:
        """Nothing is told any more."""
        if self._timer:
            self._timer.cancel()
        self._timer = None

    def _due(self) -> None:
        self._tell(self._clock.due(self._loop.time()))

    def _tell(self, told: Iterable[OutputHeard]) -> None:
        for heard in told:
            if heard.text_basis == "whole":
                self._history.hear_all(heard.response_id)
            else:
                self._history.hear(heard.response_id, heard.text)
            self._delivery.put(heard)
        self.close()
        if (due_at := self._clock.due_at()) is not None:
            self._timer = self._loop.call_at(due_at, self._due)
