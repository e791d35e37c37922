"""Checks of interruption: by command, by voice, and what was heard."""

from __future__ import annotations

from voicebridge.contract.commands import Interrupt, ReportPlayed
from voicebridge.contract.events import (
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    UserTurn,
)

from .conversation import FRAME_MS, Conversation
from .suite import Bench, check
from .verdict import NotTried, expect

_SOME_MS = 60.0


def _needs(bench: Bench) -> None:
    bench.need("verb" in bench.can.interrupt, "interrupt has no 'verb'")
    bench.need("audio" in bench.can.outputs, "outputs has no 'audio'")


async def _long_answer(talk: Conversation) -> OutputAudio:
    await talk.ask(talk.subject.long_prompt)
    return await talk.until(OutputAudio)


@check("After send(Interrupt) returns, no audio of what it stopped is delivered; the response ends once.")
async def interruption(bench: Bench) -> None:
    """A response is stopped while audio of it waits to be read; the session answers afterwards."""
    _needs(bench)
    async with bench.open() as talk:
        audio = await _long_answer(talk)
        await talk.look_away(bench.subject.unread_s)
        await talk.send(stop := Interrupt())
        await talk.done(stop)
        ended = await talk.until(ResponseEnded, response_id=audio.response_id)
        expect(ended.status in ("completed", "interrupted"), f"an interrupted response ended {ended.status!r}")
        await talk.quiet()
        following = await talk.ask()
        started = await talk.response_to(following)
        await talk.until(OutputAudio, response_id=started.response_id)
        await talk.end_of(started)


@check("An Interrupt that names a response stops that one.")
async def interruption_by_id(bench: Bench) -> None:
    """`Interrupt(response_id=...)` works as the general one, and of another response it stops nothing."""
    _needs(bench)
    async with bench.open() as talk:
        audio = await _long_answer(talk)
        await talk.look_away(bench.subject.unread_s)
        await talk.send(stop := Interrupt(response_id=audio.response_id))
        await talk.done(stop)
        await talk.until(ResponseEnded, response_id=audio.response_id)
        await talk.quiet()
        await _strangers(talk)


async def _strangers(talk: Conversation) -> None:
    """Stop what does not run, while something does: it goes on to its end."""
    ended = talk.all(ResponseEnded)[0]
    before = len(talk.all(OutputAudio))
    command = await talk.ask()
    started = await talk.response_to(command)
    audio = await talk.until(OutputAudio, before + 1)
    for response_id in ("no-such-response", ended.response_id):
        await talk.send(stop := Interrupt(response_id=response_id))
        await talk.done(stop)
    end = await talk.end_of(started)
    expect(
        end.status in ("completed", "incomplete"),
        f"an Interrupt named other responses than {started.response_id}, which ended {end.status!r} all the same",
    )
    whole = talk.trace.output_format.size(audio.offset_ms) + len(audio.pcm)
    got = sum(len(piece.pcm) for piece in talk.all(OutputAudio, response_id=started.response_id))
    expect(got >= whole, f"an Interrupt named other responses than {started.response_id}, and its audio is gone")


@check("An Interrupt cancels what was asked for and has not started: its audio is never delivered.")
async def interruption_before_start(bench: Bench) -> None:
    """Question and `Interrupt` in one breath: both settle, and nothing is heard."""
    _needs(bench)
    bench.need("text" in bench.can.inputs and bench.subject.asks_by != "speech", "it is not asked by text")
    async with bench.open() as talk:
        await talk.ready()
        question = await talk.say(bench.subject.long_prompt)
        await talk.send(stop := Interrupt())
        await talk.done(stop)
        await talk.settled(question)
        await talk.quiet()
        expect(not talk.all(OutputAudio), "audio came of a response that was cancelled before it started")
        await talk.answered()


@check("An Interrupt with nothing to stop is settled well, as often as it comes.")
async def idle_interrupt(bench: Bench) -> None:
    """Before anything was said, after an answer, twice in a row, and for a response that never was."""
    bench.need("verb" in bench.can.interrupt, "interrupt has no 'verb'")
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.open() as talk:
        for stop in (Interrupt(), Interrupt(), Interrupt(response_id="no-such-response")):
            await talk.send(stop)
            await talk.done(stop)
        ended = await talk.answered()
        for stop in (Interrupt(), Interrupt(response_id=ended.response_id)):
            await talk.send(stop)
            await talk.done(stop)
        await talk.answered()


