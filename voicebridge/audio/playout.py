"""What a speaker is to play, and what of it was heard: the bookkeeping of `Speaker`, without a device or a clock."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from voicebridge.contract.audio import AudioFormat

__all__ = ["DUCKED", "PlayoutQueue"]

DUCKED = 0.25
"""The loudness of a voice that is to be heard below another one: 12 dB less."""

_REMEMBERED = 256
"""Responses whose played time is kept. A report is about one of the last few."""


@dataclass(slots=True)
class _Span:
    """A piece of a response that the device has, and will make or made heard."""

    response_id: str
    starts_at: float
    """Seconds on the caller's clock."""
    ms: float


class PlayoutQueue:
    """A bounded queue of audio between the program, which fills it faster than real time, and a device, which takes
    from it in its own thread. All methods may be called from any thread; none waits longer than a copy takes.

    Audio belongs to a response, and what is played is counted for each: silence put in because the queue was empty,
    or because playing is paused, is not. What the device has but has not yet made heard is not counted either.
    """

    def __init__(self, format: AudioFormat, *, limit_ms: float) -> None:
        self.format = format
        self.dropped_ms = 0.0
        """Milliseconds that found no room."""
        self.underrun_ms = 0.0
        """Milliseconds of silence played in the middle of a response, because its audio came too late."""
        self.paused = False
        """While set, silence is played and the queue stays as it is."""
        self.loudness = 1.0
        """Factor of the samples, PCM16. A change takes one buffer of the device, so that it makes no click."""
        self._reached = 1.0
        """The loudness at the end of the last buffer."""
        self._limit = format.size(limit_ms)
        self._lock = threading.Lock()
        self._queue: deque[tuple[str, memoryview]] = deque()
        self._queued = 0
        self._speaking = False
        self._in_flight: deque[_Span] = deque()
        self._played: dict[str, float] = {}

    @property
    def queued_ms(self) -> float:
        """Milliseconds that the device has not taken yet."""
        return self.format.ms(self._queued)

    def add(self, response_id: str, pcm: bytes) -> None:
        """Queue whole frames of a response. What finds no room is dropped, and counted."""
        with self._lock:
            room = max(0, self._limit - self._queued)
            self.dropped_ms += self.format.ms(max(0, len(pcm) - room))
            pcm = pcm[:room]
            self._speaking = True
            if pcm:
                self._queue.append((response_id, memoryview(pcm)))
                self._queued += len(pcm)

    def end(self) -> None:
        """No more comes for now: an empty queue is no underrun until the next `add`."""
        with self._lock:
            self._speaking = False

    def clear(self) -> float:
        """Drop all that the device has not taken; gives its milliseconds."""
        with self._lock:
            dropped = self.queued_ms
            self._queue.clear()
            self._queued = 0
            self._speaking = False
            return dropped

    def drop(self, response_ids: Collection[str]) -> dict[str, float]:
        """Drop what the device has not taken of these responses. Gives the milliseconds of each that were heard, once
        the device has played what it holds."""
        with self._lock:
            self._queue = deque(one for one in self._queue if one[0] not in response_ids)
            self._queued = sum(len(pcm) for _, pcm in self._queue)
            self._speaking = self._speaking and bool(self._queue)
            heard = {one: self._played.get(one, 0.0) for one in response_ids}
            for span in self._in_flight:
                if span.response_id in heard:
                    heard[span.response_id] += span.ms
            return heard

    def fill(self, out: memoryview, *, now: float, starts_at: float) -> None:
        """Fill the device's buffer, of whole frames, to its end. `starts_at` is when its first sample will be heard.

        Called by the device's thread; both times are seconds on one clock of the caller.
        """
        with self._lock:
            self._settle(now)
            at = 0
            while not self.paused and self._queue and at < len(out):
                response_id, pcm = self._queue.popleft()
                taken = pcm[: len(out) - at]
                out[at : at + len(taken)] = taken
                if len(taken) < len(pcm):
                    self._queue.appendleft((response_id, pcm[len(taken) :]))
                offset_s = self.format.ms(at) / 1000
                self._in_flight.append(_Span(response_id, starts_at + offset_s, self.format.ms(len(taken))))
                at += len(taken)
            self._queued -= at
            self._set_loudness(out[:at])
            if at < len(out):
                out[at:] = bytes(len(out) - at)
                if self._speaking and not self.paused:
                    self.underrun_ms += self.format.ms(len(out) - at)

    def played(self, now: float) -> dict[str, float]:
        """Milliseconds of each response that were heard until `now`, oldest response first; the last 256 of them."""
        with self._lock:
            self._settle(now)
            heard = dict(self._played)
            for span in self._in_flight:
                part = min(span.ms, max(0.0, (now - span.starts_at) * 1000))
                heard[span.response_id] = heard.get(span.response_id, 0.0) + part
            return heard

    def idle(self, now: float) -> bool:
        """Whether all that was queued has been heard."""
        with self._lock:
            self._settle(now)
            return not self._queue and not self._in_flight

    def _set_loudness(self, out: memoryview) -> None:
        before, self._reached = self._reached, self.loudness
        if before == self._reached == 1.0 or not out:
            return
        samples = np.frombuffer(out, np.int16)
        samples[:] = samples * np.linspace(before, self._reached, len(samples))

    def _settle(self, now: float) -> None:
        """Count what has been heard to its end."""
        while self._in_flight and self._in_flight[0].starts_at + self._in_flight[0].ms / 1000 <= now:
            span = self._in_flight.popleft()
            self._played[span.response_id] = self._played.get(span.response_id, 0.0) + span.ms
            if len(self._played) > _REMEMBERED:
                del self._played[next(iter(self._played))]
