"""LiveKit Agents: the session of its realtime model. No LiveKit server and no room: those would add to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from livekit import rtc
from livekit.plugins.openai import realtime

from .arm import INSTRUCTIONS, KEY, MODEL, Call, Dial, Ears

__all__ = ["phone"]


class LiveKitCall:
    """One session."""

    def __init__(self, session: Any, ears: Ears) -> None:
        self._session, self._ears = session, ears
        self._reading: set[asyncio.Task[None]] = set()
        session.on("generation_created", self._begin)

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms. The library gathers them into messages of 100 ms."""
        self._session.push_audio(rtc.AudioFrame(pcm, 24_000, 1, len(pcm) // 2))

    async def ask(self) -> None:
        """Ask for a response."""
        await self._session.generate_reply()

    def _begin(self, generation: Any) -> None:
        reading = asyncio.create_task(self._listen(generation))
        self._reading.add(reading)
        reading.add_done_callback(self._reading.discard)

    async def _listen(self, generation: Any) -> None:
        async for message in generation.message_stream:
            async for frame in message.audio_stream:
                self._ears.hear(bytes(frame.data))
        self._ears.ended()

    async def close(self) -> None:
        """End the readers."""
        for reading in list(self._reading):
            reading.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)


@asynccontextmanager
async def phone(port: int) -> AsyncIterator[Dial]:
    """One HTTP session and one model object for all calls."""
    async with aiohttp.ClientSession() as http:
        base_url = f"http://127.0.0.1:{port}/v1"
        model = realtime.RealtimeModel(api_key=KEY, base_url=base_url, model=MODEL, voice="marin", http_session=http)

        @asynccontextmanager
        async def dial(ears: Ears) -> AsyncIterator[Call]:
            session = model.session()
            call = LiveKitCall(session, ears)
            try:
                await session.update_instructions(INSTRUCTIONS)
                yield call
            finally:
                await call.close()
                await session.aclose()

        yield dial
        await model.aclose()
