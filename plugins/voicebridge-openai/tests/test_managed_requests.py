"""Commands in any order, at any moment: one response at a time, and one fate for each command."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from voicebridge.contract.commands import (
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendText,
    SendToolResult,
)
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import CommandSettled, OutputAudio, ResponseEnded, ResponseStarted, ToolCall

from .managed_call import Call, WatchedServer, call, nothing_left

TOOL = {"name": "look_up", "description": "", "parameters": {"type": "object", "properties": {}}}
REPLIES = ("A first answer of some length.", {"call": "look_up", "arguments": {}}, "Another answer.") * 12
_ALLOWED_FATES = {None, "closed", "moved", "withdrawn", "empty_turn", "unknown_call", "input_audio_buffer_commit_empty"}


def a_command(chance: random.Random, talk: Call) -> Any:
    """Any command that an application could give now."""
    known = [started.response_id for started in talk.all(ResponseStarted)]
    calls = [told.call_id for told in talk.all(ToolCall)]
    some = chance.choice([None, *known[-3:]])
    heard = {one: chance.choice([0.0, 10.0, 150.0, 99_999.0]) for one in known[-2:] if chance.random() < 0.5}
    kinds: list[Callable[[], Any]] = [
        lambda: SendText(text="Well?", respond=chance.random() < 0.7),
        lambda: Respond(instructions=chance.choice([None, "Be brief."])),
        lambda: Respond(aside=True),
        lambda: Interrupt(response_id=some, heard=heard),
        lambda: Interrupt(),
        lambda: Configure(patch={"instructions": "Be kind."}),
    ]
    if chance.random() < 0.5:
        kinds += [lambda: EndTurn(respond=chance.random() < 0.5), lambda: DiscardTurn()]
    if known:
        kinds.append(lambda: ReportPlayed(response_id=known[-1], ms=chance.uniform(0, 900)))
    if calls:
        kinds.append(lambda: SendToolResult(call_id=chance.choice(calls), output="42"))
    return chance.choice(kinds)()


async def any_order(seed: int, *faults: str) -> WatchedServer:
    chance = random.Random(seed)
    server = WatchedServer(
        *faults, pace=chance.choice([0, 5, 60]), ms_per_char=10, replies=REPLIES, start_ms=chance.choice([0, 15])
    )
    turns = {"mode": "manual"} if seed % 2 == 1 else {"silence_ms": 200}
    async with call(server, alone=False, speed=8, tools=[TOOL], turns=turns) as talk:
        for _ in range(30):
            command = a_command(chance, talk)
            try:
                await talk.send(command)
            except VoiceBridgeError:
                talk.commands.remove(command)
            if chance.random() < 0.3:
                talk._loud = chance.randrange(30)
            await asyncio.sleep(chance.choice([0, 0, 0.005, 0.03]))
        # whatever happened, the next question is answered
        talk._loud = 0
        await asyncio.sleep(0.3)
        await talk.send(Interrupt())
        for told in talk.all(ToolCall):
            answered = {one.call_id for one in talk.commands if isinstance(one, SendToolResult)}
            if told.call_id not in answered:
                await talk.send(SendToolResult(call_id=told.call_id, output="42", respond=False))
        last = SendText(text="Are you there?")
        await talk.send(last)
        await talk.until(
            lambda: (
                [one for one in talk.all(ResponseStarted) if last.id in one.answers]
                or [one for one in talk.all(CommandSettled, command_id=last.id) if one.fault]
            ),
            f"an answer to the last question (seed {seed})",
        )
        fates = {one.fault and one.fault.code for one in talk.all(CommandSettled)}
    assert fates <= _ALLOWED_FATES, fates
    return server


@pytest.mark.parametrize("first", range(0, 60, 20))
async def test_any_order_of_commands(first: int) -> None:
    async with nothing_left():
        for seed in range(first, first + 20, 10):
            await asyncio.gather(*(any_order(one) for one in range(seed, seed + 10)))


async def test_any_order_while_connections_are_lost() -> None:
    fault = "reset on response.output_audio.delta chance 3%"
    async with nothing_left():
        for seed in range(100, 120, 10):
            await asyncio.gather(*(any_order(one, fault) for one in range(seed, seed + 10)))


async def test_an_answer_that_was_cancelled_before_it_began_is_never_heard() -> None:
    server = WatchedServer(pace=40, start_ms=100, replies=("Never heard.", "Heard."))
    async with call(server) as talk:
        await talk.send(SendText(text="One."))
        await talk.send(Interrupt())
        await talk.send(SendText(text="Two."))
        await talk.until(lambda: talk.all(ResponseEnded, status="completed"), "the second answer")
    [spoken] = {event.response_id for event in talk.all(OutputAudio)}
    assert talk.words(spoken) == "Heard."


@pytest.mark.parametrize("ms", [0, 60])
async def test_a_turn_of_no_length_is_not_sent(ms: int) -> None:
    server = WatchedServer(pace=40)
    async with call(server, turns={"mode": "manual"}) as talk:
        await talk.send(DiscardTurn())
        talk.mute = True
        await asyncio.sleep(0.05)
        command = EndTurn()
        await talk.send(command)
        await talk.next(CommandSettled, command_id=command.id)
    assert server.lines[0].frames("input_audio_buffer.commit") == []
