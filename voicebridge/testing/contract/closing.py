"""Checks of the end: by us, in the middle of anything, twice; and what is left."""

from __future__ import annotations

import asyncio

from voicebridge.contract.commands import (
    Command,
    Configure,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
)
from voicebridge.contract.errors import SessionClosed, Unsupported, VoiceBridgeError
from voicebridge.contract.events import CommandSettled, OutputAudio, OutputText, ResponseEnded
from voicebridge.testing.guards import open_files, open_sockets, running_threads

from .conversation import CLOSE_S, Conversation
from .suite import Bench, check
from .verdict import Broken, expect

_STEPS = 6
_GRACE_S = 2.0
_STEADY_S = 0.3


@check("After the close, send raises SessionClosed, the iteration has ended, and closing again does nothing.")
async def closed_is_closed(bench: Bench) -> None:
    """Every kind of command, several closes, several iterations."""
    async with bench.open() as talk:
        await talk.still_works()
        await talk.close()
        commands: list[Command] = [
            SendAudio(pcm=bytes(320)),
            SendText(text="x"),
            EndTurn(),
            Respond(),
            Interrupt(),
            Configure(patch={}),
        ]
        for command in [*commands, ReportPlayed(response_id="r", ms=1)]:
            await _refused(talk, command)
        async for event in talk.session:
            raise Broken(f"the session is closed and was read to its end, and yet {event} came")


async def _refused(talk: Conversation, command: Command) -> None:
    try:
        await talk.send(command)
    except SessionClosed as error:
        expect(str(error), "SessionClosed says nothing")
    except Unsupported:
        pass  # it could not be done before, either
    except VoiceBridgeError as error:
        raise Broken(f"after the close, {command} raised {type(error).__name__}, not SessionClosed") from error
    else:
        raise Broken(f"after the close, {command} was taken")


@check("It can be closed while it still connects, however far it is.")
async def close_while_connecting(bench: Bench) -> None:
    """Closed after each of the first steps, with commands waiting."""
    for steps in range(_STEPS):
        async with bench.open() as talk:
            if "text" in bench.can.inputs:
                await talk.say(bench.subject.prompt)
            for _ in range(steps):
                await asyncio.sleep(0)
            await talk.close()


@check("Closed in the middle of a response: that ends lost, what waits is settled, its audio is dropped.")
async def close_during_response(bench: Bench) -> None:
    """Closed at the first output, with more asked for."""
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.open() as talk:
        command = await talk.ask(bench.subject.long_prompt)
        started = await talk.response_to(command)
        await talk.until(OutputAudio if "audio" in bench.can.outputs else OutputText, response_id=started.response_id)
        waiting: list[Command] = []
        if "text" in bench.can.inputs and bench.subject.asks_by != "speech":
            waiting = [await talk.say("And then?"), await talk.say("And then?")]
        before = len(talk.all(OutputAudio))
        await talk.close()
        expect(len(talk.all(OutputAudio)) <= before + 1, "audio was delivered after the close")
        ended = await talk.end_of(started)
        expect(ended.status in ("lost", "completed"), f"a response that ran when we closed ended {ended.status!r}")
        for one in waiting:
            for settled in talk.all(CommandSettled, command_id=one.id):
                fault = settled.fault
                expect(fault is None or fault.category == "closed", f"{one} was settled by the close with {fault}")
        expect(all(end.status != "failed" for end in talk.all(ResponseEnded)), "a close made a response fail")


@check("Two closes at once, and a close that is cancelled, end as one close does.")
async def close_under_pressure(bench: Bench) -> None:
    """Closed by two tasks; and by one that is cancelled at every step."""
    for steps in range(_STEPS):
        async with bench.open() as talk:
            await talk.ready()
            if "text" in bench.can.inputs:
                await talk.say(bench.subject.prompt)
            talk.trace.closed_by_us = True
            closes = [asyncio.create_task(talk.session.aclose()) for _ in range(2)]
            for _ in range(steps):
                await asyncio.sleep(0)
            closes[0].cancel()
            _, late = await asyncio.wait(closes, timeout=CLOSE_S)
            expect(not late, f"a close beside one that was cancelled took more than {CLOSE_S:.0f} s")
            expect(not closes[1].cancelled(), "cancelling one close cancelled the other")
            for error in (close.exception() for close in closes if not close.cancelled()):
                expect(not error, f"of two closes at once, one raised {type(error).__name__}: {error}")
            await talk.close()


@check("Leaving the context closes the session; an error of the application goes through as it is.")
async def leaving_closes(bench: Bench) -> None:
    """Without `aclose`, by the end of the block and by an exception."""
    kept: list[Conversation] = []

    async def leave(error: Exception | None) -> None:
        async with bench.open(finish=False) as talk:
            kept.append(talk)
            await talk.ready()
            if error:
                raise error

    await leave(None)
    problem = ZeroDivisionError("the application's own")
    try:
        await leave(problem)
    except ZeroDivisionError as error:
        expect(error is problem, "an exception of the application was replaced")
    else:
        raise Broken("an exception of the application was swallowed")
    for talk in kept:
        await talk.close()
        bench.judge(talk.trace)
        await _refused(talk, SendText(text="x") if "text" in bench.can.inputs else SendAudio(pcm=b""))


@check("Connecting can be cancelled at every step, and leaves nothing behind.")
async def cancelled_connect(bench: Bench) -> None:
    """The task that opens the session is cancelled after each of the first steps."""

    async def hold() -> None:
        async with bench.open(finish=False):
            await asyncio.sleep(3600)

    for steps in range(1, _STEPS * 2):
        task = asyncio.create_task(hold())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=CLOSE_S)
        expect(done, f"cancelled while connecting, it took more than {CLOSE_S:.0f} s to end")
        if not task.cancelled() and (error := task.exception()):
            raise Broken(f"cancelled while connecting, it raised {type(error).__name__}: {error}")


@check("No thread, socket or file is left open: the third session needs no more than the first.")
async def nothing_left(bench: Bench) -> None:
    """What the process holds after one session and after three."""
    held: list[dict[str, int]] = []
    for _ in range(3):
        async with bench.open() as talk:
            await talk.still_works()
        held.append(await _held(held[0] if held else None))
    for kind, first in held[0].items():
        expect(
            held[2][kind] <= first,
            f"the process held {first} {kind} after one session, and {held[2][kind]} after three",
        )


async def _held(first: dict[str, int] | None) -> dict[str, int]:
    """What the process holds, once it has had the time to let go: no more than first, or the same for a while."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _GRACE_S
    since, before = loop.time(), None
    while True:
        held = {
            "threads": len(running_threads()),
            "sockets": len(open_sockets()),
            "files": len(open_files()),
        }
        if held != before:
            since, before = loop.time(), held
        steady = first is None and loop.time() - since >= _STEADY_S
        over = steady or (first is not None and all(held[kind] <= first[kind] for kind in held))
        if over or loop.time() >= deadline:
            return held
        await asyncio.sleep(0.05)
