"""A tool that still works when the connection is lost: its result reaches the new one, as the answer to that call."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import voicebridge
from voicebridge import (
    Event,
    ResponseEnded,
    ResponseStarted,
    SendText,
    SendToolResult,
    SessionRestarted,
    SimulatorSettings,
    ToolCall,
    VoiceSession,
)
from voicebridge.registry.registry import registry

E = TypeVar("E", bound=Event)
SETTINGS = SimulatorSettings(
    options={"replies": [{"call": "weather", "arguments": {}}, "Sunny."], "pace": 0},
    faults=("reset on response.done occurrence 1 connection 1",),
)


async def the_next(session: VoiceSession, kind: type[E]) -> E:
    async for event in session:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} came")


async def test_its_result_is_taken_on_the_new_connection() -> None:
    async with (
        asyncio.timeout(20),
        registry().simulator("openai-realtime", SETTINGS).serve() as url,
        voicebridge.connect("openai", base_url=url, api_key="any", tools=[{"name": "weather"}]) as session,
    ):
        await session.send(SendText(text="What is the weather?"))
        call = await the_next(session, ToolCall)
        await the_next(session, SessionRestarted)
        result = SendToolResult(call_id=call.call_id, output="sunny")
        await session.send(result)
        started = await the_next(session, ResponseStarted)
        assert (started.cause, started.answers) == ("tool", (result.id,))
        assert (await the_next(session, ResponseEnded)).status == "completed"
