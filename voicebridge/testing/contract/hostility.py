"""Checks of a wire that misbehaves. They need `Subject.hostile` or `Subject.dropping`."""

from __future__ import annotations

from voicebridge.contract.commands import SendText
from voicebridge.contract.errors import SessionClosed
from voicebridge.contract.events import BackendError, ResponseEnded, ResponseStarted

from .suite import Bench, check
from .verdict import Broken, NotTried, expect


@check("Garbage and unheard-of events between what is right are survived: the answer comes whole.")
async def hostile_server(bench: Bench) -> None:
    """Two turns with a server that also sends what nobody understands."""
    if bench.subject.hostile is None:
        raise NotTried("it needs a server that misbehaves: give `Subject.hostile`")
    async with bench.subject.hostile() as subject, bench.with_subject(subject).open() as talk:
        for _ in range(2):
            await talk.still_works()


@check("A connection that is lost ends the session aloud: a fatal error last, then SessionFailed.")
async def lost_connection(bench: Bench) -> None:
    """The server goes away in the middle of a response: open things are closed, and nothing ends in silence."""
    if bench.subject.dropping is None:
        raise NotTried("it needs a server that goes away: give `Subject.dropping`")
    bench.need(bench.can.outputs, "outputs is empty")
    async with bench.subject.dropping() as subject, bench.with_subject(subject).open(finish=False) as talk:
        await talk.ask()
        await talk.until(BackendError, fatal=True)
        await talk.quiet()
        bench.judge(talk.trace)
        expect(
            talk.trace.ending == "failed",
            f"the connection was lost, and the iteration {talk.trace.ending or 'goes on'}",
        )
        for started in talk.all(ResponseStarted):
            ended = talk.all(ResponseEnded, response_id=started.response_id)[-1]
            expect(ended.status in ("lost", "completed", "failed"), f"a lost response ended {ended.status!r}")
        try:
            await talk.send(SendText(text="Are you there?"))
        except SessionClosed:
            return
        raise Broken("the session has failed, and send took a command")
