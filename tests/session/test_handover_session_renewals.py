"""A session that outlives its connections: before a known end the next one is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicebridge.contract.commands import (
    Configure,
    Respond,
    SendText,
)
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
)
from voicebridge.contract.items import ToolCallItem
from voicebridge.contract.lines import dump
from voicebridge.session.candidate import Candidate
from voicebridge.testing.line_codec import LINE_CAPABILITIES

from .exchange import ENDS, PATIENT, answer, exchange, moved
from .lines import (
    Line,
    Lines,
    agent,
    bench,
    fates,
    final,
    ready_for,
    say,
    settle,
    turn,
    user,
    virtually,
    voice,
)


def swap(backend: Lines, **own: object) -> Configure:
    return Configure(patch={"backend": Candidate.of(backend, SessionConfig()), **own})


@pytest.mark.parametrize("known", ["from the beginning", "late"])
def test_before_a_known_end_the_call_goes_over_and_nothing_is_lost(known: str) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(ready=False), Line(ready=False)
        first.say(dump(ready_for(50 if known == "from the beginning" else None)))
        async with bench(first, second) as b:
            await exchange(b, first)
            await say(b.session, 1000, 9000)
            if known == "late":
                first.tell(ENDS)
            else:
                await settle(36)
            await settle(1)
            assert second.dialled_at is not None
            await say(b.session, 9000, 10_000)
            assert first.audio == voice(0, 10_000), "the old one serves until the next one can"
            assert second.heard == []
            second.say(second.ready_line)
            await settle()
            await say(b.session, 10_000, 12_000)
            assert moved(b) == [("expiry", 0, 0)]
            assert first.audio == voice(0, 10_000)
            assert second.heard == [voice(1000, 12_000)]
            assert b.backend.histories[-1] == (user("Hello"), agent("Hi"))
            assert first.closed_by_client
            assert not b.of(BackendError)

    test()


@virtually
async def test_a_renewal_waits_for_the_answer_and_tells_the_next_one_of_it() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await say(b.session, 0, 6000)
        first.tell(turn("t1", "speech", 0), ENDS)
        await settle(1)
        assert second.dialled_at is not None
        assert b.backend.histories[-1] == ()
        first.tell(turn("t1", "committed", 5000), final("t1", "Hello"), *answer("r1", "Hi there", ended=False))
        await settle(1)
        assert not moved(b)
        first.tell(OutputAudio(response_id="r1", pcm=bytes(480), offset_ms=0))
        first.tell(ResponseEnded(response_id="r1", status="completed"))
        await say(b.session, 6000, 7000)
        assert moved(b) == [("expiry", 0, 0)]
        assert [ended.status for ended in b.of(ResponseEnded)] == ["completed"]
        told = second.heard
        assert [(one.role, one.text, one.respond) for one in told if isinstance(one, SendText)] == [
            ("user", "Hello", False),
            ("assistant", "Hi there", False),
        ]
        assert second.audio == voice(5000, 7000)
        assert not b.of(CommandSettled), "nobody asked for any of that"


@virtually
async def test_one_that_can_not_be_told_what_was_said_meanwhile_is_opened_again() -> None:
    first, second, third = Line(), Line(), Line()
    async with bench(first, second, third, capabilities=replace(LINE_CAPABILITIES, context="none")) as b:
        second.ready_line = dump(ready_for(None, replace(LINE_CAPABILITIES, context="none")))
        await say(b.session, 0, 6000)
        first.tell(turn("t1", "speech", 0), ENDS)
        await settle(1)
        call = ToolCall(response_id="r1", call_id="k1", name="weather", arguments="{}")
        first.tell(turn("t1", "committed", 5000), final("t1", "Hello"), *answer("r1", "Hi", ended=False), call)
        first.tell(ResponseEnded(response_id="r1", status="completed"))
        await settle(1)
        assert second.closed_by_client
        assert second.heard == []
        item = ToolCallItem(call_id="k1", name="weather", arguments="{}")
        assert b.backend.histories[-1] == (user("Hello"), agent("Hi"), item)
        assert third.heard == [voice(5000, 6000)]
        assert moved(b) == [("expiry", 0, 0)]


@virtually
async def test_when_time_is_up_an_answer_is_cut_and_gone_on_with() -> None:
    first, second, third = Line(), Line(), Line()
    async with bench(first, second, third, timeouts=PATIENT) as b:
        await exchange(b, first)
        first.end()
        await settle(10)
        second.tell(ENDS)
        second.tell(*answer("r2", "A long story", ended=False))
        await settle(37)
        assert not b.of(ResponseEnded)[1:]
        await settle(2)
        assert [(one.response_id, one.status) for one in b.of(ResponseEnded)] == [
            ("r1", "completed"),
            ("g2.r2", "lost"),
        ], "by the name that it was told by"
        (go_on,) = [one for one in third.commands if isinstance(one, Respond)]
        assert "'A long story'" in (go_on.instructions or "")
        third.tell(*answer("r1", "goes on", to=go_on.id))
        await settle()
        started = b.of(ResponseStarted)[-1]
        assert (started.response_id, started.answers) == ("g3.r1", ()), "nobody has asked but the session"


@virtually
async def test_what_was_not_settled_when_time_is_up_is_told_once() -> None:
    first, second = Line(), Line()
    async with bench(first, second, settles=True, timeouts=PATIENT) as b:
        await settle(10)
        first.tell(ENDS)
        note = SendText(text="Look", respond=False)
        await b.session.send(note)
        await settle(39)
        first.tell(CommandSettled(command_id=note.id))
        await settle(1)
        assert fates(b) == {note.id: "closed"}
        assert moved(b) == [("expiry", 0, 0)]
