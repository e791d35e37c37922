"""The microphone of a call: a frame of 20 ms each 20 ms, on absolute deadlines, in a phase of its own."""

from __future__ import annotations

import asyncio
import random

from .arms.arm import Call
from .histogram import Histogram
from .stamp import FRAME_BYTES, FRAME_S

__all__ = ["talk"]

_NOISE = random.Random(5).randbytes(16 * FRAME_BYTES)


async def talk(call: Call, phase: float, lateness: Histogram) -> None:
    """Send until cancelled.

    Args:
        phase: where in the 20 ms this call's frames are due, between 0 and 1.
        lateness: gets how long after its deadline each frame was handed over.
    """
    clock = asyncio.get_running_loop().time
    due = clock() + phase * FRAME_S
    at = round(phase * FRAME_BYTES)
    while True:
        if (wait := due - clock()) > 0:
            await asyncio.sleep(wait)
        lateness.add(int((clock() - due) * 1e9))
        await call.send(_NOISE[at : at + FRAME_BYTES])  # a new object each time, as from a microphone
        at = (at + 2) % (15 * FRAME_BYTES)
        due += FRAME_S
