"""A time stamp inside of a frame of audio: it survives whatever a client does to a frame but resampling.

`CLOCK_MONOTONIC` is the same in all processes of a machine, so the difference to it is a delay in one direction.
"""

from __future__ import annotations

import struct
import time

__all__ = ["FRAME_BYTES", "FRAME_MS", "FRAME_S", "HEAD_BYTES", "RATE", "now_ns", "read", "stamped_head"]

RATE = 24_000
FRAME_MS = 20
FRAME_S = FRAME_MS / 1000
FRAME_BYTES = RATE * FRAME_MS // 1000 * 2
HEAD_BYTES = 18
"""A multiple of 3, so that the rest of a frame is the same base64 each time."""

_MAGIC = b"\x5aVB\xa5"
_HEAD = struct.Struct("<4sIQ2x")


def stamped_head(number: int, at_ns: int) -> bytes:
    """The first `HEAD_BYTES` bytes of a frame: which one of its response it is, and when it left the server."""
    return _HEAD.pack(_MAGIC, number, at_ns)


def read(pcm: bytes) -> tuple[int, int] | None:
    """The number and the time in ns of a frame that begins with a stamp; None if it has none."""
    if pcm[:4] != _MAGIC or len(pcm) < HEAD_BYTES:
        return None
    _, number, at_ns = _HEAD.unpack_from(pcm)
    return number, at_ns


def now_ns() -> int:
    """Nanoseconds of the clock that all processes share."""
    return time.monotonic_ns()
