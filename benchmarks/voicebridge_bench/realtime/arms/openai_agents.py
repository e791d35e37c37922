"""openai-agents: `RealtimeRunner`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents import set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner

from .arm import INSTRUCTIONS, KEY, MODEL, Call, Dial, Ears

__all__ = ["phone"]

_SETTINGS: Any = {
    "model_name": MODEL,
    "output_modalities": ["audio"],
    "audio": {
        "input": {"format": "pcm16", "turn_detection": {"type": "server_vad"}},
        "output": {"format": "pcm16", "voice": "marin"},
    },
}


class AgentsCall:
    """One session."""

    def __init__(self, session: Any, ears: Ears) -> None:
        self._session, self._ears = session, ears

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._session.send_audio(pcm)

    async def ask(self) -> None:
        """Ask for a response: this library has no way to do so without a message."""
        await self._session.send_message("Go on.")

    async def listen(self) -> None:
        """Read until the session ends."""
        async for event in self._session:
            if event.type == "audio":
                self._ears.hear(event.audio.data)
            elif event.type == "agent_end":
                self._ears.ended()


@asynccontextmanager
async def phone(port: int) -> AsyncIterator[Dial]:
    """One agent for all calls. A runner holds one connection."""
    set_tracing_disabled(True)
    agent: Any = RealtimeAgent(name="bench", instructions=INSTRUCTIONS)
    url = f"ws://127.0.0.1:{port}/v1/realtime?model={MODEL}"

    @asynccontextmanager
    async def dial(ears: Ears) -> AsyncIterator[Call]:
        runner = RealtimeRunner(agent, config={"model_settings": _SETTINGS})
        async with await runner.run(model_config={"api_key": KEY, "url": url}) as session:
            call = AgentsCall(session, ears)
            listening = asyncio.create_task(call.listen())
            try:
                yield call
            finally:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    yield dial
