"""Pipecat: the pipeline of its tutorials with OpenAI's services and, at its end, a processor that takes the audio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import InputAudioRawFrame, TTSAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.stt import OpenAISTTService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from .arm import INSTRUCTIONS, Call, Dial, Ears, Setup

__all__ = ["phone"]

_RATE = 16_000
"""Its detector takes nothing else."""
_DETECTOR_MS = 200
"""Its own silence, after which the strategy begins to count."""


class _Sink(FrameProcessor):  # type: ignore[misc, unused-ignore]  # the package may be missing where types are checked
    """Takes the audio where an output transport would."""

    def __init__(self, ears: Ears) -> None:
        super().__init__()
        self._bench_ears = ears

    async def process_frame(self, frame: Any, direction: Any) -> None:
        """Take a frame, and let it pass."""
        await super().process_frame(frame, direction)
        if isinstance(frame, TTSAudioRawFrame):
            self._bench_ears.hear(frame.audio)
        if direction != FrameDirection.DOWNSTREAM or not isinstance(frame, TTSAudioRawFrame):
            await self.push_frame(frame, direction)


class PipecatCall:
    """One pipeline."""

    def __init__(self, task: Any) -> None:
        self._task = task

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._task.queue_frame(InputAudioRawFrame(audio=pcm, sample_rate=_RATE, num_channels=1))

    def guesses(self) -> Mapping[str, float]:
        """It makes none."""
        return {}


def _stages(setup: Setup, key: str, ears: Ears) -> Pipeline:
    models, urls = setup.models, setup.urls
    stt = OpenAISTTService(api_key=key, base_url=urls["stt"], settings=OpenAISTTService.Settings(model=models["stt"]))
    llm = OpenAILLMService(api_key=key, base_url=urls["llm"], settings=OpenAILLMService.Settings(model=models["llm"]))
    tts = OpenAITTSService(
        api_key=key, base_url=urls["tts"], settings=OpenAITTSService.Settings(model=models["tts"], voice="alloy")
    )
    params: dict[str, Any] = {"vad_analyzer": SileroVADAnalyzer()}
    if setup.silence_ms is not None:
        left_s = (setup.silence_ms - _DETECTOR_MS) / 1000
        params["user_turn_strategies"] = UserTurnStrategies(
            stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=left_s)]
        )
    context: Any = LLMContext([{"role": "system", "content": INSTRUCTIONS}])
    pair = LLMContextAggregatorPair(context, user_params=LLMUserAggregatorParams(**params))
    return Pipeline([stt, pair.user(), llm, tts, _Sink(ears), pair.assistant()])


@asynccontextmanager
async def phone(setup: Setup) -> AsyncIterator[Dial]:
    """Nothing is shared between calls."""
    logger.remove()

    @asynccontextmanager
    async def dial(ears: Ears, key: str) -> AsyncIterator[Call]:
        params = PipelineParams(audio_in_sample_rate=_RATE, audio_out_sample_rate=24_000)
        task = PipelineTask(_stages(setup, key, ears), params=params, cancel_on_idle_timeout=False)
        started = asyncio.Event()

        async def on_started(task: Any, frame: Any) -> None:
            started.set()

        task.add_event_handler("on_pipeline_started", on_started)
        running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
        try:
            await started.wait()
            yield PipecatCall(task)
        finally:
            await task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    yield dial
