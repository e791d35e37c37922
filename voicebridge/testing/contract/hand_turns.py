"""Checks of push-to-talk."""

from __future__ import annotations

from voicebridge.contract.commands import DiscardTurn, EndTurn, SendAudio
from voicebridge.contract.events import ResponseStarted, UserTurn

from .conversation import FRAME_MS
from .suite import Bench, check
from .verdict import expect


def _needs(bench: Bench) -> None:
    bench.need("manual" in bench.can.turns and "audio" in bench.can.inputs, "turns has no 'manual'")


@check("Push-to-talk: EndTurn commits what was said and has it answered.")
async def end_turn(bench: Bench) -> None:
    """Audio and `EndTurn` lead to one committed turn and one response."""
    _needs(bench)
    async with bench.open(turns=bench.turns(mode="manual")) as talk:
        await talk.speak()
        sent_ms = talk.trace.sent_ms()
        await talk.send(end := EndTurn())
        await talk.pause(100)
        await talk.done(end)
        committed = await talk.turn_over()
        expect(
            committed.audio_ms <= sent_ms + FRAME_MS,
            f"EndTurn came at {sent_ms:.0f} ms, and the turn was committed at {committed.audio_ms:.0f} ms: audio that "
            "was sent later passed it",
        )
        if bench.can.outputs:
            await talk.end_of(await talk.response_to(end))
        await talk.quiet()
        committed_ids = {turn.turn_id for turn in talk.all(UserTurn, phase="committed")}
        expect(len(committed_ids) == 1, f"one EndTurn committed the turns {committed_ids}")
        expect(len(talk.all(ResponseStarted)) <= 1, "one EndTurn had several responses")


@check("Push-to-talk: EndTurn(respond=False) commits without an answer.")
async def end_turn_without_answer(bench: Bench) -> None:
    """The turn is committed and nothing starts."""
    _needs(bench)
    async with bench.open(turns=bench.turns(mode="manual")) as talk:
        await talk.speak()
        await talk.send(end := EndTurn(respond=False))
        await talk.done(end)
        await talk.turn_over()
        await talk.quiet()
        expect(not talk.all(ResponseStarted), "EndTurn(respond=False) was answered")


@check("Push-to-talk: DiscardTurn forgets what was said.")
async def discard_turn(bench: Bench) -> None:
    """The audio is forgotten: nothing is committed, and nothing answers."""
    _needs(bench)
    async with bench.open(turns=bench.turns(mode="manual")) as talk:
        await talk.speak()
        await talk.send(discard := DiscardTurn())
        await talk.done(discard)
        await talk.quiet()
        expect(not talk.all(UserTurn, phase="committed"), "a discarded turn was committed")
        expect(not talk.all(ResponseStarted), "a discarded turn was answered")
        opened = {event.turn_id for event in talk.all(UserTurn)}
        closed = {event.turn_id for event in talk.all(UserTurn, phase="discarded")}
        expect(opened <= closed, "a turn that was begun was not told to be discarded")
        await talk.speak()
        await talk.send(end := EndTurn(respond=False))
        await talk.done(end)
        await talk.until(UserTurn, where=lambda turn: turn.turn_id not in closed and turn.phase != "speech")


@check("Push-to-talk: EndTurn and DiscardTurn with nothing said are settled, and nothing follows.")
async def empty_turn(bench: Bench) -> None:
    """Both commands without audio: settled once each, no turn, no response."""
    _needs(bench)
    async with bench.open(turns=bench.turns(mode="manual")) as talk:
        for command in (EndTurn(), DiscardTurn(), EndTurn()):
            await talk.send(command)
            await talk.settled(command)
        await talk.quiet()
        expect(not talk.all(UserTurn, phase="committed"), "a turn was committed in which nothing was said")
        expect(not talk.all(ResponseStarted), "nothing was said, and it was answered")


@check("Audio comes in any pieces, and half a sample waits for its other half.")
async def odd_pieces(bench: Bench) -> None:
    """Pieces of odd lengths add up to what was said."""
    _needs(bench)
    async with bench.open(turns=bench.turns(mode="manual")) as talk:
        await talk.ready()
        pcm = bench.subject.spoken(talk.trace.input_format)
        start = 0
        for size in (1, 0, 333, 1, 2, 4001, len(pcm)):
            await talk.send(SendAudio(pcm=pcm[start : start + size]))
            start = min(start + size, len(pcm))
        await talk.send(end := EndTurn(respond=False))
        await talk.done(end)
        committed = await talk.turn_over(committed=False)
        sent_ms = talk.trace.sent_ms()
        expect(
            abs(committed.audio_ms - sent_ms) <= FRAME_MS,
            f"{sent_ms:.0f} ms were sent in odd pieces, and the turn ends at {committed.audio_ms:.0f} ms",
        )
