"""voicebridge, through its door: one connection, so the cascade itself and no session around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import voicebridge
from voicebridge import OutputAudio, ProviderEvent, ResponseEnded, SendAudio, SessionReady, VoiceSession
from voicebridge.cascade.energy import EnergyDetector

from .arm import INSTRUCTIONS, Call, Dial, Ears, Setup

__all__ = ["phone"]


class DoorCall:
    """One session."""

    def __init__(self, session: VoiceSession, ears: Ears) -> None:
        self._session, self._ears = session, ears
        self._guesses: Mapping[str, float] = {}
        self.ready = asyncio.Event()

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._session.send(SendAudio(pcm=pcm))

    async def listen(self) -> None:
        """Read until the session ends."""
        async for event in self._session:
            if isinstance(event, OutputAudio):
                self._ears.hear(event.pcm)
            elif isinstance(event, ResponseEnded):
                self._ears.ended()
            elif isinstance(event, SessionReady):
                self.ready.set()
            elif isinstance(event, ProviderEvent) and event.kind == "cascade.timing":
                self._guesses = _counted(event.payload)

    def guesses(self) -> Mapping[str, float]:
        """What the session told of them last."""
        return self._guesses


def _counted(told: Mapping[str, Any]) -> Mapping[str, float]:
    """Texts that were asked for on a guess: each is an upload, whether or not an answer came of it."""
    return {
        "guesses": told["marks"],
        "guesses_used": told["marks"] - told["wasted_marks"],
        "wasted_characters": told["wasted_characters"],
        "wasted_audio_ms": told["wasted_audio_ms"],
    }


@asynccontextmanager
async def phone(setup: Setup, *, speculate: str | None = None, detector: Any = EnergyDetector) -> AsyncIterator[Dial]:
    """Nothing is shared between calls but what the library shares by itself.

    Args:
        speculate: the option of that name; None: its default.
        detector: likewise.
    """
    options: dict[str, Any] = {f"{seat}.base_url": url for seat, url in setup.urls.items()} | {"provider_events": True}
    options |= {} if speculate is None else {"speculate": speculate}
    options |= {} if detector is None else {"detector": detector}
    options |= {} if setup.silence_ms is None else {"turns": {"silence_ms": setup.silence_ms}}

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        given = options | {f"{seat}.api_key": key for seat in setup.urls}
        async with voicebridge.connect_raw(setup.spec, instructions=INSTRUCTIONS, **given) as session:
            call = DoorCall(session, ears)
            listening = asyncio.create_task(call.listen())
            try:
                await call.ready.wait()
                yield call
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    yield dial
