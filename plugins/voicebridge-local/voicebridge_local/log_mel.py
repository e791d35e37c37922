"""The picture of sound that Whisper's encoder reads: log-mel energies, 80 bands, a frame each 10 ms.

As `transformers.WhisperFeatureExtractor` defines it (its parameters are the model's): Hann windows of 25 ms, the
Slaney mel scale up to 8 kHz, the loudest 80 dB, brought to about -1 to 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

__all__ = ["BANDS", "RATE", "log_mel"]

RATE = 16_000
BANDS = 80
_WINDOW = 400
_HOP = 160
_LINEAR_HZ = 1000.0
_HZ_PER_MEL = 200 / 3
_LOG_STEP = np.log(6.4) / 27
"""Of the Slaney scale: linear up to 1 kHz, then 27 mels for each factor of 6.4."""


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of samples at 16 kHz from -1 to 1, brought to mean 0 and variance 1 before. Shape: bands, frames."""
    even = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    padded = np.pad(even.astype(np.float32), _WINDOW // 2, mode="reflect")
    window, bands = _tables()
    frames = sliding_window_view(padded, _WINDOW)[::_HOP][:-1] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    energies = np.log10(np.maximum(power @ bands, 1e-10))
    loudest = np.maximum(energies, energies.max() - 8)
    return np.ascontiguousarray(((loudest + 4) / 4).T, dtype=np.float32)


@cache
def _tables() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The window, and the weight of each frequency in each band: triangles of equal area."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
    top = _LINEAR_HZ / _HZ_PER_MEL + np.log(RATE / 2 / _LINEAR_HZ) / _LOG_STEP
    mels = np.linspace(0, top, BANDS + 2)
    knee = _LINEAR_HZ / _HZ_PER_MEL
    corners = np.where(mels < knee, mels * _HZ_PER_MEL, _LINEAR_HZ * np.exp((mels - knee) * _LOG_STEP))
    hz = np.linspace(0, RATE / 2, _WINDOW // 2 + 1)[:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    triangles = np.maximum(0, np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle)))
    return window.astype(np.float32), (triangles * 2 / (high - low)).astype(np.float32)
