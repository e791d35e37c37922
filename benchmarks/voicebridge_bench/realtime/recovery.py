"""Recovery: the connection is reset in the middle of a response, behind a network with a round trip of 50 ms.

Measured is from the reset to the moment at which the session, which dials again by itself, has told the application so
(`SessionRestarted`), and to the first sound of the response with which it goes on. The new connection is told the
conversation so far, and the microphone goes on all the while. The proxy that makes the network runs in the same
process; it can delay bytes but no TCP handshake, so one round trip is added to each figure. TLS is not in it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import voicebridge
from voicebridge import (
    Event,
    MessageItem,
    OutputAudio,
    Respond,
    SendAudio,
    SessionReady,
    SessionRestarted,
    VoiceSession,
)
from voicebridge.testing.chaos import ChaosProxy

from .arms.arm import INSTRUCTIONS, KEY, MODEL
from .histogram import Histogram
from .pace import talk
from .stamp import now_ns

__all__ = ["ROUND_TRIP_MS", "measure_recovery"]

ROUND_TRIP_MS = 50.0
_ITEMS = 20
"""Of the conversation that each connection is told."""
_STEP_S = 10.0


class _Microphone:
    """A `Call` as far as `talk` needs one."""

    def __init__(self, session: VoiceSession) -> None:
        self._session = session

    async def send(self, pcm: bytes) -> None:
        """The next 20 ms."""
        await self._session.send(SendAudio(pcm=pcm))

    async def ask(self) -> None:
        """Ask for a response."""
        await self._session.send(Respond())


async def measure_recovery(port: int, job: dict[str, Any]) -> dict[str, Any]:
    """`recoveries` sessions, each reset once.

    Args:
        job: `recoveries`, `seed`.
    """
    rng = random.Random(job["seed"])
    found: list[tuple[float, float]] = []
    async with ChaosProxy(f"ws://127.0.0.1:{port}/v1", seed=job["seed"]) as proxy:
        proxy.up.latency_s = proxy.down.latency_s = ROUND_TRIP_MS / 2000
        for _ in range(job["recoveries"]):
            found.append(await _recover(proxy, rng))
    return {
        "round_trip_ms": ROUND_TRIP_MS,
        "restarted_ms": [round(restarted + ROUND_TRIP_MS, 2) for restarted, _ in found],
        "audio_ms": [round(audio + ROUND_TRIP_MS, 2) for _, audio in found],
    }


async def _recover(proxy: ChaosProxy, rng: random.Random) -> tuple[float, float]:
    """One session: milliseconds from the reset to the news, and to the next sound."""
    history = [MessageItem(role=("user", "assistant")[n % 2], text=f"Sentence number {n}.") for n in range(_ITEMS)]
    async with voicebridge.connect(
        f"openai/{MODEL}", instructions=INSTRUCTIONS, history=history, base_url=proxy.url, api_key=KEY
    ) as session:
        call = _Microphone(session)
        talking = asyncio.create_task(talk(call, rng.random(), Histogram()))
        try:
            events = aiter(session)
            await _until(events, SessionReady)
            await call.ask()
            for _ in range(rng.randrange(10, 20)):
                await _until(events, OutputAudio)
            cut = now_ns()
            proxy.reset()
            await _until(events, SessionRestarted)
            restarted = now_ns()
            await _until(events, OutputAudio)
            return (restarted - cut) / 1e6, (now_ns() - cut) / 1e6
        finally:
            talking.cancel()


async def _until(events: AsyncIterator[Event], kind: type[Event]) -> None:
    async with asyncio.timeout(_STEP_S):
        while not isinstance(await anext(events), kind):
            pass
