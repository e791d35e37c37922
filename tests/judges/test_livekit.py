"""LiveKit Agents without a room: an AgentSession over its realtime model, with a microphone and a speaker of ours.

Interruption is its own work: it stops the speaker, asks it how far it came, and truncates the item there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("livekit.plugins.openai", reason="livekit-plugins-openai is in the extra `judges`")

import aiohttp
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.plugins.openai import realtime
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad

pytestmark = pytest.mark.judges

RATE = 24_000
TURNS = ServerVad(
    type="server_vad",
    threshold=0.5,
    prefix_padding_ms=300,
    silence_duration_ms=300,
    create_response=True,
    interrupt_response=True,
)


class Ear(AudioInput):
    """What the microphone sends, as LiveKit takes it."""

    def __init__(self) -> None:
        super().__init__(label="ear")
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def hear(self, pcm: bytes) -> None:
        self._frames.put_nowait(rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2))

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()


class Speaker(AudioOutput):
    """Plays in real time, and tells how far it came when it is stopped."""

    def __init__(self) -> None:
        super().__init__(label="speaker", capabilities=AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self.seconds = 0.0
        """Of audio taken, in all."""
        self._queued = 0.0
        self._began: float | None = None
        self._end: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._began is None:
            self._began = time.monotonic()
            self.on_playback_started(created_at=time.time())
        self.seconds += frame.duration
        self._queued += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._began is not None:
            left = self._queued - (time.monotonic() - self._began)
            self._end = asyncio.get_running_loop().call_later(max(left, 0), self._finish, False)

    def clear_buffer(self) -> None:
        if self._began is not None:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
        played = min(time.monotonic() - (self._began or 0), self._queued)
        self._began, self._queued, self._end = None, 0.0, None
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


class Talk:
    """A session, its events, and the vendor's frames as it saw them."""

    def __init__(self, session: AgentSession) -> None:
        self.session = session
        self.ear = Ear()
        self.speaker = Speaker()
        self.events: list[Any] = []
        self.frames: list[dict[str, Any]] = []
        session.input.audio = self.ear
        session.output.audio = self.speaker
        for kind in ("user_input_transcribed", "conversation_item_added", "function_tools_executed", "error"):
            session.on(kind, self.events.append)

    def all(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    def got(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def messages(self, role: str) -> list[Any]:
        items = [event.item for event in self.all("conversation_item_added")]
        return [item for item in items if item.type == "message" and item.role == role]


@asynccontextmanager
async def talking(url: Any, tools: Sequence[Any] = ()) -> AsyncIterator[Talk]:
    async with aiohttp.ClientSession() as http:
        model = realtime.RealtimeModel(
            api_key="sk-test",
            base_url=url.http,
            model="gpt-realtime-2",
            voice="marin",
            turn_detection=TURNS,
            http_session=http,
        )
        session = AgentSession(llm=model, vad=None, aec_warmup_duration=None)
        talk = Talk(session)
        agent = Agent(instructions="Be brief.", tools=list(tools))
        await session.start(agent, record=False)
        session.current_agent.realtime_llm_session.on("openai_server_event_received", talk.frames.append)
        try:
            yield talk
        finally:
            await session.aclose()
            await model.aclose()
        assert not talk.all("error"), talk.all("error")


async def test_a_spoken_turn(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.ear.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.messages("assistant"), "the reply")
    (asked,) = [event for event in talk.all("user_input_transcribed") if event.is_final]
    (reply,) = talk.messages("assistant")
    assert asked.transcript
    assert reply.text_content
    assert not reply.interrupted
    assert talk.speaker.seconds > 0.5
    assert [turn["status"] for turn in simulator.turns()] == ["completed"]


async def test_a_reply_that_was_asked_for(simulator):
    """The model finds its response by the metadata that the server echoes."""
    async with talking(simulator) as talk:
        await talk.session.generate_reply(instructions="Greet the user.")
    created, done = talk.got("response.created"), talk.got("response.done")
    assert len(created) == len(done) == 1
    asked = created[0]["response"]["metadata"]["client_event_id"]
    assert asked == done[0]["response"]["metadata"]["client_event_id"]
    assert talk.messages("assistant")


async def test_an_interruption(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.ear.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.speaker.seconds > 0.3, "the reply")
        await user.speak(600)
        await until(lambda: talk.got("conversation.item.truncated"), "the truncation")
        await until(lambda: len(talk.messages("assistant")) == 2, "the answer to the second turn")
    cut_off, answer = talk.messages("assistant")
    assert cut_off.interrupted
    assert not answer.interrupted
    (cut,) = talk.got("conversation.item.truncated")
    assert cut["item_id"] == talk.got("response.output_audio.delta")[0]["item_id"]
    assert cut["audio_end_ms"] > 0
    first, second = (frame["response"] for frame in talk.got("response.done"))
    assert (first["status"], first["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert second["status"] == "completed"
    assert [turn["status"] for turn in simulator.turns()] == ["cancelled", "completed"]


async def test_an_interruption_of_what_still_plays(simulator, microphone, until):
    async with talking(simulator) as talk, microphone(talk.ear.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.got("response.done"), "the end of the reply")
        received_ms = talk.speaker.seconds * 1000
        await user.speak(600)
        await until(lambda: talk.got("conversation.item.truncated"), "the truncation")
        await until(lambda: len(talk.messages("assistant")) == 2, "the answer to the second turn")
    cut_off, answer = talk.messages("assistant")
    assert cut_off.interrupted
    assert not answer.interrupted
    (cut,) = talk.got("conversation.item.truncated")
    assert 0 < cut["audio_end_ms"] < received_ms
    assert [turn["status"] for turn in simulator.turns()] == ["completed", "completed"]


async def test_a_tool_call(simulator, microphone, until):
    asked = []

    @function_tool
    async def weather(city: str) -> str:
        """The weather in a city."""
        asked.append(city)
        return "rain"

    async with talking(simulator, [weather]) as talk, microphone(talk.ear.hear) as user:
        await user.speak(1000)
        await until(lambda: talk.messages("assistant"), "the answer")
    assert len(asked) == 1
    (executed,) = talk.all("function_tools_executed")
    assert [call.name for call in executed.function_calls] == ["weather"]
    assert [output.output for output in executed.function_call_outputs] == ["rain"]
    assert talk.speaker.seconds > 0.5
    assert [turn["status"] for turn in simulator.turns()] == ["completed", "completed"]
