"""AG2's LiveAgent, over the vendor's SDK. It tells its stream of no interruption: the server stops by itself."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

try:
    import sounddevice  # noqa: F401 - only to see whether it can be
except ImportError:
    pass
except OSError:  # its library is missing; AG2 does without the module, but not with half of it
    sys.modules["sounddevice"] = None

pytest.importorskip("ag2.live.openai", reason="ag2[openai] is in the extra `judges`")

from ag2.events import (
    ModelMessageChunk,
    ModelResponse,
    RecordedAudioEvent,
    SynthesizedAudioEvent,
    ToolCallEvent,
    ToolResultEvent,
    TranscriptionCompletedEvent,
    UsageEvent,
)
from ag2.live import LiveAgent
from ag2.live.openai import AudioOutput, InputConfig, RealTimeConfig
from openai import AsyncOpenAI

pytestmark = pytest.mark.judges


class Talk:
    """An agent's context, and all that was told on its stream."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.events: list[Any] = []
        context.stream.subscribe(self._note)

    async def _note(self, event: Any) -> None:
        self.events.append(event)

    async def hear(self, pcm: bytes) -> None:
        await self.context.send(RecordedAudioEvent(pcm))

    def all(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def talking(url: Any, tools: Sequence[Callable[..., Any]] = ()) -> AsyncIterator[Talk]:
    config = RealTimeConfig(
        "gpt-realtime-2",
        output=AudioOutput(voice="marin"),
        input=InputConfig(
            transcription={"model": "gpt-4o-mini-transcribe"},
            turn_detection={"type": "server_vad", "silence_duration_ms": 300, "interrupt_response": True},
        ),
        client=AsyncOpenAI(api_key="sk-test", base_url=url.http, websocket_base_url=url.ws),
    )
    async with LiveAgent("judge", "Be brief.", config=config, tools=tools).run() as context:
        yield Talk(context)


async def test_a_spoken_turn(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.all(ModelResponse), "the reply")
        await until(lambda: talk.all(TranscriptionCompletedEvent), "the transcript")
    assert talk.all(TranscriptionCompletedEvent)[0].content
    assert sum(len(event.content) for event in talk.all(SynthesizedAudioEvent)) / 48 > 500
    (reply,) = talk.all(ModelResponse)
    said = "".join(chunk.content for chunk in talk.all(ModelMessageChunk))
    assert said
    assert reply.message.content == said
    (usage,) = talk.all(UsageEvent)
    assert usage.usage.total_tokens == usage.usage.prompt_tokens + usage.usage.completion_tokens
    assert [turn["status"] for turn in simulator.turns()] == ["completed"]


async def test_an_interruption(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.all(SynthesizedAudioEvent), "the reply")
        await user.speak(600)
        await until(lambda: talk.all(ModelResponse), "the end of the interrupted reply")
        cut = sum(len(event.content) for event in talk.all(SynthesizedAudioEvent))
        await until(lambda: len(talk.all(ModelResponse)) == 2, "the answer to the second turn")
    answered = sum(len(event.content) for event in talk.all(SynthesizedAudioEvent)) - cut
    assert 0 < cut < answered
    assert [turn["status"] for turn in simulator.turns()] == ["cancelled", "completed"]


async def test_a_tool_call(simulator, microphone, until):
    asked = []

    def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "rain"

    async with talking(simulator, [weather]) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: len(talk.all(ModelResponse)) == 2, "the answer")
    assert len(asked) == 1
    (call,) = talk.all(ToolCallEvent)
    (result,) = talk.all(ToolResultEvent)
    assert call.name == "weather"
    assert result.parent_id == call.id
    calling, answer = talk.all(ModelResponse)
    assert calling.message is None
    assert answer.message.content
    assert [turn["status"] for turn in simulator.turns()] == ["completed", "completed"]
