"""What can be wrong with one direction of a connection, for `voicebridge.testing.chaos`."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from voicebridge.contract.errors import ConfigError

__all__ = ["CHUNK", "Toxics"]

CHUNK = 16 * 1024
"""Bytes that are read, and passed on, at once."""
_PACE_S = 0.02
"""Between the pieces of a narrow line."""
_HELD_S = 0.2
"""Of a narrow line: what waits before it. More, and the sender would not feel how narrow it is."""
_HELD_BYTES = 4 * 1024 * 1024
"""Of a wide one."""
_LEAST_BYTES = 8 * 1024
"""Of a socket's buffer: with less, some systems send nothing for a while."""
_MAY_BE_NONE = frozenset({"bytes_per_s", "slice_bytes", "corrupt_at", "reset_at", "close_at"})


class Toxics:
    """What is wrong with one direction. All is well until a test sets something, at any time.

    Raises:
        ConfigError: a value makes no sense.
        AttributeError: there is no such toxic.
    """

    __slots__ = (
        "_changed",
        "blackhole",
        "bytes_per_s",
        "close_at",
        "corrupt_at",
        "dropped",
        "jitter_s",
        "latency_s",
        "passed",
        "reset_at",
        "slice_bytes",
        "stalled",
    )

    _changed: asyncio.Event
    latency_s: float
    """Seconds that each byte takes."""
    jitter_s: float
    """Seconds, at most, added to that at random: another time for each piece, the order kept."""
    bytes_per_s: float | None
    """Width of the line. About 0.2 s of it are held before it, then nothing more is read."""
    slice_bytes: int | None
    """Bytes, at most, that arrive at once."""
    blackhole: bool
    """Takes all, passes on nothing, not even the end."""
    stalled: bool
    """Stops reading, so that buffers fill up to the sender. At most one piece was asked for already, and waits here."""
    corrupt_at: int | None
    """Position of the one byte that arrives with all its bits turned."""
    reset_at: int | None
    """Bytes after which the connection is reset on both sides (RST)."""
    close_at: int | None
    """Bytes after which it is closed on both sides (FIN)."""
    passed: int
    """Bytes passed on so far, of all connections."""
    dropped: int
    """Bytes that the black hole took."""

    def __init__(self) -> None:
        object.__setattr__(self, "_changed", asyncio.Event())
        self.passed = self.dropped = 0
        self.clear()

    def clear(self) -> None:
        """All is well again."""
        self.latency_s = self.jitter_s = 0.0
        self.bytes_per_s = self.slice_bytes = self.corrupt_at = self.reset_at = self.close_at = None
        self.blackhole = self.stalled = False

    def __setattr__(self, name: str, value: Any) -> None:
        least = {"bytes_per_s": 1, "slice_bytes": 1}.get(name, 0)
        fits = isinstance(value, int | float) and least <= value < math.inf  # nor NaN
        if not fits and not (value is None and name in _MAY_BE_NONE):
            raise ConfigError(f"{name} must be {least} or more, not {value!r}.", code="bad_toxic")
        object.__setattr__(self, name, value)
        self._changed.set()

    async def change(self) -> None:
        """Wait until something is set."""
        self._changed.clear()
        await self._changed.wait()

    def piece_bytes(self) -> int:
        """How much may be sent at once."""
        most = CHUNK if self.slice_bytes is None else self.slice_bytes
        return most if self.bytes_per_s is None else max(1, min(most, int(self.bytes_per_s * _PACE_S)))

    def held_bytes(self) -> int:
        """How much may be on its way, of one connection: then nothing more is read until some has gone."""
        if self.bytes_per_s is None:
            return _HELD_BYTES
        return max(1, min(_HELD_BYTES, int(self.bytes_per_s * (self.latency_s + self.jitter_s + _HELD_S))))

    def buffer_bytes(self) -> int | None:
        """What to ask of the system for the sockets of a narrow line; None: nothing."""
        return (
            None if self.bytes_per_s is None else max(_LEAST_BYTES, min(_HELD_BYTES, int(self.bytes_per_s * _HELD_S)))
        )
