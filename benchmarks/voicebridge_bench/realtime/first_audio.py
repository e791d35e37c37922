"""First audio: from the command that asks for a response to its first sound in the application's hands.

The client under test and the bare client take turns in one process, on one event loop, with one session each: the
server answers at once, so that what is left of each pair's difference is the clients' own.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

from .arms.arm import Call, Ears, phone
from .histogram import Histogram
from .pace import talk
from .stamp import now_ns

__all__ = ["measure_first_audio"]

_WARM = 10
"""Pairs before those that count."""
_TURN_S = 10.0
"""Seconds until a response must have come."""


class _Turns:
    """The turns of one call."""

    def __init__(self) -> None:
        self.call: Call
        self._first: int | None = None
        self._over = asyncio.Event()

    def ears(self) -> Ears:
        """Of the call."""

        def hear(pcm: bytes) -> None:
            if self._first is None:
                self._first = now_ns()

        return Ears(hear, self._over.set)

    async def take(self) -> int:
        """One turn: nanoseconds until the first sound."""
        self._first = None
        self._over.clear()
        asked = now_ns()
        await self.call.ask()
        async with asyncio.timeout(_TURN_S):
            await self._over.wait()
        if self._first is None:
            raise RuntimeError("A response came without audio.")
        return self._first - asked


async def measure_first_audio(arm: str, port: int, job: dict[str, Any]) -> dict[str, Any]:
    """`pairs` pairs of turns, which of the two begins changing each time.

    Args:
        job: `pairs`, `seed`.
    """
    rng = random.Random(job["seed"])
    pairs: list[tuple[float, float]] = []
    async with AsyncExitStack() as stack:
        both = []
        for name in ("bare", arm):
            turns = _Turns()
            dial = await stack.enter_async_context(phone(name, port))
            turns.call = await stack.enter_async_context(dial(turns.ears()))
            talking = asyncio.create_task(talk(turns.call, rng.random(), Histogram()))
            stack.callback(talking.cancel)
            both.append(turns)
        for number in range(_WARM + job["pairs"]):
            order = both if number % 2 else both[::-1]
            took = {}
            for turns in order:
                # Somewhere between two frames of the microphones, so that no client always meets them.
                await asyncio.sleep(0.01 + rng.random() * 0.02)
                took[turns] = await turns.take() / 1e6
            if number >= _WARM:
                pairs.append((took[both[0]], took[both[1]]))
    return {"bare_ms": [round(a, 4) for a, _ in pairs], "arm_ms": [round(b, 4) for _, b in pairs]}
