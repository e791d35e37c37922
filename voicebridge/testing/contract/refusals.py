"""Checks of what is not possible, and of changes while the session runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.errors import ConfigError, Unsupported, VoiceBridgeError
from voicebridge.contract.events import ResponseStarted, ToolCall, UserTurn

from .answers import PIXEL
from .conversation import Conversation
from .suite import Bench, check
from .verdict import Broken, NotTried, expect


def _ruled_out(can: Capabilities, bench: Bench) -> Iterator[tuple[str, Command]]:
    """Commands that these capabilities say can't be done, each with the capability."""
    rules: list[tuple[bool, str, Command]] = [
        ("audio" not in can.inputs, "inputs has no 'audio'", SendAudio(pcm=bytes(320))),
        ("text" not in can.inputs, "inputs has no 'text'", SendText(text="Hello.")),
        ("image" not in can.inputs, "inputs has no 'image'", SendText(text="What is this?", images=(PIXEL,))),
        (can.context == "none", "context is 'none'", SendText(text="A note.", role="system", respond=False)),
        ("manual" not in can.turns, "turns has no 'manual'", EndTurn()),
        ("manual" not in can.turns, "turns has no 'manual'", DiscardTurn()),
        ("verb" not in can.interrupt, "interrupt has no 'verb'", Interrupt()),
        ("verb" not in can.respond, "respond has no 'verb'", Respond()),
        ("instructions" not in can.respond, "respond has no 'instructions'", Respond(instructions="Be brief.")),
        ("say" not in can.respond, "respond has no 'say'", Respond(say="Hello.")),
        ("aside" not in can.respond, "respond has no 'aside'", Respond(aside=True)),
        (can.tools == "none", "tools is 'none'", SendToolResult(call_id="no-such-call", output="x")),
    ]
    patches: dict[str, Any] = {
        "instructions": "Be brief.",
        "tools": (bench.subject.tool,),
        "voice": "no-such-voice",
        "turns": bench.turns(silence_ms=900),
        "input_format": None,
    }
    rules += [
        (field not in can.live_update, f"live_update has no {field!r}", Configure(patch={field: value}))
        for field, value in patches.items()
        if value is not None
    ]
    for ruled_out, capability, command in rules:
        if ruled_out:
            yield capability, command


@check("What the capabilities rule out raises Unsupported from send, and nothing is sent.")
async def refusals(bench: Bench) -> None:
    """Each such command, before SessionReady and after it."""
    bench.need(any(_ruled_out(bench.can, bench)), "it declares to do everything")
    for early in (True, False):
        async with bench.open() as talk:
            if not early:
                await talk.ready()
            for capability, command in _ruled_out(bench.can if early else talk.session.capabilities, bench):
                await _refused(talk, capability, command)
            await talk.ready()
            await talk.quiet()
            expect(not talk.all(ResponseStarted), "a command that was refused was answered")
            expect(not talk.all(UserTurn), "a command that was refused opened a turn")


async def _refused(talk: Conversation, capability: str, command: Command) -> None:
    try:
        await talk.send(command)
    except Unsupported as error:
        expect(str(error), "Unsupported says nothing")
    except VoiceBridgeError as error:
        raise Broken(f"{capability}, and {command} raised {type(error).__name__}, not Unsupported: {error}") from error
    else:
        raise Broken(f"{capability}, and {command} was taken")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnheardOf(Command):
    """A command that no backend knows."""


@check("A command that nobody knows is refused with a clear error.")
async def unknown_command(bench: Bench) -> None:
    """A class of command from the future raises `Unsupported` or `ConfigError`, and the session goes on."""
    async with bench.open() as talk:
        for _ in range(2):
            try:
                await talk.send(UnheardOf())
            except (Unsupported, ConfigError) as error:
                expect(str(error), "the error says nothing")
            else:
                raise Broken("a command of an unknown class was taken")
            await talk.ready()
        await talk.still_works()


@check("Settings that don't fit are refused with a clear error, and the session goes on.")
async def bad_settings(bench: Bench) -> None:
    """A field that does not exist, and values out of range."""
    async with bench.open() as talk:
        await talk.ready()
        patches: tuple[dict[str, Any], ...] = ({"no_such_field": 1}, {"speed": 99.0}, {"turns": {"silence_ms": -1}})
        for patch in patches:
            try:
                await talk.send(Configure(patch=patch))
            except (Unsupported, ConfigError) as error:
                expect(str(error), "the error says nothing")
            else:
                raise Broken(f"Configure({patch}) was taken")
        await talk.still_works()


@check("Strange text is taken or refused in order, and the session goes on.")
async def strange_text(bench: Bench) -> None:
    """Empty, blank, very long, half a character: each settles, or raises what voicebridge raises."""
    bench.need("text" in bench.can.inputs, "inputs has no 'text'")
    bench.need(bench.can.outputs or bench.can.context != "none", "outputs is empty, and context is 'none'")
    async with bench.open() as talk:
        await talk.ready()
        respond = bench.can.context == "none"
        for text in ("", " \n\t", "\x00\x07", "half a pair: \ud83d", "a\u200d\U0001f600", "long " * 5000):
            command = SendText(text=text, respond=respond)
            try:
                await talk.send(command)
            except (Unsupported, ConfigError):
                continue
            if not (await talk.settled(command)).fault and respond:
                await talk.end_of(await talk.response_to(command))
        await talk.still_works()


@check("What live_update declares can be changed while the session runs.")
async def live_update(bench: Bench) -> None:
    """Each declared field is taken and settled well, and the session answers afterwards."""
    bench.need(bench.can.live_update, "live_update is empty")
    patches: dict[str, Any] = {
        "instructions": "Answer in one short sentence.",
        "tools": (bench.subject.tool,) if bench.can.tools != "none" else (),
        "voice": next(iter(bench.subject.voices), None),
        "turns": bench.turns(auto_interrupt="auto_off" not in bench.can.interrupt),
    }
    tried = {field: value for field, value in patches.items() if field in bench.can.live_update and value is not None}
    if not tried:
        raise NotTried("only the voice can be changed: give a name in `voices`")
    async with bench.open() as talk:
        await talk.ready()
        for field, value in tried.items():
            await talk.send(change := Configure(patch={field: value}))
            await talk.done(change)
        await talk.still_works()
        if bench.can.outputs and "tools" in tried and bench.subject.tool_prompt and "text" in bench.can.inputs:
            await talk.ask(bench.subject.tool_prompt)
            await talk.until(ToolCall)


@check("Where turns can be changed while the session runs, push-to-talk ends them by hand from then on.")
async def live_turns(bench: Bench) -> None:
    """After `Configure` to `manual`, silence commits nothing, and `EndTurn` does."""
    can = bench.can
    bench.need(
        "turns" in can.live_update and {"manual"} < can.turns, "live_update has no 'turns', or there is no choice"
    )
    async with bench.open(turns=bench.turns(mode=bench.own_mode())) as talk:
        await talk.ready()
        await talk.send(change := Configure(patch={"turns": bench.turns(mode="manual")}))
        await talk.done(change)
        await talk.speak()
        await talk.pause(1500)
        expect(not talk.all(UserTurn, phase="committed"), "turns are ended by hand, and silence committed one")
        await talk.send(end := EndTurn(respond=False))
        await talk.done(end)
        await talk.turn_over(committed=False)
