"""The header of an MP3 frame, to tell it from samples. Pure. Layout: ISO/IEC 11172-3, 2.4.2.3, and 13818-3."""

from __future__ import annotations

__all__ = ["mpeg_frame_bytes"]

_KBPS = {
    b"\xff\xfb": (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    b"\xff\xf3": (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Of MPEG 1 and 2, layer III, without a checksum."""
_RATES = {b"\xff\xfb": (44_100, 48_000, 32_000), b"\xff\xf3": (22_050, 24_000, 16_000)}
_SAMPLES = {b"\xff\xfb": 1152, b"\xff\xf3": 576}


def mpeg_frame_bytes(start: bytes) -> int:
    """The size of the frame that begins here, header included. 0: none does."""
    kind = start[:2]
    if kind not in _KBPS or len(start) < 3:
        return 0
    bitrate, rate = start[2] >> 4, start[2] >> 2 & 3
    if bitrate in (0, 15) or rate == 3:
        return 0
    padding = start[2] >> 1 & 1
    return _SAMPLES[kind] // 8 * _KBPS[kind][bitrate - 1] * 1000 // _RATES[kind][rate] + padding
