"""Audio formats, and the arithmetic between bytes, samples and milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DOOR_FORMAT", "AudioFormat"]

Encoding = Literal["pcm16", "ulaw", "alaw"]
_ROUNDING = 1e-4
"""Of a frame: far more than the error of a day's milliseconds, far less than anyone means."""
_BYTES_PER_SAMPLE: dict[str, int] = {"pcm16": 2, "ulaw": 1, "alaw": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFormat:
    """How audio is laid out in bytes. `pcm16` is signed, little-endian and interleaved."""

    encoding: Encoding = "pcm16"
    rate: int = 24_000
    """Samples a second, of each channel."""
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in _BYTES_PER_SAMPLE:
            raise ValueError(f"encoding must be one of {', '.join(_BYTES_PER_SAMPLE)}, not {self.encoding!r}")
        if not 4_000 <= self.rate <= 192_000:
            raise ValueError(f"rate must lie between 4000 and 192000 Hz, not {self.rate}")
        if self.channels not in (1, 2):
            raise ValueError(f"channels must be 1 or 2, not {self.channels}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return _BYTES_PER_SAMPLE[self.encoding] * self.channels

    def ms(self, size: int) -> float:
        """Milliseconds of audio in `size` bytes."""
        return size * 1000 / (_BYTES_PER_SAMPLE[self.encoding] * self.channels * self.rate)

    def size(self, ms: float) -> int:
        """Bytes of whole frames that `ms` milliseconds take."""
        frames = ms * self.rate / 1000
        nearest = round(frames)
        # What is whole but for the rounding of `ms` is whole: 1/3 ms is 8 frames, not 7.
        return (nearest if abs(frames - nearest) < _ROUNDING else int(frames)) * self.frame_bytes

    def __str__(self) -> str:
        return f"{self.encoding} {self.rate} Hz {'mono' if self.channels == 1 else 'stereo'}"


DOOR_FORMAT = AudioFormat()
"""What `voicebridge.connect` speaks both ways unless asked otherwise: PCM16 little-endian, mono, 24 kHz."""
