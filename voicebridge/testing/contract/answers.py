"""Checks of plain turns: written, spoken, asked for, beside the conversation."""

from __future__ import annotations

import re

from voicebridge.contract.commands import Respond, SendText
from voicebridge.contract.events import (
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.items import MessageItem

from .conversation import Conversation
from .suite import Bench, check
from .verdict import Broken, NotTried, expect

SAID = "Good morning"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
_LONG_SPEECH_MS = 2000.0
"""Speech of this length has a word that is understood before its end."""


@check("A written message is settled, answered by a response that names it, and the response is complete.")
async def text_turn(bench: Bench) -> None:
    """`SendText` leads to one complete response; with an image where such are declared."""
    bench.need("text" in bench.can.inputs, "inputs has no 'text'")
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.open() as talk:
        images = (PIXEL,) if "image" in bench.can.inputs else ()
        await talk.send(command := SendText(text=bench.subject.prompt, images=images))
        settled = await talk.done(command)
        started = await talk.response_to(command)
        ended = await talk.end_of(started)
        expect(ended.status == "completed", f"the response ended {ended.status!r}: {ended.reason} {ended.fault}")
        _said_something(talk, started)
        expect(
            settled.basis == talk.trace.capabilities.settles,
            f"settles is {talk.trace.capabilities.settles!r}, and SendText was settled by {settled.basis!r}",
        )
        await talk.quiet()


def _was_live(bench: Bench, talk: Conversation, turn: UserTurn) -> None:
    if talk.all(InputTranscript, turn_id=turn.turn_id, final=False):
        return
    speech, format = bench.subject.speech, bench.subject.speech_format
    if speech is None or format.ms(len(speech)) < _LONG_SPEECH_MS:
        bench.not_checked(
            f"that transcripts are live: give a recording of {_LONG_SPEECH_MS / 1000:.0f} s or more (`speech`, `--wav`)"
        )
        return
    raise Broken("input_transcript is 'live', and there was no text before the final one")


def _said_something(talk: Conversation, started: ResponseStarted) -> None:
    audio = talk.all(OutputAudio, response_id=started.response_id)
    text = talk.all(OutputText, response_id=started.response_id)
    expect(audio or text, f"{started.response_id} has neither audio nor text")


@check("A spoken turn is noticed, committed, written down as declared, and answered with audio.")
async def spoken_turn(bench: Bench) -> None:
    """Speech and silence lead to a committed turn and a response."""
    can = bench.can
    own = can.turns & {"server_vad", "semantic", "full_duplex"}
    bench.need(own and "audio" in can.inputs, "it finds no turns in audio by itself")
    async with bench.open(turns=bench.turns(mode=bench.own_mode())) as talk:
        turn = await talk.take_turn()
        can = talk.trace.capabilities
        if can.speech_events != "none":
            expect(
                talk.all(UserTurn, turn_id=turn.turn_id, phase="speech"),
                f"speech_events is {can.speech_events!r}, and no UserTurn told of speech in {turn.turn_id}",
            )
        if can.input_transcript != "none":
            final = await talk.until(InputTranscript, turn_id=turn.turn_id, final=True)
            expect(final.text or final.fault or bench.subject.speech is None, "the final transcript is empty")
            if can.input_transcript == "live":
                _was_live(bench, talk, turn)
        if can.outputs:
            ended = await talk.until(ResponseEnded, status="completed")
            _said_something(talk, talk.all(ResponseStarted, response_id=ended.response_id)[0])
        await talk.quiet()


@check("A response has audio where audio is declared, with words placed in it as declared.")
async def audio_answer(bench: Bench) -> None:
    """A response asked for in the usual way has audio."""
    bench.need("audio" in bench.can.outputs, "outputs has no 'audio'")
    async with bench.open() as talk:
        ended = await talk.answered()
        audio = talk.all(OutputAudio, response_id=ended.response_id)
        expect(audio and any(piece.pcm for piece in audio), "outputs has 'audio', and the response had none")
        text = talk.all(OutputText, response_id=ended.response_id)
        spoken = [piece for piece in text if piece.kind == "speech"]
        if "text" in bench.can.outputs and bench.can.alignment != "none" and spoken:
            placed = [piece for piece in spoken if piece.start_ms is not None]
            expect(
                placed or bench.can.alignment == "delta",
                "alignment is 'word', and no text says where in the audio it is",
            )


@check("Told to answer in text alone, it gives no audio.")
async def text_alone(bench: Bench) -> None:
    """`outputs={"text"}` means text of kind `text`, and no audio."""
    bench.need({"text", "audio"} <= bench.can.outputs, "outputs are not both 'audio' and 'text'")
    bench.need("text" in bench.can.inputs, "inputs has no 'text'")
    async with bench.open(outputs={"text"}) as talk:
        command = await talk.say(bench.subject.prompt)
        await talk.end_of(await talk.response_to(command))
        expect(not talk.all(OutputAudio), "outputs={'text'} was asked for, and audio came")
        expect(talk.all(OutputText), "outputs={'text'} was asked for, and no text came")
        expect(not talk.all(OutputText, kind="speech"), "text that nobody speaks is of kind 'speech'")


@check("Several turns in one session each have their own response.")
async def several_turns(bench: Bench) -> None:
    """Three turns, three responses, in this order."""
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.open() as talk:
        for _ in range(3):
            command = await talk.ask()
            await talk.end_of(await talk.response_to(command))
        count = len(talk.all(ResponseStarted))
        expect(count == 3, f"three turns led to {count} responses")


@check("A note that nobody answers joins the conversation and starts nothing.")
async def silent_note(bench: Bench) -> None:
    """`SendText(respond=False)` is settled, and no response follows."""
    bench.need(bench.can.context != "none", "context is 'none'")
    async with bench.open() as talk:
        await talk.send(note := SendText(text="The user is in a hurry.", role="system", respond=False))
        await talk.done(note)
        await talk.quiet()
        expect(not talk.all(ResponseStarted), "a note with respond=False was answered")
        if "text" in bench.can.inputs:
            await talk.still_works()


@check("A response that is asked for comes; one that is asked for meanwhile is held, not refused.")
async def held_request(bench: Bench) -> None:
    """Two `Respond`s at once: both settle well, and never do two responses run."""
    bench.need("verb" in bench.can.respond, "respond has no 'verb'")
    async with bench.open() as talk:
        await _say_before(talk)
        await talk.send(first := Respond())
        await talk.response_to(first)
        await talk.send(second := Respond())
        for command in (first, second):
            await talk.done(command)
            await talk.end_of(await talk.response_to(command))
        await talk.quiet()


async def _say_before(talk: Conversation) -> None:
    """Most models need something to answer."""
    if talk.trace.capabilities.context != "none":
        await talk.send(said := SendText(text=talk.subject.prompt, respond=False))
        await talk.done(said)


@check("Instructions for one response are taken.")
async def response_instructions(bench: Bench) -> None:
    """`Respond(instructions=...)` leads to a response."""
    bench.need("instructions" in bench.can.respond, "respond has no 'instructions'")
    await _one_response(bench, Respond(instructions="Say hello."), SendText(text="Good morning.", respond=False))


@check("What is to be said word for word is said.")
async def verbatim(bench: Bench) -> None:
    """`Respond(say=...)` leads to a response with these words."""
    bench.need("say" in bench.can.respond, "respond has no 'say'")
    text = await _one_response(bench, Respond(say=f"{SAID}."))
    if "text" in bench.can.outputs:
        said = re.sub(r"\W+", " ", text).strip().lower()
        expect(said == SAID.lower(), f"it was to say {SAID!r}, and said {text!r}")


@check("A response beside the conversation says that it is one.")
async def aside(bench: Bench) -> None:
    """`Respond(aside=True)` leads to a response with `aside`."""
    bench.need("aside" in bench.can.respond, "respond has no 'aside'")
    async with bench.open() as talk:
        await _say_before(talk)
        await talk.send(command := Respond(aside=True, instructions="Say hello."))
        started = await talk.response_to(command)
        expect(started.aside, "Respond(aside=True) started a response that is no aside")
        await talk.end_of(started)
        await talk.done(command)


async def _one_response(bench: Bench, command: Respond, before: SendText | None = None) -> str:
    """The words of the response."""
    async with bench.open() as talk:
        if before and talk.session.capabilities.context != "none":
            await talk.send(before)
        await talk.send(command)
        started = await talk.response_to(command)
        ended = await talk.end_of(started)
        expect(ended.status == "completed", f"the response ended {ended.status!r}: {ended.fault}")
        await talk.done(command)
        return "".join(piece.delta for piece in talk.all(OutputText, response_id=started.response_id))


@check("It can be started with an earlier conversation, and knows it.")
async def seeding(bench: Bench) -> None:
    """Opened with a history, it answers; with `Subject.recall`, it answers from it."""
    bench.need("text" in bench.can.seed, "seed has no 'text'")
    bench.need(bench.can.outputs, "outputs is empty")
    fact, question, word = bench.subject.recall or ("My name is Ada.", bench.subject.prompt, "")
    history = (MessageItem(role="user", text=fact), MessageItem(role="assistant", text="Nice to meet you."))
    async with bench.open(history=history) as talk:
        await talk.ready()
        await talk.quiet()
        expect(not talk.all(ResponseStarted), "the earlier conversation was answered again")
        expect(not talk.all(UserTurn) and not talk.all(InputTranscript), "the earlier conversation was told again")
        ended = await talk.answered(question)
        if not word:
            raise NotTried("it answers; whether it knows what was said before: give a `recall` (`--recall`)")
        text = "".join(piece.delta for piece in talk.all(OutputText, response_id=ended.response_id))
        if not text:
            raise NotTried("the answer has no text to look for the word in")
        expect(word.lower() in text.lower(), f"asked {question!r} after {fact!r}, it said {text!r}")
