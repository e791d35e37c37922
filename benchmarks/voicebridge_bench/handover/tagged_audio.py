"""A user's voice in which each sample tells its own place, and a listener that reads which samples have come.

The lowest bit of each sample is one of a long random row, the same on both sides. So a piece of 32 samples or more is
at one place of the row alone, and what arrived is known to the sample, whichever connection brought it, and however it
was cut. Anything but a copy (resampling, say) is not understood and counted as such.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np

from voicebridge_bench.realtime.stamp import FRAME_BYTES

__all__ = ["FRAME_SAMPLES", "TagReader", "TaggedVoice", "covered"]

FRAME_SAMPLES = FRAME_BYTES // 2
_LONGEST_S = 180
_RATE = 24_000
_LEAST = 32
"""Samples that are at one place alone, for certain enough: the row has four million."""
_ROW = np.unpackbits(np.frombuffer(random.Random(11).randbytes(_LONGEST_S * _RATE // 8), dtype=np.uint8))
_ROW_BYTES = _ROW.tobytes()
_ROW_SAMPLES = _ROW.astype("<i2")
_TONE = (np.sin(np.arange(FRAME_SAMPLES) * 2 * np.pi * 250 / _RATE) * 8000).astype("<i2") & ~1
"""20 ms of a voice: a whole number of periods."""


class TaggedVoice:
    """Frames of 20 ms of 24 kHz PCM, silent or loud."""

    def __init__(self) -> None:
        self.samples = 0
        """Given so far."""

    def frame(self, *, loud: bool) -> bytes:
        """The next 20 ms.

        Raises:
            IndexError: a voice has no more than three minutes.
        """
        tags = _ROW_SAMPLES[self.samples : self.samples + FRAME_SAMPLES]
        if len(tags) < FRAME_SAMPLES:
            raise IndexError("The voice has come to its end.")
        self.samples += FRAME_SAMPLES
        return (_TONE | tags if loud else tags).tobytes()


class TagReader:
    """Tells which samples have come, over all connections of one call."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        """Start and end of what came in a row, in the order in which it came."""
        self.strange = 0
        """Samples that belong nowhere."""
        self.samples = 0
        """All that came, what came twice twice."""

    def take(self, pcm: bytes) -> None:
        """A piece has come."""
        tags = (np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2") & 1).astype(np.uint8).tobytes()
        self.samples += len(tags)
        at = self._place(tags)
        if at is None:
            self.strange += len(tags)
        elif self.runs and self.runs[-1][1] == at:
            self.runs[-1][1] += len(tags)
        else:
            self.runs.append([at, at + len(tags)])

    def _place(self, tags: bytes) -> int | None:
        expected = self.runs[-1][1] if self.runs else 0
        if _ROW_BYTES.startswith(tags, expected):
            return expected
        at = _ROW_BYTES.find(tags) if len(tags) >= _LEAST else -1
        return None if at < 0 else at


def covered(runs: Iterable[Sequence[int]]) -> int:
    """How many samples lie in any of the runs."""
    total = end = 0
    for start, stop in sorted((run[0], run[1]) for run in runs):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total
