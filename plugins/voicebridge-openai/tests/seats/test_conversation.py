"""Whole conversations of a cascade whose three seats are ours, against the simulators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.commands import SendAudio, SendText, SendToolResult
from voicebridge.contract.config import Tool
from voicebridge.contract.events import (
    Event,
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ToolCall,
    UsageReported,
)
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import simulator
from voicebridge.testing.simulator.bare_client import tone

SPEC = "openai/gpt-4o-transcribe+openai/gpt-4o+openai/gpt-4o-mini-tts"
LOOK = Tool(name="look", description="Look it up.")


@asynccontextmanager
async def conversation(spec: str = SPEC, **options: Any) -> AsyncIterator[Any]:
    """A session of three stages at one simulated vendor; turns are found by loudness."""
    settings = SimulatorSettings(options=options)
    async with (
        simulator("openai-http", settings).serve() as url,
        voicebridge.connect(spec, base_url=url, api_key="sk-test", detector="energy", tools=[LOOK]) as session,
    ):
        yield session


async def until_ended(session: Any, events: list[Event], responses: int = 1) -> None:
    """Read until so many responses have ended."""
    async with asyncio.timeout(20):
        async for event in session:
            events.append(event)
            responses -= isinstance(event, ResponseEnded)
            if not responses:
                return


def said(events: list[Event]) -> str:
    """The agent's words."""
    return "".join(event.delta for event in events if isinstance(event, OutputText) and event.kind == "speech")


@pytest.mark.parametrize("model", ["openai/gpt-4o", "openai/responses/gpt-4o"])
async def test_a_spoken_turn(model: str) -> None:
    spec = f"openai/whisper-1+{model}+openai/tts-1"
    replies = ["Good day to you. How can I help?"]
    events: list[Event] = []
    async with conversation(spec, transcripts=("Good morning.",), replies=replies) as session:
        pcm = tone(700) + bytes(48 * 1200)
        for start in range(0, len(pcm), 960):
            await session.send(SendAudio(pcm=pcm[start : start + 960]))
        await until_ended(session, events)
    heard = [event for event in events if isinstance(event, InputTranscript) and event.final]
    assert [event.text for event in heard] == ["Good morning."]
    assert said(events).split() == replies[0].split()
    audio = sum(len(event.pcm) for event in events if isinstance(event, OutputAudio))
    assert audio > 48 * 500
    units = {unit for event in events if isinstance(event, UsageReported) for unit in event.units}
    assert {"audio_s", "input_text_tokens", "output_text_tokens", "characters"} <= units


async def test_a_round_of_a_tool() -> None:
    call = {"call": "look", "arguments": {"city": "Ulm"}}
    events: list[Event] = []
    async with conversation(replies=[call, "It rains."]) as session:
        await session.send(SendText(text="How is the weather?"))
        await until_ended(session, events)
        (asked,) = [event for event in events if isinstance(event, ToolCall)]
        assert (asked.name, asked.arguments.replace(" ", "")) == ("look", '{"city":"Ulm"}')
        await session.send(SendToolResult(call_id=asked.call_id, output="rain"))
        await until_ended(session, events)
    assert said(events).strip() == "It rains."


async def test_each_seat_of_another_server() -> None:
    """As a person would run it at home: a recogniser, a model and a voice, each a server of its own."""
    plain = SimulatorSettings(options={"dialect": "plain", "transcripts": ("Good morning.",)})
    ollama = SimulatorSettings(options={"dialect": "ollama", "replies": ["(warm)", "Hello."]})
    events: list[Event] = []
    async with simulator("openai-http", plain).serve() as here, simulator("openai-http", ollama).serve() as there:
        settings: dict[str, Any] = {
            "stt.base_url": here,
            "llm.base_url": there,
            "tts.base_url": here,
            "detector": "energy",
        }
        async with voicebridge.connect("speaches/base.en+ollama/llama3.2+kokoro/af_sky", **settings) as session:
            await session.send(SendText(text="Hello?"))
            await until_ended(session, events)
    assert said(events).strip() == "Hello."
    ended = [event for event in events if isinstance(event, ResponseEnded)]
    assert [event.status for event in ended] == ["completed"]


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "turns/gpt-4o-transcribe"], ids=["commits", "turns"])
async def test_a_session_recogniser_in_a_cascade(model: str) -> None:
    events: list[Event] = []
    hearing = simulator("openai-realtime", SimulatorSettings(options={"transcripts": ("Good morning.",)}))
    rest = simulator("openai-http", SimulatorSettings(options={"replies": ["Hello."]}))
    async with hearing.serve() as ear, rest.serve() as url:
        settings: dict[str, Any] = {"stt.base_url": ear, "llm.base_url": url, "tts.base_url": url}
        if "turns" not in model:
            settings["detector"] = "energy"
        keys: dict[str, Any] = {f"{seat}.api_key": "sk-test" for seat in ("stt", "llm", "tts")}
        spec = f"openai/{model}+openai/gpt-4o+openai/tts-1"
        async with voicebridge.connect(spec, **settings, **keys) as session:
            pcm = tone(700) + bytes(48 * 1200)
            for start in range(0, len(pcm), 960):
                await session.send(SendAudio(pcm=pcm[start : start + 960]))
            await until_ended(session, events)
    heard = [event.text for event in events if isinstance(event, InputTranscript) and event.final]
    assert heard == ["Good morning."]
    assert said(events).strip() == "Hello."
