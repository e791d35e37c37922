"""Where a recording holds speech, by level alone: read once, in blocks, whatever its length.

Which windows of 10 ms are speech, `voicebridge.audio.level.speech_runs` says. Those less than 250 ms apart are one
span; a span with less than 100 ms of them is a click or a breath.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voicebridge.audio.level import rms_dbfs, speech_runs, window_samples

__all__ = ["PAUSE_MS", "Span", "speech_spans"]

PAUSE_MS = 250.0
"""Milliseconds without a loud window that end a span."""
_LEAST_MS = 100.0


@dataclass(frozen=True, slots=True)
class Span:
    """Speech without a long pause, in milliseconds from the recording's first sample."""

    start_ms: float
    end_ms: float


def speech_spans(blocks: Iterable[bytes], rate: int) -> list[Span]:
    """The spans of speech in PCM16 mono at `rate` Hz."""
    step = window_samples(rate) * 1000 / rate
    spans: list[Span] = []
    loud_ms = 0.0
    for start, end in speech_runs(_levels(blocks, rate)):
        if spans and start * step - spans[-1].end_ms < PAUSE_MS:
            spans[-1], loud_ms = Span(spans[-1].start_ms, end * step), loud_ms + (end - start) * step
            continue
        if spans and loud_ms < _LEAST_MS:
            spans.pop()
        spans.append(Span(start * step, end * step))
        loud_ms = (end - start) * step
    return spans[:-1] if loud_ms < _LEAST_MS else spans


def _levels(blocks: Iterable[bytes], rate: int) -> npt.NDArray[np.float64]:
    """The level of each whole window of 10 ms, in dBFS."""
    window = window_samples(rate) * 2
    levels, rest = [], b""
    for block in blocks:
        block = rest + block
        whole = len(block) - len(block) % window
        levels.append(rms_dbfs(block[:whole], rate))
        rest = block[whole:]
    return np.concatenate(levels) if levels else np.empty(0)
