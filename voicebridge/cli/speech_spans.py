"""Where a recording holds speech, by level alone: read once, in blocks, whatever its length.

A window of 10 ms is loud when it lies above 5 % of the recording's loud parts (the 99th percentile of its levels) and
above twice its quiet ones (the 10th). Loud windows less than 250 ms apart are one span; a span with less than 100 ms
of loud windows is a click or a breath.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebridge.audio.level import SILENCE_DBFS, rms_dbfs

__all__ = ["PAUSE_MS", "Span", "speech_spans"]

PAUSE_MS = 250.0
"""Milliseconds without a loud window that end a span."""
_WINDOW_MS = 10.0
_LEAST_MS = 100.0
_OF_LOUD_DB = 20 * np.log10(0.05)
_OF_QUIET_DB = 20 * np.log10(2.0)
_QUIETEST_DBFS = -60.0
"""Below this nothing is speech, however silent the rest is."""


@dataclass(frozen=True, slots=True)
class Span:
    """Speech without a long pause, in milliseconds from the recording's first sample."""

    start_ms: float
    end_ms: float


def speech_spans(blocks: Iterable[bytes], rate: int) -> list[Span]:
    """The spans of speech in PCM16 mono at `rate` Hz."""
    levels = _levels(blocks, rate)
    if not levels.size or levels.max() <= SILENCE_DBFS:
        return []
    heard = levels[levels > SILENCE_DBFS]
    floor = max(np.percentile(heard, 99) + _OF_LOUD_DB, np.percentile(levels, 10) + _OF_QUIET_DB, _QUIETEST_DBFS)
    loud = np.flatnonzero(levels > floor)
    if not loud.size:
        return []
    step = _window(rate) * 1000 / rate
    breaks = np.flatnonzero(np.diff(loud) > PAUSE_MS / step) + 1
    groups = [group for group in np.split(loud, breaks) if len(group) * step >= _LEAST_MS]
    return [Span(float(group[0]) * step, float(group[-1] + 1) * step) for group in groups]


def _levels(blocks: Iterable[bytes], rate: int) -> npt.NDArray[np.float64]:
    """The level of each window of 10 ms, in dBFS."""
    window = _window(rate) * 2
    levels, rest = [], b""
    for block in blocks:
        block = rest + block
        whole = len(block) - len(block) % window
        levels.append(rms_dbfs(block[:whole], rate, window_ms=_WINDOW_MS))
        rest = block[whole:]
    return np.concatenate(levels) if levels else np.empty(0)


def _window(rate: int) -> int:
    """Samples of a window: not always 10 ms to the dot."""
    return max(1, round(rate * _WINDOW_MS / 1000))
