"""Pipecat: a pipeline with its realtime service and, after it, a processor that takes the audio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

from .arm import KEY, Call, Dial, Ears

__all__ = ["phone"]


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
        elif isinstance(frame, TTSStoppedFrame):
            self._bench_ears.ended()
        if direction != FrameDirection.DOWNSTREAM or not isinstance(frame, TTSAudioRawFrame):
            await self.push_frame(frame, direction)


class PipecatCall:
    """One pipeline."""

    def __init__(self, task: Any) -> None:
        self._task = task

    async def send(self, pcm: bytes) -> None:
        """The microphone's next 20 ms."""
        await self._task.queue_frame(InputAudioRawFrame(audio=pcm, sample_rate=24_000, num_channels=1))

    async def ask(self) -> None:
        """Not possible at will: a pipeline answers to a context or to speech."""
        raise NotImplementedError


@asynccontextmanager
async def phone(port: int) -> AsyncIterator[Dial]:
    """Nothing is shared between calls."""
    logger.remove()

    @asynccontextmanager
    async def dial(ears: Ears) -> AsyncIterator[Call]:
        service = OpenAIRealtimeLLMService(api_key=KEY, base_url=f"ws://127.0.0.1:{port}/v1/realtime")
        params = PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000)
        task = PipelineTask(Pipeline([service, _Sink(ears)]), params=params, cancel_on_idle_timeout=False)
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
