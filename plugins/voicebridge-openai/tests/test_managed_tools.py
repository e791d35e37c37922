"""Functions that the model calls, while everything else goes wrong: each runs once, and somebody gets its result."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from voicebridge import ToolPolicy
from voicebridge.contract.commands import SendText, SendToolResult
from voicebridge.contract.events import OutputAudio, ResponseEnded, SessionRestarted, ToolCall
from voicebridge.contract.items import MessageItem, ToolCallItem, ToolResultItem

from .managed_call import Line, WatchedServer, call

WEATHER = {"call": "weather", "arguments": {"city": "Paris"}}
TIME = {"call": "time_of_day", "arguments": {}}


class Tools:
    """Two functions that count."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.ran: list[str] = []
        self._takes_s = takes_s
        self.all: list[Any] = [self.weather, self.time_of_day]

    async def weather(self, city: str) -> str:
        """The weather."""
        self.ran.append(f"weather {city}")
        await asyncio.sleep(self._takes_s)
        return "sunny"

    async def time_of_day(self) -> str:
        """The time."""
        self.ran.append("time")
        await asyncio.sleep(self._takes_s / 2)
        return "noon"


def results(line: Line) -> list[str]:
    items = [frame["item"] for frame in line.frames("conversation.item.create")]
    return sorted(item["output"] for item in items if item["type"] == "function_call_output")


async def test_calls_of_one_response_are_answered_by_one_response() -> None:
    tools = Tools(0.2)
    server = WatchedServer(pace=40, ms_per_char=10, replies=([WEATHER, TIME], "Sunny, and noon."))
    async with call(server, tools=tools.all) as talk:
        await talk.send(SendText(text="Weather and time?"))
        await talk.next(ResponseEnded, 2)
        await asyncio.sleep(0.2)
    assert sorted(tools.ran) == ["time", "weather Paris"]
    assert results(server.lines[0]) == ["noon", "sunny"]
    assert len(server.lines[0].frames("response.create")) == 2, "one for the question, one for both results"
    assert len(talk.all(ResponseEnded)) == 2


@pytest.mark.parametrize(
    "event", ["response.function_call_arguments.done", "response.output_item.done", "response.done"]
)
async def test_a_call_that_is_told_twice_runs_once(event: str) -> None:
    tools = Tools()
    server = WatchedServer(
        f"duplicate on {event} every",
        pace=40,
        ms_per_char=10,
        replies=(WEATHER, "It is sunny.", WEATHER, "It still is."),
    )
    async with call(server, tools=tools.all) as talk:
        await talk.send(SendText(text="Weather?"))
        await talk.until(lambda: talk.all(OutputAudio), "audio")
        await talk.until(lambda: not talk.session._is_playing())
    assert tools.ran == ["weather Paris"]
    assert len(talk.all(ToolCall)) == 1
    assert results(server.lines[0]) == ["sunny"]


async def test_a_result_that_nobody_reads_any_more_goes_to_the_hook() -> None:
    tools = Tools(0.3)
    orphans: list[SendToolResult] = []
    server = WatchedServer(pace=40, replies=(WEATHER,))
    async with call(
        server, tools=tools.all, tool_policy=ToolPolicy(orphaned=lambda call, result: orphans.append(result))
    ) as talk:
        await talk.send(SendText(text="Weather?"))
        await talk.until(lambda: tools.ran)
    await asyncio.sleep(0.5)
    assert tools.ran == ["weather Paris"]
    assert len(orphans) == 1


@pytest.mark.parametrize("when", ["on response.done", "on rate_limits.updated", "on response.output_item.done"])
@pytest.mark.parametrize("takes_s", [0.0, 0.6])
async def test_a_line_that_is_lost_while_a_tool_works(when: str, takes_s: float) -> None:
    tools = Tools(takes_s)
    server = WatchedServer(f"reset {when} connection 1", pace=40, ms_per_char=10)
    async with call(server, tools=tools.all) as talk:
        await talk.send(SendText(text="What does weather say?"))
        await talk.next(SessionRestarted)
        await talk.until(lambda: len(server.lines) == 2 and results(server.lines[1]), "the result")
        await talk.until(lambda: server.lines[1].frames("response.create"), "a request")
        await talk.until(lambda: talk.all(OutputAudio), "an answer")
        await talk.until(lambda: not talk.session._is_playing())
        await asyncio.sleep(0.3)
    assert len(tools.ran) == 1
    assert len(talk.all(ToolCall)) == 1
    assert results(server.lines[1]) == ["sunny"]
    said = [talk.words(one.response_id) for one in talk.all(ResponseEnded)]
    assert [words for words in said if words] == ["The tool says: sunny"], "said once, however often it was asked for"
    told = [item for item in talk.session.history if not isinstance(item, MessageItem)]
    assert [type(item) for item in told] == [ToolCallItem, ToolResultItem]