@check("What was heard can be told: too much is clamped, nothing deletes, and the unknown cuts nothing.")
async def truncation(bench: Bench) -> None:
    """`Interrupt(heard=...)` in all its forms is settled well; what is told of hearing lies within it."""
    _needs(bench)
    bench.need(bench.can.truncate == "ms", f"truncate is {bench.can.truncate!r}")
    async with bench.open() as talk:
        for heard_ms in (_SOME_MS, 1e7, 0.0):
            count = len(talk.all(OutputAudio))
            command = await talk.ask(bench.subject.long_prompt)
            started = await talk.response_to(command)
            await talk.until(OutputAudio, count + 1)
            await talk.send(stop := Interrupt(heard={started.response_id: heard_ms, "no-such-response": 5.0}))
            await talk.done(stop)
            await talk.end_of(started)
            await talk.quiet()
            told = talk.all(OutputHeard, response_id=started.response_id)
            expect(told, f"truncate is 'ms', {heard_ms:.0f} ms were heard, and no OutputHeard says so")
            expect(
                told[-1].heard_ms <= heard_ms + FRAME_MS,
                f"{heard_ms:.0f} ms were heard, and OutputHeard says {told[-1].heard_ms:.0f} ms",
            )
            expect(
                heard_ms != _SOME_MS or told[-1].heard_ms >= _SOME_MS - FRAME_MS,
                f"{heard_ms:.0f} ms were heard, and OutputHeard says {told[-1].heard_ms:.0f} ms",
            )


@check("Reports of the player are taken, right or wrong, and are not settled.")
async def reports_played(bench: Bench) -> None:
    """`ReportPlayed` in order, out of order, too far, and of a response that never was."""
    bench.need("audio" in bench.can.outputs, "outputs has no 'audio'")
    async with bench.open() as talk:
        await talk.send(ReportPlayed(response_id="no-such-response", ms=10))
        command = await talk.ask()
        started = await talk.response_to(command)
        await talk.until(OutputAudio, response_id=started.response_id)
        for ms in (20.0, 10.0, 1e6):
            await talk.send(ReportPlayed(response_id=started.response_id, ms=ms))
        await talk.end_of(started)
        await talk.quiet()


@check("The user's voice interrupts where 'auto' is declared.")
async def barge_in(bench: Bench) -> None:
    """The user speaks while a long response runs: it ends `interrupted`."""
    bench.need("auto" in bench.can.interrupt and "audio" in bench.can.inputs, "interrupt has no 'auto'")
    bench.need("audio" in bench.can.outputs, "outputs has no 'audio'")
    async with bench.open(turns=bench.turns(mode=bench.own_mode())) as talk:
        audio = await _long_answer(talk)
        before = len(talk.all(UserTurn, phase="speech"))
        await talk.speak()
        await talk.pause(200)
        ends = talk.all(ResponseEnded, response_id=audio.response_id)
        speech = talk.all(UserTurn, phase="speech")[before:]
        if not speech and bench.subject.speech is None:
            raise NotTried("it takes a loud sound for no speech: give a recording of speech (`speech`, `--wav`)")
        if ends and ends[0].status == "completed":
            raise NotTried(
                "the response was over before the user spoke: give a `long_prompt` that it answers at length"
            )
        ended = await talk.until(ResponseEnded, response_id=audio.response_id)
        expect(ended.status == "interrupted", f"the user spoke, and the response ended {ended.status!r}")
        await talk.quiet()


@check("Where 'auto_off' is declared, the user's voice can be kept from interrupting.")
async def no_barge_in(bench: Bench) -> None:
    """With `auto_interrupt` off, speech leaves the response alone."""
    bench.need("auto_off" in bench.can.interrupt and "audio" in bench.can.inputs, "interrupt has no 'auto_off'")
    bench.need("audio" in bench.can.outputs, "outputs has no 'audio'")
    turns = bench.turns(mode=bench.own_mode(), auto_interrupt=False, auto_respond=False)
    async with bench.open(turns=turns) as talk:
        if (bench.subject.asks_by or "text") == "speech" or "text" not in bench.can.inputs:
            raise NotTried("it is asked by speech, which here is not to be answered")
        audio = await _long_answer(talk)
        await talk.speak()
        await talk.pause(200)
        ended = await talk.until(ResponseEnded, response_id=audio.response_id)
        expect(ended.status != "interrupted", "auto_interrupt is off, and the user's voice stopped the response")
