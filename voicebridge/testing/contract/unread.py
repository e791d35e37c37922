"""Checks of a reader who looks away: nothing waits for it, and what waits for it has a bound."""

from __future__ import annotations

import asyncio

from voicebridge.contract.commands import SendText
from voicebridge.contract.events import OutputAudio, ResponseEnded, ResponseStarted

from .conversation import Conversation
from .suite import Bench, check
from .verdict import Broken, NotTried, expect

_AT_ONCE_S = 0.5
"""The longest that it takes to read what waits to be read."""
_MOST_UNREAD_MS = 120_000.0
_PIECE_MS = 10_000.0
"""By which the piece of audio that fills the bound may pass it."""
_STILL_S = 1.0
"""No audio for so long: it does not just come slowly."""


@check("It goes on whether or not anyone reads: what comes meanwhile is kept in order.")
async def nobody_reads(bench: Bench) -> None:
    """A whole response comes while nobody iterates, and all of it is there afterwards, at once."""
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.open() as talk:
        await talk.ready()
        first_s = await _first_output_s(talk)
        command = await talk.ask()
        longest_s = bench.subject.patience_s / 2
        unread_s = min(max(2 * bench.subject.unread_s, 3 * first_s), longest_s)
        await talk.look_away(unread_s)
        looked = asyncio.get_running_loop().time()
        started = await talk.response_to(command)
        if (ended := await talk.end_of(started)).status not in ("completed", "incomplete"):
            raise Broken(f"the response ended {ended.status!r}: {ended.fault}")
        expect(len(talk.all(ResponseEnded)) == 2, "one question had several responses")
        if 3 * first_s > longest_s:
            bench.not_checked(f"that it goes on unread: its first output takes {first_s:.1f} s")
        elif talk.trace.one_clock():
            _went_on(talk, started, looked)


async def _first_output_s(talk: Conversation) -> float:
    """Seconds from a question to the first of its answer, while somebody reads."""
    clock = asyncio.get_running_loop().time
    began, first_s = clock(), 0.0
    started = await talk.response_to(await talk.ask())
    while not (ended := talk.all(ResponseEnded, response_id=started.response_id)):
        await talk.read_until(talk.deadline())
        if not first_s and talk.outputs(started):
            first_s = clock() - began
    expect(ended[0].status == "completed", f"the response ended {ended[0].status!r}: {ended[0].fault}")
    return first_s or clock() - began


def _went_on(talk: Conversation, started: ResponseStarted, looked: float) -> None:
    """What came while nobody read was stamped then, and was there at once when somebody did."""
    expect(
        any(output.at < looked for output in talk.outputs(started)),
        f"nothing of {started.response_id} came until somebody read",
    )
    late = max(
        line.at for line in talk.trace.lines if line.message and getattr(line.message, "at", looked + 1) <= looked
    )
    expect(late - looked <= _AT_ONCE_S, f"what came unread took {late - looked:.1f} s to be read")


@check("Of a long answer that nobody reads, two minutes are kept; then reading stops, and nothing is lost.")
async def unread_audio(bench: Bench) -> None:
    """More audio than may wait comes while nobody iterates: it waits where it comes from."""
    bench.need("audio" in bench.can.outputs, "outputs has no 'audio'")
    prompt = bench.subject.flood_prompt
    if prompt is None:
        raise NotTried("give a `flood_prompt`, which it answers at once with more than two minutes of audio")
    async with bench.open() as talk:
        await talk.ready()
        command = await talk.ask(prompt)
        await talk.look_away(bench.subject.patience_s)
        note = SendText(text="The user is in a hurry.", role="system", respond=False)
        if bench.can.context != "none":
            await talk.send(note)
        looked = asyncio.get_running_loop().time()
        ended = await talk.end_of(await talk.response_to(command))
        expect(ended.status == "completed", f"read late, the response ended {ended.status!r}: {ended.fault}")
        if bench.can.context != "none":
            await talk.done(note)
        _was_bounded(talk, ended, looked)


def _was_bounded(talk: Conversation, ended: ResponseEnded, looked: float) -> None:
    """What came while nobody read was no more than may wait, and the rest came afterwards."""
    pieces = talk.all(OutputAudio, response_id=ended.response_id)
    unread = [piece for piece in pieces if piece.at < looked]
    unread_ms, all_ms = (
        talk.trace.output_format.ms(sum(len(piece.pcm) for piece in some)) for some in (unread, pieces)
    )
    if all_ms <= _MOST_UNREAD_MS + _PIECE_MS:
        raise NotTried(f"the answer to the `flood_prompt` had only {all_ms / 1000:.0f} s of audio")
    if not talk.trace.one_clock():
        raise NotTried("its events are stamped by another clock than the loop's")
    expect(
        unread_ms <= _MOST_UNREAD_MS + _PIECE_MS,
        f"nobody read, and {unread_ms / 1000:.0f} s of audio were taken in: more than the two minutes that may wait",
    )
    if not unread or looked - unread[-1].at < _STILL_S:
        raise NotTried("the answer to the `flood_prompt` came too slowly to fill the two minutes that may wait")
