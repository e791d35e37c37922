"""One channel from one sample rate to another, in pieces, with 2 ms of delay.

Why not a library: libsoxr filters in blocks of a fixed size, so that a stream waits for a block to fill. Measured at
24 kHz -> 16 kHz with one sample a call, audio held back: LQ 20 ms (and -20 dB at 0.9 of the band), MQ and HQ 37 ms,
VHQ 77 ms; 24 kHz -> 8 kHz HQ 73 ms. QQ holds nothing back but does not filter: aliases at -1.5 dB. A reply that
should start within 300 ms crosses two of these. A direct polyphase filter waits for nothing but its own half length.

The filter is a sinc under a Kaiser window, 32 zero crossings of the lower rate to each side: flat to 0.85 of the lower
Nyquist frequency (3.4 kHz of a telephone's 4, 6.8 kHz of 8), 80 dB down from that frequency on.

The arithmetic is exact: samples and taps are whole numbers held in float64, and no sum of their products reaches 2**53,
so that no order of adding them gives another result. That is why a stream cut anywhere comes out the same, to the bit.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, gcd

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

__all__ = ["Resampler"]

Floats = npt.NDArray[np.float64]

ZERO_CROSSINGS = 32
STOPBAND_DB = 80.0
UNITY = 1 << 28
"""A gain of 1 in the filter's taps. 17-bit samples times 2**28 times the sum of |taps| (< 4) stay below 2**48."""
MOST_PHASES = 1280
"""Ratios that need more phases than this (no two customary rates do) interpolate between as many neighbours."""
_SMALL_RATIO = 6
"""Rates in the ratio of numbers up to this (24 to 16 kHz is 2 to 3) are filtered in blocks: a quarter of the time."""
_BLOCK = 24
"""Input samples that a block goes on by, about: a millisecond."""
_PRODUCTS_AT_ONCE = 16_384
"""Rows of samples are copied beside rows of taps: this many at once stay in the cache, whatever the call brings."""


