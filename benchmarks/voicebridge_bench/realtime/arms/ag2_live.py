"""AG2: `LiveAgent`, its audio as events of its stream."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from .arm import INSTRUCTIONS, MODEL, Call, Dial, Ears
from .openai_sdk import client

__all__ = ["phone"]


class Ag2Call:
    """One run of an agent."""

    def __init__(self, context: Any, recorded: Any) -> None:
        self._context, self._recorded = context, recorded

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._context.send(self._recorded(pcm))

    async def ask(self) -> None:
        """Not possible: an agent answers to speech."""
        raise NotImplementedError


@asynccontextmanager
async def phone(port: int) -> AsyncIterator[Dial]:
    """One SDK client and one configuration for all calls."""
    # Without sound hardware's library, its import raises what AG2 does not expect. No audio device is wanted here.
    sys.modules.setdefault("sounddevice", None)  # type: ignore[arg-type]  # None: as if it were not installed
    from ag2.events import ModelResponse, RecordedAudioEvent, SynthesizedAudioEvent
    from ag2.live import LiveAgent
    from ag2.live.openai import AudioOutput, InputConfig, RealTimeConfig

    sdk = client(port)
    hearing: Any = InputConfig(turn_detection={"type": "server_vad"})
    config = RealTimeConfig(MODEL, client=sdk, output=AudioOutput(voice="marin"), input=hearing)

    @asynccontextmanager
    async def dial(ears: Ears) -> AsyncIterator[Call]:
        agent = LiveAgent("bench", INSTRUCTIONS, config=config)

        async def hear(event: SynthesizedAudioEvent) -> None:
            ears.hear(event.content)

        async def end(event: ModelResponse) -> None:
            ears.ended()

        async with agent.run() as context:
            with (
                context.stream.where(SynthesizedAudioEvent).sub_scope(hear),
                context.stream.where(ModelResponse).sub_scope(end),
            ):
                yield Ag2Call(context, RecordedAudioEvent)

    yield dial
    await sdk.close()
