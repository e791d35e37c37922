"""How loud audio is, where it begins to be heard, and where it holds speech. Pure functions on PCM16 mono samples.

Full scale (0 dBFS) is a constant of 32768, so that the loudest tone has -3 dBFS.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "AUDIBLE_DBFS",
    "SILENCE_DBFS",
    "first_audible",
    "rms_dbfs",
    "speech_runs",
    "window_samples",
]

Samples = npt.NDArray[np.int16] | bytes
"""Signed 16-bit mono samples: an array of shape (n,), or their little-endian bytes."""

AUDIBLE_DBFS = -50.0
"""RMS above which a window counts as heard."""
SILENCE_DBFS = -120.0
"""What digital silence is reported as: minus infinity would spoil every mean."""
_WINDOW_MS = 10.0
_HOLD_MS = 30.0
_OF_LOUD_DB = 20 * np.log10(0.05)
_OF_QUIET_DB = 20 * np.log10(2.0)
_CONTRAST_DB = 12.0
_QUIETEST_DBFS = -60.0
"""Below this nothing is speech, however silent the rest is."""


def rms_dbfs(samples: Samples, rate: int, *, window_ms: float = _WINDOW_MS) -> npt.NDArray[np.float64]:
    """The level of each window of `window_ms` milliseconds in dBFS, shape (windows,); the last one may be shorter."""
    values = _floats(samples)
    if not values.size:
        return np.empty(0)
    starts = np.arange(0, values.size, _window(rate, window_ms))
    lengths = np.diff(np.append(starts, values.size))
    return _dbfs(np.add.reduceat(values**2, starts) / lengths)


def first_audible(samples: Samples, rate: int, *, threshold_dbfs: float = AUDIBLE_DBFS) -> int | None:
    """The index of the first sample that is heard, or None.

    Heard is what stays above `threshold_dbfs` (RMS of 10 ms, looked at each millisecond) for 30 ms or more, so that a
    click is not speech. The sample is the first of that stretch that is itself above the threshold: the window's
    own length does not make the sound begin earlier.
    """
    values = _floats(samples)
    window, hop = _window(rate, _WINDOW_MS), _window(rate, 1.0)
    if values.size < _window(rate, _HOLD_MS):
        return None
    energy = np.concatenate(([0.0], np.cumsum(values**2)))
    starts = np.arange(0, values.size - window + 1, hop)
    loud = _dbfs((energy[starts + window] - energy[starts]) / window) > threshold_dbfs
    # So many windows in a row, a hop apart, span the time that it must hold.
    run = max(1, -(-(_window(rate, _HOLD_MS) - window) // hop) + 1)
    counts = np.concatenate(([0], np.cumsum(loud)))
    held = np.flatnonzero(counts[run:] - counts[:-run] == run)
    if not held.size:
        return None
    start = int(starts[held[0]])
    gate = 32768 * 10 ** (threshold_dbfs / 20)
    return start + int(np.argmax(np.abs(values[start : start + window]) >= gate))


def speech_runs(levels: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Where a recording holds speech, from the levels of its windows of 10 ms: (first window, window after the last).

    A window is speech when it lies above 5 % of the recording's loud parts (the 99th percentile of its levels) and
    above twice its quiet ones (the 10th), for 30 ms or more. Quiet parts that come within 12 dB of the loud ones are no
    silence: a recording without any is speech all through.
    """
    heard = levels[levels > SILENCE_DBFS]
    if not heard.size:
        return []
    high, low = np.percentile(heard, 99), np.percentile(levels, 10)
    floor = max(high + _OF_LOUD_DB, min(low + _OF_QUIET_DB, high - _CONTRAST_DB), _QUIETEST_DBFS)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], levels > floor, [False])).astype(np.int8)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(first, after) for first, after in pairs if (after - first) * _WINDOW_MS >= _HOLD_MS]


def window_samples(rate: int) -> int:
    """Samples of a window of 10 ms at `rate` Hz: not always 10 ms to the dot."""
    return _window(rate, _WINDOW_MS)


def _floats(samples: Samples) -> npt.NDArray[np.float64]:
    if isinstance(samples, bytes | bytearray | memoryview):
        samples = np.frombuffer(samples, "<i2", count=len(samples) // 2)
    return samples.astype(np.float64)


def _window(rate: int, ms: float) -> int:
    return max(1, round(rate * ms / 1000))


def _dbfs(mean_square: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    floor = 10 ** (SILENCE_DBFS / 10)
    return np.asarray(10 * np.log10(np.maximum(mean_square / 32768.0**2, floor)))
