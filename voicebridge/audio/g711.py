"""G.711: μ-law and A-law, eight bits a sample, by lookup tables built at first use.

Written from ITU-T G.711 (11/88): tables 1 and 2 give the decision values and the levels, table 3 of each law the bits.
Both laws code a sign, a segment of three bits and a step of four bits. μ-law works on 14-bit samples with a bias of
33 and sends every bit inverted; A-law works on 13-bit samples and sends every other bit inverted. Samples here are
16-bit, so that they are scaled by 4 (μ-law) and 8 (A-law).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["alaw_decode", "alaw_encode", "ulaw_decode", "ulaw_encode"]

Samples = npt.NDArray[np.int16]
Codes = npt.NDArray[np.uint8]

_ULAW_BIAS = 33
_ULAW_CLIP = 8158
"""The largest 14-bit magnitude that is told apart: the last decision value of G.711 is 8159."""


def ulaw_encode(samples: Samples) -> Codes:
    """Code int16 samples of any shape as μ-law bytes of the same shape. Beyond ±32632 it saturates."""
    return _ulaw_codes()[samples.view(np.uint16)]


def ulaw_decode(codes: Codes) -> Samples:
    """Turn μ-law bytes of any shape into int16 samples of the same shape."""
    return _ulaw_levels()[codes]


def alaw_encode(samples: Samples) -> Codes:
    """Code int16 samples of any shape as A-law bytes of the same shape."""
    return _alaw_codes()[samples.view(np.uint16)]


def alaw_decode(codes: Codes) -> Samples:
    """Turn A-law bytes of any shape into int16 samples of the same shape."""
    return _alaw_levels()[codes]


@lru_cache(maxsize=1)
def _ulaw_levels() -> Samples:
    bits = ~np.arange(256, dtype=np.uint8)
    segment, step = (bits >> 4) & 7, bits & 15
    magnitude = (((2 * step.astype(np.int32) + 33) << segment) - _ULAW_BIAS) * 4
    return np.where(bits & 0x80, -magnitude, magnitude).astype(np.int16)


@lru_cache(maxsize=1)
def _alaw_levels() -> Samples:
    bits = np.arange(256, dtype=np.uint8) ^ 0x55
    segment, step = (bits >> 4) & 7, bits & 15
    # Segments 0 and 1 have the same step; from there on each doubles it.
    odd = 2 * step.astype(np.int32) + 1 + np.where(segment > 0, 32, 0)
    magnitude = (odd << np.maximum(segment.astype(np.int32) - 1, 0)) * 8
    return np.where(bits & 0x80, magnitude, -magnitude).astype(np.int16)


@lru_cache(maxsize=1)
def _ulaw_codes() -> Codes:
    """The code of every 16-bit pattern: the index is the sample read as unsigned."""
    samples = _every_sample()
    negative = samples < 0
    # The low two bits go: towards zero for what is positive, away from it for what is negative, so that the two
    # halves mirror each other around -1/2 (the ones' complement form that the reference code works in).
    magnitude = np.minimum(np.where(negative, ~samples, samples) >> 2, _ULAW_CLIP) + _ULAW_BIAS
    segment = _bit_length(magnitude) - 6
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 15) | np.where(negative, 0x80, 0)
    return np.asarray(~code & 0xFF, dtype=np.uint8)


@lru_cache(maxsize=1)
def _alaw_codes() -> Codes:
    """The code of every 16-bit pattern: the index is the sample read as unsigned."""
    samples = _every_sample()
    negative = samples < 0
    magnitude = np.where(negative, ~samples, samples) >> 4
    segment = np.maximum(_bit_length(magnitude) - 4, 0)
    code = (segment << 4) | ((magnitude >> np.maximum(segment - 1, 0)) & 15) | np.where(negative, 0, 0x80)
    return np.asarray(code ^ 0x55, dtype=np.uint8)


def _every_sample() -> npt.NDArray[np.int32]:
    return np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32)


def _bit_length(values: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """How many bits each value takes; 0 for 0."""
    return np.asarray(np.frexp(values.astype(np.float64))[1], dtype=np.int32)