class Resampler:
    """Streams samples of one channel from `rate_in` to `rate_out`, both in Hz.

    Sample n of the output stands for the moment n / `rate_out`: nothing is shifted, the delay only means that
    output comes once `latency_ms` more input is known. Positions are whole numbers, so that nothing drifts.
    Samples are float64 arrays of shape (n,) that hold whole numbers of at most 17 bits; results are not yet rounded
    and may overshoot that range by the filter's ringing.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        divisor = gcd(rate_in, rate_out)
        self._up, self._down = rate_out // divisor, rate_in // divisor
        self._half = _half_length(self._up, self._down)
        self._bank = _filter_bank(self._up, self._down)
        self.latency_ms = self._half * 1000 / rate_in
        """How far the output stays behind the input, at most one sample of either rate more."""
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample is the first of a new stream."""
        # Zeros before the first sample let it stand under the middle of the filter.
        self._held: Floats = np.zeros(self._half - 1)
        self._position = 0
        """Where the next output sample lies, in 1/`up` of an input sample from the first sample held + half - 1."""
        self._taken = self._given = 0

    def push(self, samples: Floats) -> Floats:
        """Take samples, shape (n,), and give all output samples that are known by now, shape (m,)."""
        self._taken += samples.size
        held = np.concatenate((self._held, samples))
        count = max(0, -(-((held.size - 2 * self._half + 1) * self._up - self._position) // self._down))
        output = self._filter(held, count)
        self._position += count * self._down
        passed = self._position // self._up
        # A copy: a view would keep the whole of a long call alive.
        self._held = held[passed:].copy()
        self._position -= passed * self._up
        self._given += count
        return output

    def finish(self) -> Floats:
        """Give what is held back, as if silence followed, and start anew. In all round(n * up / down) samples came."""
        missing = (2 * self._taken * self._up + self._down) // (2 * self._down) - self._given
        tail = self.push(np.zeros(self._half + self._down // self._up + 1))[:missing]
        self.reset()
        return tail

    def _filter(self, held: Floats, count: int) -> Floats:
        output = np.empty(count)
        done = self._filter_blocks(held, output) if max(self._up, self._down) <= _SMALL_RATIO else 0
        if done < count:
            self._filter_rest(held, output, done)
        return output / UNITY

    def _filter_blocks(self, held: Floats, output: Floats) -> int:
        """What comes in whole blocks, of which each needs the same taps: one product of matrices. How much that is."""
        rows = _block_filter(self._up, self._down, self._position)
        width, made = int(rows.shape[0]), int(rows.shape[1])
        blocks = int(output.size) // made
        if blocks:
            step = made * self._down // self._up * held.itemsize
            windows = as_strided(held, (blocks, width), (step, held.itemsize), writeable=False)
            np.matmul(np.ascontiguousarray(windows), rows, out=output[: blocks * made].reshape(blocks, made))
        return blocks * made

    def _filter_rest(self, held: Floats, output: Floats, done: int) -> None:
        taps, count = 2 * self._half, output.size
        windows = as_strided(held, (held.size - taps + 1, taps), (held.itemsize, held.itemsize), writeable=False)
        step = max(1, _PRODUCTS_AT_ONCE // taps)
        for start in range(done, count, step):
            stop = min(start + step, count)
            at, phase = np.divmod(self._position + self._down * np.arange(start, stop), self._up)
            output[start:stop] = self._rows(windows[at], phase)

    def _rows(self, windows: Floats, phase: npt.NDArray[np.int64]) -> Floats:
        if len(self._bank) == self._up:
            return np.asarray(np.einsum("ij,ij->i", windows, self._bank[phase]))
        # Each of the two sums is exact, and what follows works on one sample at a time: still the same for any cut.
        lower, part = np.divmod(phase * MOST_PHASES, self._up)
        first = np.einsum("ij,ij->i", windows, self._bank[lower])
        second = np.einsum("ij,ij->i", windows, self._bank[lower + 1])
        return np.asarray(first + (second - first) * (part / self._up))


def _half_length(up: int, down: int) -> int:
    """Input samples that the filter sees to each side."""
    return ceil(ZERO_CROSSINGS * max(1.0, down / up))


@lru_cache(maxsize=64)
def _block_filter(up: int, down: int, position: int) -> Floats:
    """The filter for a block of outputs at once, shape (input samples, outputs), the first one at `position` / up."""
    bank, taps = _filter_bank(up, down), 2 * _half_length(up, down)
    outputs = up * max(1, _BLOCK // down)
    places = [divmod(position + down * number, up) for number in range(outputs)]
    rows = np.zeros((places[-1][0] + taps, outputs))
    for number, (at, phase) in enumerate(places):
        rows[at : at + taps, number] = bank[phase]
    rows.setflags(write=False)
    return rows


@lru_cache(maxsize=32)
def _filter_bank(up: int, down: int) -> Floats:
    """The filter sampled at each phase, shape (phases, taps): row p for an output p/up of a sample past an input.

    Where `up` is above MOST_PHASES the rows are MOST_PHASES steps and the end of the last one.
    """
    half = _half_length(up, down)
    phases = up if up <= MOST_PHASES else MOST_PHASES
    rows = np.arange(phases if phases == up else phases + 1) / phases
    distance = np.arange(1 - half, half + 1)[None, :] - rows[:, None]
    lowest = min(1.0, up / down)
    beta = 0.1102 * (STOPBAND_DB - 8.7)
    # Kaiser's rule gives the width of the transition, here as a share of the lower Nyquist frequency. It ends there.
    transition = (STOPBAND_DB - 8) / (2.285 * np.pi * 2 * half * lowest)
    cutoff = lowest * (1 - transition / 2)
    window = np.i0(beta * np.sqrt(np.maximum(0.0, 1 - (distance / half) ** 2))) / np.i0(beta)
    taps = cutoff * np.sinc(cutoff * distance) * window
    # Every phase passes a constant unchanged; the last unit that rounding leaves goes to the largest tap.
    whole = np.rint(taps / taps.sum(axis=1, keepdims=True) * UNITY)
    whole[np.arange(len(whole)), np.abs(whole).argmax(axis=1)] += UNITY - whole.sum(axis=1)
    whole.setflags(write=False)
    return np.asarray(whole)
