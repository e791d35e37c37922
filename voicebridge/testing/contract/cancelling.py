"""Checks of cancellation and iteration: nothing is lost, nothing is half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from voicebridge.contract.commands import Command, EndTurn, Interrupt, SendAudio, SendText
from voicebridge.contract.errors import ConcurrentIteration
from voicebridge.contract.events import ResponseEnded

from .conversation import Conversation
from .suite import Bench, check
from .verdict import Broken, expect

_STEPS = 7
_PIECES = 33
"""Of a second each: more than the 30 s that wait for SessionReady."""


async def _cancelled(work: Coroutine[Any, Any, Any], steps: int) -> asyncio.Task[Any]:
    """Begin, let the loop turn so many times, cancel, and wait for what became of it."""
    task = asyncio.create_task(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    return task


def _raised(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


@check("A send that is cancelled has sent all of its command or nothing; the session goes on.")
async def cancelled_send(bench: Bench) -> None:
    """Commands are cancelled at every step, while the session connects and while it runs."""
    commands: list[Command] = []
    async with bench.open() as talk:
        for ready in (False, True):
            if ready:
                await talk.ready()
            for steps in range(_STEPS):
                for command in _harmless(bench):
                    commands.append(command)
                    task = await _cancelled(talk.send(command), steps)
                    if error := _raised(task):
                        raise error
        await talk.quiet()
        await talk.still_works()


def _harmless(bench: Bench) -> list[Command]:
    """Commands that bring about little."""
    commands: list[Command] = []
    if "verb" in bench.can.interrupt:
        commands.append(Interrupt())
    if bench.can.context != "none":
        commands.append(SendText(text="A note.", role="system", respond=False))
    if not commands and "text" in bench.can.inputs:
        commands.append(SendText(text=bench.subject.prompt))
    return commands or [SendAudio(pcm=bytes(640))]


@check("A send of audio that is cancelled, also while it waits for room, has sent whole pieces or none.")
async def cancelled_audio(bench: Bench) -> None:
    """What is committed is the sum of what was taken, and of whole pieces whose send was cancelled."""
    bench.need("manual" in bench.can.turns and "audio" in bench.can.inputs, "turns has no 'manual'")
    async with bench.open(turns=bench.turns(mode="manual")) as talk:
        taken_ms, doubtful = 0.0, 0
        piece = bytes(talk.trace.input_format.size(1000))
        for number in range(_PIECES):
            task = await _cancelled(talk.send(SendAudio(pcm=piece)), number % _STEPS)
            if error := _raised(task):
                raise error
            taken_ms += 0.0 if task.cancelled() else 1000.0
            doubtful += task.cancelled()
        await talk.ready()
        await talk.send(SendAudio(pcm=piece))
        taken_ms += 1000.0
        await talk.send(end := EndTurn(respond=False))
        await talk.done(end)
        got_ms = (await talk.turn_over(committed=False)).audio_ms
        extra = (got_ms - taken_ms) / 1000
        expect(
            0 <= round(extra) <= doubtful and abs(extra - round(extra)) < 0.05,
            f"{taken_ms:.0f} ms were taken, {doubtful} sends of 1000 ms cancelled, and the turn has {got_ms:.0f} ms",
        )


@check("A wait for an event that is cancelled loses none.")
async def cancelled_wait(bench: Bench) -> None:
    """A whole response is read by waits that are cancelled again and again."""
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.open() as talk:
        await _ask_unread(talk)
        iterator = aiter(talk.session)
        deadline = talk.deadline()
        while not talk.all(ResponseEnded):
            expect(asyncio.get_running_loop().time() < deadline, "with cancelled waits, no response came to its end")
            for steps in range(1, _STEPS):
                task = await _cancelled(_next(iterator), steps)
                if task.cancelled():
                    continue
                if error := task.exception():
                    talk.ended(error)
                    raise Broken(f"after a wait was cancelled, the iterator raised {type(error).__name__} {error}")
                talk.delivered(task.result())
            await asyncio.sleep(0.005)


async def _next(iterator: Any) -> Any:
    try:
        return await anext(iterator)
    except StopAsyncIteration as end:
        raise Broken("the iteration stopped") from end


async def _ask_unread(talk: Conversation) -> None:
    """Ask without an open wait of our own."""
    if talk.subject.asks_by == "speech" or "text" not in talk.session.capabilities.inputs:
        pcm = talk.subject.spoken(talk.trace.input_format)
        if not talk.by_hand:
            pcm += bytes(talk.trace.input_format.size(3000))
        await talk.send(SendAudio(pcm=pcm))
        if talk.by_hand:
            await talk.send(EndTurn())
    else:
        await talk.say(talk.subject.prompt)


@check("The iteration can be left and taken up again, and no event is lost.")
async def broken_off_iteration(bench: Bench) -> None:
    """Each event of a response is read by a loop of its own."""
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.open() as talk:
        await _ask_unread(talk)
        try:
            async with asyncio.timeout(bench.subject.patience_s):
                while not talk.all(ResponseEnded):
                    got = False
                    async for event in talk.session:
                        talk.delivered(event)
                        got = True
                        break
                    expect(got, "a loop that was left could not be taken up again: the iteration stopped")
        except TimeoutError:
            raise Broken("read event by event, no response came to its end") from None


@check("Two waits at once raise ConcurrentIteration, and the first one still gets its event.")
async def two_waits(bench: Bench) -> None:
    """The second wait is told; the first is not disturbed."""
    async with bench.open() as talk:
        await talk.ready()
        await talk.quiet()
        for _ in range(2):
            try:
                async with asyncio.timeout(bench.subject.quiet_s):
                    event = await anext(aiter(talk.session))
            except ConcurrentIteration:
                pass
            except TimeoutError:
                raise Broken("two tasks wait for events at once, and neither is told") from None
            else:
                raise Broken(f"two tasks wait for events at once, and the second took {event}")
        await talk.still_works()
