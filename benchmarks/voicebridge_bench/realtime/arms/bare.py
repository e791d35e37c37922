"""The floor: `websockets`, `json` and `base64`, as a careful engineer would write it for one vendor and one purpose."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from .arm import INSTRUCTIONS, KEY, MODEL, Call, Dial, Ears

__all__ = ["BareCall", "Codes", "phone"]

Codes = tuple[Callable[[Any], str], Callable[[str], Any], Callable[[bytes], str], Callable[[str], bytes]]
"""Write and read JSON, write and read base64."""
_PLAIN: Codes = (json.dumps, json.loads, lambda pcm: base64.b64encode(pcm).decode("ascii"), base64.b64decode)
_FORMAT = {"type": "audio/pcm", "rate": 24_000}
_SESSION = {
    "type": "realtime",
    "model": MODEL,
    "output_modalities": ["audio"],
    "instructions": INSTRUCTIONS,
    "audio": {
        "input": {"format": _FORMAT, "turn_detection": {"type": "server_vad"}},
        "output": {"format": _FORMAT, "voice": "marin"},
    },
}


class BareCall:
    """One connection."""

    def __init__(self, ws: ClientConnection, ears: Ears, codes: Codes) -> None:
        self._ws, self._ears = ws, ears
        self._dumps, self._loads, self._encode, self._decode = codes
        self.ready = asyncio.Event()

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._ws.send(self._dumps({"type": "input_audio_buffer.append", "audio": self._encode(pcm)}))

    async def ask(self) -> None:
        """Ask for a response."""
        await self._ws.send(self._dumps({"type": "response.create"}))

    async def configure(self) -> None:
        """Set the session up."""
        await self._ws.send(self._dumps({"type": "session.update", "session": _SESSION}))
        await self.ready.wait()

    async def listen(self) -> None:
        """Read until the connection ends."""
        async for message in self._ws:
            assert isinstance(message, str)
            event = self._loads(message)
            kind = event["type"]
            if kind == "response.output_audio.delta":
                self._ears.hear(self._decode(event["delta"]))
            elif kind == "response.done":
                self._ears.ended()
            elif kind == "session.updated":
                self.ready.set()
            elif kind == "error":
                raise RuntimeError(event["error"]["message"])


@asynccontextmanager
async def phone(port: int, codes: Codes = _PLAIN) -> AsyncIterator[Dial]:
    """Nothing is shared between calls."""

    @asynccontextmanager
    async def dial(ears: Ears) -> AsyncIterator[Call]:
        url = f"ws://127.0.0.1:{port}/v1/realtime?model={MODEL}"
        headers = {"Authorization": f"Bearer {KEY}"}
        async with connect(url, additional_headers=headers, compression=None, max_size=None, close_timeout=1) as ws:
            call = BareCall(ws, ears, codes)
            listening = asyncio.create_task(call.listen())
            try:
                await call.configure()
                yield call
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    yield dial
