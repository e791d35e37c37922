"""openai-agents: a `VoicePipeline` a turn. It finds no turns in uploads, so the application does, by level."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from agents import Agent, OpenAIChatCompletionsModel, set_tracing_disabled
from agents.voice import AudioInput, SingleAgentVoiceWorkflow, VoicePipeline
from agents.voice.models.openai_stt import OpenAISTTModel
from agents.voice.models.openai_tts import OpenAITTSModel
from openai import AsyncOpenAI

from .arm import INSTRUCTIONS, Call, Dial, Ears, Setup
from .level_gate import LevelGate

__all__ = ["phone"]

_OWN_SILENCE_MS = 500


class PipelineCall:
    """One session."""

    def __init__(self, pipeline: Any, silence_ms: int, ears: Ears) -> None:
        self._pipeline, self._silence_ms, self._ears = pipeline, silence_ms, ears
        self._gate = LevelGate()
        self.turn: asyncio.Task[None] | None = None

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        self._gate.push(pcm)
        if self._gate.speaking and self._gate.silence_ms >= self._silence_ms:
            self.turn = asyncio.create_task(self._answer(self._gate.audio()))
            self._gate.reset()

    async def _answer(self, pcm: bytes) -> None:
        result = await self._pipeline.run(AudioInput(buffer=np.frombuffer(pcm, dtype=np.int16)))
        async for event in result.stream():
            if event.type == "voice_stream_event_audio" and event.data is not None:
                self._ears.hear(event.data.tobytes())
        self._ears.ended()

    def guesses(self) -> Mapping[str, float]:
        """It makes none."""
        return {}


@asynccontextmanager
async def phone(setup: Setup) -> AsyncIterator[Dial]:
    """A pipeline for each call, since the key is its own."""
    set_tracing_disabled(True)

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        hear, think, speak = (AsyncOpenAI(api_key=key, base_url=setup.urls[seat]) for seat in ("stt", "llm", "tts"))
        agent = Agent(
            name="bench",
            instructions=INSTRUCTIONS,
            model=OpenAIChatCompletionsModel(model=setup.models["llm"], openai_client=think),
        )
        pipeline = VoicePipeline(
            workflow=SingleAgentVoiceWorkflow(agent),
            stt_model=OpenAISTTModel(setup.models["stt"], openai_client=hear),
            tts_model=OpenAITTSModel(setup.models["tts"], openai_client=speak),
        )
        call = PipelineCall(pipeline, setup.silence_ms or _OWN_SILENCE_MS, ears)
        yield call
        if call.turn is not None:
            call.turn.cancel()

    yield dial
