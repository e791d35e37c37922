"""Pipecat's service for the vendor's wire, in a pipeline with its own context aggregators. An error frame ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("pipecat.services.openai.realtime.llm", reason="pipecat-ai is in the extra `judges`")

from pipecat.frames.frames import (
    BotStoppedSpeakingFrame,
    ErrorFrame,
    FunctionCallResultFrame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

pytestmark = pytest.mark.judges

RATE = 24_000


class Notes(BaseObserver):
    """Every frame of the pipeline, once."""

    def __init__(self) -> None:
        super().__init__(observe_every_push=False)
        self.frames: list[Any] = []

    async def on_push_frame(self, data: FramePushed) -> None:
        self.frames.append(data.frame)


class Speaker(BaseOutputTransport):
    """Plays in real time, to nobody."""

    def __init__(self) -> None:
        super().__init__(TransportParams(audio_out_enabled=True))

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        await asyncio.sleep(frame.num_frames / frame.sample_rate)
        return True


class Talk:
    """A running pipeline, its frames, and the events that its service sent, all since the last `forget`."""

    def __init__(self, worker: PipelineWorker, notes: Notes, sent: list[Any], context: LLMContext) -> None:
        self._worker = worker
        self._notes = notes
        self._sent = sent
        self.context = context

    async def send(self, frame: Any) -> None:
        await self._worker.queue_frame(frame)

    async def hear(self, pcm: bytes) -> None:
        await self.send(InputAudioRawFrame(audio=pcm, sample_rate=RATE, num_channels=1))

    def all(self, kind: type[Any]) -> list[Any]:
        return [frame for frame in self._notes.frames if isinstance(frame, kind)]

    def audio_ms(self) -> float:
        return sum(len(frame.audio) for frame in self.all(TTSAudioRawFrame)) / 48

    def truncations(self) -> list[Any]:
        return [event for event in self._sent if event.type == "conversation.item.truncate"]

    def said(self, role: str) -> list[str]:
        """What the pipeline's own context holds of a side."""
        return [str(message["content"]) for message in self.context.get_messages() if message.get("role") == role]

    def forget(self) -> None:
        assert not self.all(ErrorFrame), self.all(ErrorFrame)
        self._notes.frames.clear()
        self._sent.clear()


SETTINGS = OpenAIRealtimeLLMService.Settings(
    model="gpt-realtime-2",
    system_instruction="Be brief.",
    session_properties=events.SessionProperties(
        audio=events.AudioConfiguration(
            input=events.AudioInput(
                format=events.PCMAudioFormat(),
                transcription=events.InputAudioTranscription(model="gpt-4o-mini-transcribe"),
                turn_detection=events.TurnDetection(silence_duration_ms=300),
            ),
            output=events.AudioOutput(format=events.PCMAudioFormat(), voice="marin"),
        ),
    ),
)


@asynccontextmanager
async def talking(url: Any, until: Any, tools: Sequence[Callable[..., Any]] = ()) -> AsyncIterator[Talk]:
    """A pipeline that has greeted the user: its service hears of its context, and so of its tools, no other way."""
    service = OpenAIRealtimeLLMService(api_key="sk-test", base_url=f"{url.ws}/realtime", settings=SETTINGS)
    sent: list[Any] = []
    send = service.send_client_event

    async def noted(event: Any) -> None:
        sent.append(event)
        await send(event)

    service.send_client_event = noted
    context = LLMContext(tools=list(tools))
    aggregators = LLMContextAggregatorPair(context)
    notes = Notes()
    worker = PipelineWorker(
        Pipeline([aggregators.user(), service, Speaker(), aggregators.assistant()]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
        observers=[notes],
        idle_timeout_secs=None,
        enable_rtvi=False,
    )
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    talk = Talk(worker, notes, sent, context)
    try:
        await talk.send(LLMRunFrame())
        await until(lambda: talk.all(BotStoppedSpeakingFrame), "the greeting")
        talk.forget()
        assert [turn["cause"] for turn in url.turns()] == ["request"]
        yield talk
        talk.forget()
    finally:
        await runner.cancel()
        await running


async def test_a_spoken_turn(simulator, microphone, until):
    async with talking(simulator, until) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.all(BotStoppedSpeakingFrame), "the end of the reply")
        await until(lambda: talk.all(TranscriptionFrame), "the transcript")
        heard = talk.all(TranscriptionFrame)[0].text
        assert heard
        assert talk.audio_ms() > 500
        said = "".join(frame.text for frame in talk.all(TTSTextFrame))
        assert said
        assert len(talk.all(TTSStoppedFrame)) == 1
        assert talk.said("user")[-1] == heard
        assert talk.said("assistant")[-1] == said.strip()
    assert [turn["status"] for turn in simulator.turns()[1:]] == ["completed"]


async def test_an_interruption(simulator, microphone, until):
    async with talking(simulator, until) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.all(TTSAudioRawFrame), "the reply")
        before = len(talk.all(InterruptionFrame))
        await user.speak(600)
        await until(talk.truncations, "the truncation")
        received = talk.audio_ms()
        stops = len(talk.all(BotStoppedSpeakingFrame))
        await until(lambda: len(simulator.turns()) == 3, "the answer to the second turn")
        await until(lambda: len(talk.all(BotStoppedSpeakingFrame)) > stops, "the end of it")
        assert len(talk.all(InterruptionFrame)) > before
        (cut,) = talk.truncations()
        assert 0 < cut.audio_end_ms <= received
    assert [turn["status"] for turn in simulator.turns()[1:]] == ["cancelled", "completed"]


async def test_an_interruption_of_what_still_plays(simulator, microphone, until):
    async with talking(simulator, until) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: len(simulator.turns()) == 2, "the end of the reply")
        received = talk.audio_ms()
        await user.speak(600)
        await until(talk.truncations, "the truncation")
        stops = len(talk.all(BotStoppedSpeakingFrame))
        await until(lambda: len(simulator.turns()) == 3, "the answer to the second turn")
        await until(lambda: len(talk.all(BotStoppedSpeakingFrame)) > stops, "the end of it")
        (cut,) = talk.truncations()
        assert 0 < cut.audio_end_ms < received
    assert [turn["status"] for turn in simulator.turns()[1:]] == ["completed", "completed"]


async def test_a_tool_call(simulator, microphone, until):
    asked = []

    async def weather(params: Any, city: str) -> None:
        """The weather in a city.

        Args:
            city: Its name.
        """
        asked.append(city)
        await params.result_callback("rain")

    async with talking(simulator, until, [weather]) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.all(FunctionCallResultFrame), "the result")
        await until(lambda: talk.all(BotStoppedSpeakingFrame), "the end of the answer")
        assert len(asked) == 1
        assert talk.all(FunctionCallResultFrame)[0].function_name == "weather"
        assert talk.audio_ms() > 500
    assert [turn["status"] for turn in simulator.turns()[1:]] == ["completed", "completed"]
