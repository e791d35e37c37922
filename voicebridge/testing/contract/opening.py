"""Checks of the beginning: what is declared, what is negotiated, and that first words are not lost."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import EndTurn, SendAudio, SendText
from voicebridge.contract.errors import BadOption, ConfigError, Unsupported
from voicebridge.contract.events import SessionReady

from .conversation import FRAME_MS
from .suite import Bench, check
from .verdict import Broken, expect

_ORDERED: dict[str, tuple[object, ...]] = {
    "context": ("none", "instructions", "item"),
    "tools": ("none", "blocking", "async"),
    "truncate": ("none", "correction", "ms"),
    "input_transcript": ("none", "late", "live"),
    "alignment": ("none", "delta", "word"),
    "speech_events": ("none", "inferred", "reported"),
}
"""Capabilities with a least and a most."""


@check("It opens, says once what was negotiated, and what it declared before was no less.")
async def opens(bench: Bench) -> None:
    """A session opens, and its capabilities lie within those of the backend."""
    can = bench.can
    if not isinstance(can, Capabilities):
        raise Broken(f"Backend.capabilities is a {type(can).__name__}, not Capabilities")
    expect("audio" not in can.inputs or can.formats_in, "inputs has 'audio', and formats_in is empty")
    expect("audio" not in can.outputs or can.formats_out, "outputs has 'audio', and formats_out is empty")
    expect(can.inputs, "inputs is empty: there is no way to tell it anything")
    async with bench.open() as talk:
        ready = await talk.ready()
        expect(ready.session_id and ready.model, f"SessionReady names no session or no model: {ready}")
        _within(ready.capabilities, can)
        expect(talk.session.capabilities == ready.capabilities, "session.capabilities is not what SessionReady told")
        if can.formats_in:
            expect(ready.input_format in can.formats_in, f"{ready.input_format} is not among formats_in")
        if can.formats_out:
            expect(ready.output_format in can.formats_out, f"{ready.output_format} is not among formats_out")
    untried = {
        "resume 'native'": can.resume == "native",
        "tools 'async'": can.tools == "async",
        "seed 'user_audio'": "user_audio" in can.seed,
    }
    for declared, there in untried.items():
        if there:
            bench.not_checked(declared)


def _within(narrow: Capabilities, bound: Capabilities) -> None:
    for field in fields(Capabilities):
        here: Any = getattr(narrow, field.name)
        most: Any = getattr(bound, field.name)
        if isinstance(here, frozenset):
            expect(here <= most, f"{field.name} is {set(here)} in the session, more than the backend declared")
        elif field.name in _ORDERED:
            order = _ORDERED[field.name]
            expect(
                order.index(here) <= order.index(most),
                f"{field.name} is {here!r} in the session, and the backend declared only {most!r}",
            )


@check("An option that the backend does not know is refused by name.")
async def unknown_option(bench: Bench) -> None:
    """A misspelt option raises `BadOption`, or `Unsupported`, when the session is opened."""
    options = {**dict(bench.subject.config.get("options", {})), "no_such_option": 1}
    try:
        async with bench.open(options=options, finish=False) as talk:
            await talk.session.aclose()
    except (BadOption, Unsupported) as error:
        expect(str(error), "the error says nothing")
    except ConfigError as error:
        raise Broken(f"it raised {type(error).__name__} ({error}), not BadOption") from error
    else:
        raise Broken("options={'no_such_option': 1} was taken without a word")


@check("What is sent before SessionReady waits in order, and nothing of it is lost.")
async def first_words(bench: Bench) -> None:
    """Text and audio given while the session still connects are answered and counted in full."""
    by_hand = "manual" in bench.can.turns and "audio" in bench.can.inputs
    bench.need(
        ("text" in bench.can.inputs and bench.can.outputs) or by_hand,
        "it answers no text, and turns can't be ended by hand",
    )
    if "text" in bench.can.inputs and bench.can.outputs:
        async with bench.open() as talk:
            await talk.send(command := SendText(text=bench.subject.prompt))
            await talk.done(command)
            await talk.end_of(await talk.response_to(command))
    if by_hand:
        async with bench.open(turns=bench.turns(mode="manual")) as talk:
            await _speak_at_once(talk)


async def _speak_at_once(talk: Any) -> None:
    pcm = talk.subject.spoken(talk.trace.input_format)
    size = talk.trace.input_format.size(FRAME_MS)
    for start in range(0, len(pcm), size):
        await talk.send(SendAudio(pcm=pcm[start : start + size]))
    await talk.send(end := EndTurn(respond=False))
    await talk.done(end)
    committed = await talk.turn_over(committed=False)
    sent_ms = talk.trace.sent_ms()
    expect(
        abs(committed.audio_ms - sent_ms) <= FRAME_MS,
        f"{sent_ms:.0f} ms were sent before SessionReady, and the turn ends at {committed.audio_ms:.0f} ms",
    )
    expect(len(talk.all(SessionReady)) == 1, "SessionReady did not come")
