"""Where a recording holds speech, by level alone: read once, in blocks, whatever its length.

A window of 10 ms is loud when it lies above 5 % of the recording's loud parts (the 99th percentile of its levels) and
above twice its quiet ones (the 10th), for 30 ms or more. Quiet parts that come within 12 dB of the loud ones are no
silence: a recording without any is speech all through. Loud windows less than 250 ms apart are one span; a span with
less than 100 ms of them is a click or a breath.
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
_RUN_MS = 30.0
_LEAST_MS = 100.0
_OF_LOUD_DB = 20 * np.log10(0.05)
_OF_QUIET_DB = 20 * np.log10(2.0)
_CONTRAST_DB = 12.0
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
    high, low = np.percentile(heard, 99), np.percentile(levels, 10)
    floor = max(high + _OF_LOUD_DB, min(low + _OF_QUIET_DB, high - _CONTRAST_DB), _QUIETEST_DBFS)
    step = _window(rate) * 1000 / rate
    spans: list[Span] = []
    loud_ms = 0.0
    for start, end in _runs(levels > floor, least=round(_RUN_MS / _WINDOW_MS)):
        if spans and start * step - spans[-1].end_ms < PAUSE_MS:
            spans[-1], loud_ms = Span(spans[-1].start_ms, end * step), loud_ms + (end - start) * step
            continue
        if spans and loud_ms < _LEAST_MS:
            spans.pop()
        spans.append(Span(start * step, end * step))
        loud_ms = (end - start) * step
    return spans[:-1] if loud_ms < _LEAST_MS else spans


def _runs(loud: npt.NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """Where `least` or more in a row are loud: the first, and the one after the last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], loud, [False])).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, end) for start, end in pairs if end - start >= least]


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
