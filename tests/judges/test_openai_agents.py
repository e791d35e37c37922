"""The OpenAI Agents SDK: it validates every frame strictly, and truncates by the wall clock when the user speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("agents.realtime", reason="openai-agents is in the extra `judges`")

from agents import function_tool, set_tracing_disabled
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

pytestmark = pytest.mark.judges

SETTINGS = {
    "model_name": "gpt-realtime-2",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": "pcm16",
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300, "interrupt_response": True},
        },
        "output": {"format": "pcm16", "voice": "marin"},
    },
}


class Talk:
    """A session of the SDK, its events, and the vendor's frames as it saw them."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.events: list[Any] = []

    async def read(self) -> None:
        async for event in self.session:
            self.events.append(event)

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    def frames(self, kind: str) -> list[Any]:
        raw = [event.data.data for event in self.all("raw_model_event") if event.data.type == "raw_server_event"]
        return [frame for frame in raw if frame["type"] == kind]

    def words(self, role: str) -> list[str]:
        """What a side said, a string an item, by the SDK's own history."""
        history = self.all("history_updated")[-1].history
        messages = [item for item in history if item.type == "message" and item.role == role]
        return ["".join(part.transcript or "" for part in item.content) for item in messages]


@asynccontextmanager
async def talking(url: Any, tools: Sequence[Any] = ()) -> AsyncIterator[Talk]:
    set_tracing_disabled(True)
    agent = RealtimeAgent(name="judge", instructions="Be brief.", tools=list(tools))
    runner = RealtimeRunner(agent, config={"model_settings": SETTINGS})
    session = await runner.run(
        model_config={"api_key": "sk-test", "url": f"{url.ws}/realtime?model=gpt-realtime-2"},
    )
    async with session:
        talk = Talk(session)
        reader = asyncio.create_task(talk.read())
        yield talk
    await reader
    assert not talk.all("error"), talk.all("error")


async def test_a_spoken_turn(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.session.send_audio) as user:
        await user.speak(1000)
        await until(lambda: talk.all("agent_end"), "the end of the reply")
        await until(lambda: any(talk.words("user")), "the transcript")
        await until(lambda: any(talk.words("assistant")), "the words of the reply")
    assert len(talk.all("agent_start")) == len(talk.all("agent_end")) == 1
    assert sum(len(event.audio.data) for event in talk.all("audio")) / 48 > 500
    assert talk.all("audio_end")
    assert not talk.all("audio_interrupted")
    assert [turn["status"] for turn in simulator.turns()] == ["completed"]


async def test_an_interruption(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.session.send_audio) as user:
        await user.speak(1000)
        await until(lambda: talk.all("audio"), "the reply")
        item_id = talk.all("audio")[0].item_id
        await user.speak(600)
        await until(lambda: talk.frames("conversation.item.truncated"), "the truncation")
        await until(lambda: len(talk.all("agent_end")) == 2, "the answer to the second turn")
    (interrupted,) = talk.all("audio_interrupted")
    (cut,) = talk.frames("conversation.item.truncated")
    assert interrupted.item_id == cut["item_id"] == item_id
    assert cut["audio_end_ms"] > 0
    first, second = (frame["response"] for frame in talk.frames("response.done"))
    assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert second["status"] == "completed"
    assert [turn["status"] for turn in simulator.turns()] == ["cancelled", "completed"]


async def test_an_interruption_of_what_still_plays(simulator, microphone, until):
    """The server has sent all of the reply; the client's clock says how much of it was heard."""
    async with talking(simulator) as talk, microphone(talk.session.send_audio) as user:
        await user.speak(1000)
        await until(lambda: talk.all("agent_end"), "the end of the reply")
        received_ms = sum(len(event.audio.data) for event in talk.all("audio")) / 48
        await user.speak(600)
        await until(lambda: talk.frames("conversation.item.truncated"), "the truncation")
        await until(lambda: len(talk.all("agent_end")) == 2, "the answer to the second turn")
    (interrupted,) = talk.all("audio_interrupted")
    (cut,) = talk.frames("conversation.item.truncated")
    assert interrupted.item_id == cut["item_id"]
    assert 0 < cut["audio_end_ms"] < received_ms
    assert [turn["status"] for turn in simulator.turns()] == ["completed", "completed"]


async def test_a_tool_call(simulator, microphone, until):
    asked = []

    @function_tool
    async def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "rain"

    async with talking(simulator, [weather]) as talk, microphone(talk.session.send_audio) as user:
        await user.speak(1000)
        await until(lambda: talk.all("tool_end"), "the end of the call")
        await until(lambda: talk.all("audio_end"), "the answer")
        await until(lambda: len(talk.all("agent_end")) == 2, "the end of the answer")
    assert len(asked) == 1
    (ended,) = talk.all("tool_end")
    assert (ended.tool.name, ended.output) == ("weather", "rain")
    (output,) = [f for f in talk.frames("conversation.item.added") if f["item"]["type"] == "function_call_output"]
    assert output["item"]["output"] == "rain"
    assert [turn["status"] for turn in simulator.turns()] == ["completed", "completed"]
