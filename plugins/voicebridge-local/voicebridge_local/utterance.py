"""The audio of one utterance, and where in it somebody speaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "RATE", "Span", "Utterance"]

RATE = 16_000
"""Samples a second."""
BLOCK = RATE // 100
"""Samples whose level is taken together: 10 ms."""
_SPEECH_SHARE = 0.03
"""Of the loud parts' level: what lies below is a pause."""
_QUIETEST_SPEECH = 1e-3
"""Level (root mean square, full scale is 1) below which nothing is speech: -60 dB."""
_HEAD = RATE * 150 // 1000
"""Samples kept before speech. More lets the recogniser write words that nobody said."""
_TAIL = RATE * 120 // 1000
"""Samples kept after speech, where there are any. Fewer than 40 ms cost the last word."""
_ENOUGH_TAIL = RATE * 40 // 1000


@dataclass(frozen=True, slots=True)
class Span:
    """A part of an utterance, in samples from its beginning."""

    start: int
    end: int
    speech_end: int
    """Behind the last block with speech in it."""

    def says_all_of(self, other: Span) -> bool:
        """Whether `other` holds no speech that this one has not, nor cuts off less of its end."""
        return self.start <= other.start + _HEAD and self.speech_end == other.speech_end and self.whole

    @property
    def whole(self) -> bool:
        """Whether enough follows the last speech for it to be understood."""
        return self.end - self.speech_end >= _ENOUGH_TAIL


class Utterance:
    """Grows at its end, and can forget its beginning."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._levels: list[float] = []
        self._begin = 0
        self._loud = 0.0

    @property
    def begin(self) -> int:
        """The first sample that is not forgotten."""
        return self._begin

    @property
    def end(self) -> int:
        """Behind the last sample."""
        return self._begin + len(self._pcm) // 2

    def add(self, pcm: bytes) -> None:
        """Take more PCM16. An odd byte waits for its other half."""
        self._pcm += pcm
        done = len(self._levels) * BLOCK
        blocks = (len(self._pcm) // 2 - done) // BLOCK
        if blocks:
            # A copy, since a view would forbid the array to grow.
            fresh = np.frombuffer(bytes(self._pcm[2 * done : 2 * (done + blocks * BLOCK)]), "<i2")
            levels = np.sqrt(np.mean((fresh.reshape(blocks, BLOCK) / 32768.0) ** 2, axis=1))
            self._levels.extend(levels.tolist())

    def samples(self, start: int, end: int) -> NDArray[np.float32]:
        """The samples of a part, as numbers from -1 to 1."""
        part = bytes(self._pcm[2 * (start - self._begin) : 2 * (end - self._begin)])
        return np.frombuffer(part, "<i2").astype(np.float32) / np.float32(32768)

    def speech(self, end: int | None = None) -> Span | None:
        """The part up to `end` (or all) from first to last speech, and a little around it. None: only silence."""
        end = self.end if end is None else end
        levels = np.array(self._levels[: (end - self._begin) // BLOCK])
        if not len(levels):
            return None
        self._loud = max(self._loud, float(np.percentile(levels, 95)))
        heard = np.flatnonzero(levels > max(_QUIETEST_SPEECH, _SPEECH_SHARE * self._loud))
        if not len(heard):
            return None
        first = self._begin + int(heard[0]) * BLOCK
        behind = self._begin + (int(heard[-1]) + 1) * BLOCK
        return Span(max(self._begin, first - _HEAD), min(end, behind + _TAIL), behind)

    def quietest(self, start: int, end: int) -> int:
        """The middle of the quietest 200 ms between two samples: where to cut if it must be."""
        first = (start - self._begin) // BLOCK
        levels = np.array(self._levels[first : (end - self._begin) // BLOCK])
        width = min(20, len(levels))
        if not width:
            return end
        sums = np.convolve(levels, np.ones(width), "valid")
        return self._begin + (first + int(sums.argmin()) + width // 2) * BLOCK

    def forget(self, before: int) -> None:
        """Let go of everything before a sample (of the block it lies in, from the block's start)."""
        blocks = (before - self._begin) // BLOCK
        del self._pcm[: 2 * blocks * BLOCK]
        del self._levels[:blocks]
        self._begin += blocks * BLOCK
