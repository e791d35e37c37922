"""The vendor's own SDK: `AsyncOpenAI().realtime.connect`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI

from .arm import INSTRUCTIONS, KEY, MODEL, Call, Dial, Ears

__all__ = ["SESSION", "client", "phone"]

_FORMAT = {"type": "audio/pcm", "rate": 24_000}
SESSION: Any = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": INSTRUCTIONS,
    "audio": {
        "input": {"format": _FORMAT, "turn_detection": {"type": "server_vad"}},
        "output": {"format": _FORMAT, "voice": "marin"},
    },
}


class SdkCall:
    """One connection."""

    def __init__(self, connection: Any, ears: Ears) -> None:
        self._connection, self._ears = connection, ears
        self.ready = asyncio.Event()

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode("ascii"))

    async def ask(self) -> None:
        """Ask for a response."""
        await self._connection.response.create()

    async def listen(self) -> None:
        """Read until the connection ends."""
        async for event in self._connection:
            if event.type == "response.output_audio.delta":
                self._ears.hear(base64.b64decode(event.delta))
            elif event.type == "response.done":
                self._ears.ended()
            elif event.type == "session.updated":
                self.ready.set()


def client(port: int) -> AsyncOpenAI:
    """The SDK, pointed at the server."""
    address = f"127.0.0.1:{port}/v1"
    return AsyncOpenAI(api_key=KEY, base_url=f"http://{address}", websocket_base_url=f"ws://{address}")


@asynccontextmanager
async def phone(port: int) -> AsyncIterator[Dial]:
    """One client object for all calls."""
    sdk = client(port)

    @asynccontextmanager
    async def dial(ears: Ears) -> AsyncIterator[Call]:
        async with sdk.realtime.connect(model=MODEL) as connection:
            call = SdkCall(connection, ears)
            listening = asyncio.create_task(call.listen())
            try:
                await connection.session.update(session=SESSION)
                await call.ready.wait()
                yield call
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    yield dial
    await sdk.close()
