"""The vendor's own SDK: its connection, and its types for every frame."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("openai", reason="the openai SDK is in the extra `judges`")

from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

pytestmark = pytest.mark.judges

EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
AUDIO = {
    "input": {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": {"model": "gpt-4o-mini-transcribe"},
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
    },
    "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin"},
}
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Talk:
    """A connection of the SDK, and every event that came over it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.events: list[Any] = []

    async def read(self) -> None:
        while True:
            frame = await self.connection.recv_bytes()
            EVENTS.validate_json(frame)  # `parse_event` would take anything
            self.events.append(self.connection.parse_event(frame))

    async def hear(self, pcm: bytes) -> None:
        await self.connection.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    def audio_ms(self, response_id: str) -> float:
        deltas = [event for event in self.all("response.output_audio.delta") if event.response_id == response_id]
        return sum(len(base64.b64decode(event.delta)) for event in deltas) / 48


@asynccontextmanager
async def talking(url: Any, **session: Any) -> AsyncIterator[Talk]:
    client = AsyncOpenAI(api_key="sk-test", base_url=url.http, websocket_base_url=url.ws)
    async with client, client.realtime.connect(model="gpt-realtime-2") as connection:
        talk = Talk(connection)
        reader = asyncio.create_task(talk.read())
        await connection.session.update(session={"type": "realtime", "audio": AUDIO, **session})
        try:
            yield talk
        finally:
            reader.cancel()
            (ended,) = await asyncio.gather(reader, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended


async def test_a_spoken_turn(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.hear) as user:
        await until(lambda: talk.all("session.updated"), "the session's settings")
        await user.speak(1000)
        await until(lambda: talk.all("response.done"), "the end of the reply")
        await until(lambda: talk.all("conversation.item.input_audio_transcription.completed"), "the transcript")
    (done,) = talk.all("response.done")
    (asked,) = talk.all("conversation.item.input_audio_transcription.completed")
    (committed,) = talk.all("input_audio_buffer.committed")
    assert done.response.status == "completed"
    assert asked.item_id == committed.item_id
    assert asked.transcript
    assert talk.audio_ms(done.response.id) > 500
    said = "".join(event.delta for event in talk.all("response.output_audio_transcript.delta"))
    assert said
    assert done.response.output[0].content[0].transcript == said
    assert done.response.usage.total_tokens == done.response.usage.input_tokens + done.response.usage.output_tokens
    assert not talk.all("error")
    assert [turn["status"] for turn in simulator.turns()] == ["completed"]


async def test_an_interruption(simulator, microphone, until):
    """The SDK leaves the truncation to its application: this one has heard 200 ms."""
    async with talking(simulator) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.all("response.output_audio.delta"), "the reply")
        item_id = talk.all("response.output_audio.delta")[0].item_id
        await user.speak(600)
        await until(lambda: len(talk.all("input_audio_buffer.speech_started")) == 2, "news of the second voice")
        await talk.connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=200)
        await until(lambda: talk.all("conversation.item.truncated"), "the truncation")
        await until(lambda: len(talk.all("response.done")) == 2, "the answer to the second turn")
    first, second = (event.response for event in talk.all("response.done"))
    assert (first.status, first.status_details.reason) == ("cancelled", "turn_detected")
    assert second.status == "completed"
    (cut,) = talk.all("conversation.item.truncated")
    assert (cut.item_id, cut.audio_end_ms) == (item_id, 200)
    assert not talk.all("error")
    assert [turn["status"] for turn in simulator.turns()] == ["cancelled", "completed"]


async def test_a_tool_call(simulator, microphone, until):
    async with talking(simulator, tools=[WEATHER]) as talk, microphone(talk.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.all("response.done"), "the end of the call")
        (call,) = talk.all("response.function_call_arguments.done")
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        await talk.connection.conversation.item.create(item=output)
        await talk.connection.response.create()
        await until(lambda: len(talk.all("response.done")) == 2, "the answer")
    calling, answer = (event.response for event in talk.all("response.done"))
    assert call.name == "weather"
    assert [item.type for item in calling.output] == ["function_call"]
    assert [item.type for item in answer.output] == ["message"]
    assert talk.audio_ms(calling.id) == 0
    assert talk.audio_ms(answer.id) > 500
    assert not talk.all("error")
    assert [turn["status"] for turn in simulator.turns()] == ["completed", "completed"]


async def test_a_session_that_only_transcribes(simulator, microphone, until):
    """Push-to-talk: two commits, and nothing but their transcripts."""
    client = AsyncOpenAI(api_key="sk-test", base_url=simulator.http, websocket_base_url=simulator.ws)
    settings = {"transcription": {"model": "gpt-realtime-whisper"}, "turn_detection": None}
    async with client, client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        talk = Talk(connection)
        reader = asyncio.create_task(talk.read())
        await connection.session.update(session={"type": "transcription", "audio": {"input": settings}})
        async with microphone(talk.hear) as user:
            for turns in (1, 2):
                await user.speak(300)
                await connection.input_audio_buffer.commit()
                kind = "conversation.item.input_audio_transcription.completed"
                await until(lambda turns=turns, kind=kind: len(talk.all(kind)) == turns, "the transcript")
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    (updated,) = talk.all("session.updated")
    assert updated.session.type == "transcription"
    assert updated.session.audio.input.turn_detection is None
    committed = [event.item_id for event in talk.all("input_audio_buffer.committed")]
    assert [event.item_id for event in talk.all(kind)] == committed
    assert not talk.all("error")
    assert not [event for event in talk.events if event.type.startswith("response.")]
