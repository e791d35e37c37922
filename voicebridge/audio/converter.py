"""From one audio format to another while it streams."""

from __future__ import annotations

from copy import copy

import numpy as np
import numpy.typing as npt

from voicebridge.contract.audio import AudioFormat

from . import g711
from .resampler import Floats, Resampler

__all__ = ["Converter"]


class Converter:
    """Streams audio from `source` to `target`: encoding, rate and channels in any mix.

    Cut the stream as you like: the joined output is the same to the bit, and after `flush` it is as long as the input
    (to the nearest sample). Bytes that are no whole frame yet wait for the next call. Nothing is shifted in time: the
    sample at t ms of the output stands for t ms of the input, however long the stream runs. Sums saturate, they never
    wrap; rounding is to the nearest even value, without dither. Two channels become one by their mean.

    Where the rates differ, output stays behind input by `latency_ms`: 2.0 ms for 24 -> 16, 48 -> 16 and 16 -> 24 kHz,
    1.5 ms for 22.05 -> 24 kHz, 4.0 ms from or to 8 kHz. (Measured by feeding one sample a call and taking the most that
    input was ahead of output: `tests/audio/test_converter.py` does so; it is at most one sample of the source more.)
    Where the rates are equal nothing is held back, and where the formats are equal the same bytes come back.
    Not for two threads at once.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source = source
        self.target = target
        self.leftover_bytes = 0
        """Bytes that were no whole frame when `flush` ended their stream: dropped, and counted over all streams."""
        self._carried = b""
        self._frame_bytes, self._alike = source.frame_bytes, source == target
        # The fewer channels are resampled: two become one before, one becomes two after.
        channels = min(source.channels, target.channels)
        self._resamplers = (
            [] if source.rate == target.rate else [Resampler(source.rate, target.rate) for _ in range(channels)]
        )

    @property
    def latency_ms(self) -> float:
        """Milliseconds that output stays behind input; 0 where the rates are equal."""
        return self._resamplers[0].latency_ms if self._resamplers else 0.0

    def passes(self, pcm: bytes) -> bool:
        """Whether `convert` would give this piece back as it is, and remember nothing of it."""
        return self._alike and not self._carried and not len(pcm) % self._frame_bytes

    def convert(self, pcm: bytes) -> bytes:
        """Take the next piece of the stream, of any size, and give what it completes: perhaps nothing."""
        if self._carried or len(pcm) % self._frame_bytes:
            pcm = self._carried + pcm
            whole = len(pcm) - len(pcm) % self._frame_bytes
            pcm, self._carried = pcm[:whole], pcm[whole:]
        if self._alike or not pcm:
            return bytes(pcm)
        channels = self._mixed(_decoded(pcm, self.source))
        if self._resamplers:
            channels = [resampler.push(c) for resampler, c in zip(self._resamplers, channels, strict=True)]
        return self._encoded(channels)

    def flush(self) -> bytes:
        """End the stream: give what is still held back. The next `convert` begins a new stream."""
        self.leftover_bytes += len(self._carried)
        self._carried = b""
        return self._encoded([resampler.finish() for resampler in self._resamplers]) if self._resamplers else b""

    def copy(self) -> Converter:
        """Another one that goes on from here. It costs little: what is held back is never changed, only replaced."""
        other = copy(self)
        other._resamplers = [copy(resampler) for resampler in self._resamplers]
        return other

    def reset(self) -> None:
        """Forget what is held back, as after an interruption: the next `convert` begins a new stream."""
        self._carried = b""
        for resampler in self._resamplers:
            resampler.reset()

    def _mixed(self, samples: npt.NDArray[np.int16]) -> list[Floats]:
        """Samples of shape (frames, channels) as one array a channel that is resampled; a sum where two become one."""
        if self.source.channels > self.target.channels:
            return [samples.sum(axis=1, dtype=np.float64)]
        return [samples[:, channel].astype(np.float64) for channel in range(self.source.channels)]

    def _encoded(self, channels: list[Floats]) -> bytes:
        if self.source.channels > self.target.channels:
            channels = [channels[0] / 2]
        rounded = [np.clip(np.rint(channel), -32768, 32767).astype("<i2") for channel in channels]
        if len(rounded) < self.target.channels:
            rounded *= 2
        samples = rounded[0] if len(rounded) == 1 else np.stack(rounded, axis=1)
        if self.target.encoding == "ulaw":
            return g711.ulaw_encode(samples).tobytes()
        if self.target.encoding == "alaw":
            return g711.alaw_encode(samples).tobytes()
        return samples.tobytes()


def _decoded(pcm: bytes, source: AudioFormat) -> npt.NDArray[np.int16]:
    """Bytes of whole frames as int16, shape (frames, channels)."""
    if source.encoding == "ulaw":
        samples = g711.ulaw_decode(np.frombuffer(pcm, np.uint8))
    elif source.encoding == "alaw":
        samples = g711.alaw_decode(np.frombuffer(pcm, np.uint8))
    else:
        samples = np.frombuffer(pcm, "<i2")
    return samples.reshape(-1, source.channels)
