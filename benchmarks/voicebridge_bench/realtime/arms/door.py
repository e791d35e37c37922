"""voicebridge, through its door."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import voicebridge
from voicebridge import OutputAudio, Respond, ResponseEnded, SendAudio, SessionReady, VoiceSession

from .arm import INSTRUCTIONS, KEY, MODEL, Call, Dial, Ears

__all__ = ["Connect", "phone"]


class DoorCall:
    """One session."""

    def __init__(self, session: VoiceSession, ears: Ears) -> None:
        self._session, self._ears = session, ears
        self.ready = asyncio.Event()

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._session.send(SendAudio(pcm=pcm))

    async def ask(self) -> None:
        """Ask for a response."""
        await self._session.send(Respond())

    async def listen(self) -> None:
        """Read until the session ends."""
        async for event in self._session:
            if isinstance(event, OutputAudio):
                self._ears.hear(event.pcm)
            elif isinstance(event, ResponseEnded):
                self._ears.ended()
            elif isinstance(event, SessionReady):
                self.ready.set()


Connect = Callable[..., AbstractAsyncContextManager[Any]]
"""`voicebridge.connect`, or `connect_raw`."""


@asynccontextmanager
async def phone(port: int, connect: Connect = voicebridge.connect) -> AsyncIterator[Dial]:
    """Nothing is shared between calls but what the library shares by itself."""

    @asynccontextmanager
    async def dial(ears: Ears) -> AsyncIterator[Call]:
        base_url = f"ws://127.0.0.1:{port}/v1"
        async with connect(
            f"openai/{MODEL}", instructions=INSTRUCTIONS, voice="marin", base_url=base_url, api_key=KEY
        ) as session:
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
