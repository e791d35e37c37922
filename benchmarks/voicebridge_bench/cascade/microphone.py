"""A microphone that never stops: frames of 20 ms on absolute deadlines, silence between utterances."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

__all__ = ["FRAME_S", "Microphone"]

FRAME_S = 0.02


class Microphone:
    """Each frame is handed over when its last sample would have been captured; one that is late makes no other late.

    Args:
        send: takes the frames.
        rate: samples a second, PCM16.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[None]], rate: int, *, began: float) -> None:
        self._send, self._began = send, began
        self._bytes_per_s = rate * 2
        self._frame_bytes = round(rate * FRAME_S) * 2
        self._silence = bytes(self._frame_bytes)
        self._frames = 0
        self._line = bytearray()
        self._late: deque[tuple[float, float]] = deque(maxlen=500)
        """Of the last ten seconds: when each frame was due, and how late it was."""

    def say(self, pcm: bytes) -> float:
        """Begin to speak, with nothing left unsaid: when the first sample is captured, on the loop's clock."""
        assert not self._line
        self._line += pcm
        return self._began + self._frames * FRAME_S

    def late_ms(self, at: float) -> float:
        """How late the frame was that holds the sample captured at that moment; 0 of one long ago."""
        return next((late * 1000 for due, late in self._late if due - FRAME_S < at - 1e-6 <= due), 0.0)

    async def run(self) -> None:
        """Capture until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due = self._began + (self._frames + 1) * FRAME_S
            if (wait := due - clock()) > 0:
                await asyncio.sleep(wait)
            frame = self._silence
            if self._line:
                frame = bytes(self._line[: self._frame_bytes]).ljust(self._frame_bytes, b"\0")
                del self._line[: self._frame_bytes]
            self._frames += 1
            self._late.append((due, clock() - due))
            await self._send(frame)
