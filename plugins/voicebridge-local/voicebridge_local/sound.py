"""Cutting the silence around a piece of speech, so that clauses follow each other like those of one speaker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["trimmed"]

_AUDIBLE = 0.01
"""Of full scale: what lies below is silence."""
_FADE_MS = 2.0


def trimmed(samples: NDArray[np.float32], rate: int, *, lead_ms: float, trail_ms: float) -> NDArray[np.float32]:
    """The samples (full scale is 1) with at most so many milliseconds of silence before and after; all silence: none.

    Where something is cut, the rest is faded over two milliseconds, so that nothing clicks.
    """
    heard = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not len(heard):
        return samples[:0]
    start = max(0, int(heard[0]) - int(lead_ms * rate / 1000))
    end = min(len(samples), int(heard[-1]) + 1 + int(trail_ms * rate / 1000))
    kept = samples[start:end].copy()
    fade = min(int(_FADE_MS * rate / 1000), len(kept) // 2)
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    if start > 0:
        kept[:fade] *= ramp
    if end < len(samples):
        kept[len(kept) - fade :] *= ramp[::-1]
    return kept
