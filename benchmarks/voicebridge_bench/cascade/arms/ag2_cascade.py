"""AG2: `LiveAgent` with `CascadeConfig`, its audio as events of its stream."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from .arm import INSTRUCTIONS, Call, Dial, Ears, Setup

__all__ = ["phone"]

_HEARS = "gpt-4o-transcribe"
"""AG2 reads transcripts as a stream, which `whisper-1` has not."""


class Ag2Call:
    """One run of an agent."""

    def __init__(self, context: Any, recorded: Any) -> None:
        self._context, self._recorded = context, recorded

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._context.send(self._recorded(pcm))

    def guesses(self) -> Mapping[str, float]:
        """It makes none."""
        return {}


@asynccontextmanager
async def phone(setup: Setup) -> AsyncIterator[Dial]:
    """A configuration for each call, since the key is its own."""
    # Without sound hardware's library, its import raises what AG2 does not expect. No audio device is wanted here.
    sys.modules.setdefault("sounddevice", None)  # type: ignore[arg-type]  # None: as if it were not installed
    from ag2.config import OpenAIConfig
    from ag2.events import RecordedAudioEvent, SynthesizedAudioEvent
    from ag2.live import LiveAgent
    from ag2.live.cascade import CascadeConfig
    from ag2.live.openai import STTConfig, TTSConfig
    from ag2.live.turn import SilenceTurnDetector
    from openai import AsyncOpenAI

    detector: Any = {}
    if setup.silence_ms is not None:
        detector["turn_detector"] = partial(SilenceTurnDetector, silence=setup.silence_ms / 1000)

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        config = CascadeConfig(
            stt=STTConfig(_HEARS, client=AsyncOpenAI(api_key=key, base_url=setup.urls["stt"])),
            model=OpenAIConfig(setup.models["llm"], api_key=key, base_url=setup.urls["llm"], streaming=True),
            tts=TTSConfig(setup.models["tts"], client=AsyncOpenAI(api_key=key, base_url=setup.urls["tts"])),
            **detector,
        )
        agent = LiveAgent("bench", INSTRUCTIONS, config=config)

        async def hear(event: SynthesizedAudioEvent) -> None:
            ears.hear(event.content)

        async with agent.run() as context:
            with context.stream.where(SynthesizedAudioEvent).sub_scope(hear):
                yield Ag2Call(context, RecordedAudioEvent)

    yield dial
