"""A session that outlives its connections: one that waits for its turn, and one that was left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from voicebridge.contract.commands import Configure, Interrupt
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.events import (
    BackendError,
    InputTranscript,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionNotice,
    SessionRestarted,
    ToolCall,
    UsageReported,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem
from voicebridge.contract.lines import dump
from voicebridge.session.candidate import Candidate
from voicebridge.testing.line_codec import LINE_CAPABILITIES

from .lines import Bench, Line, Lines, bench, fates, final, ready_for, settle, turn, user, virtually

ANSWER = ResponseStarted(response_id="r1", cause="user")


async def swap(b: Bench, to: Lines) -> Configure:
    command = Configure(patch={"backend": Candidate.of(to, SessionConfig())})
    await b.session.send(command)
    await settle(0.1)
    return command


def lasting(seconds: float) -> Line:
    line = Line(ready=False)
    line.say(dump(ready_for(seconds)))
    return line


@pytest.mark.parametrize("how", ["ready", "notice"])
def test_the_time_of_a_connection_that_waited_runs_from_when_it_told_it(how: str) -> None:
    @virtually
    async def test() -> None:
        first, next_one, after = Line(), lasting(100) if how == "ready" else Line(), Line()
        async with bench(first) as b:
            first.tell(ANSWER)
            await settle()
            to = Lines([next_one, after])
            await swap(b, to)
            if how == "notice":
                next_one.tell(SessionNotice(expires_in_s=100))
            await settle(7)
            first.tell(ResponseEnded(response_id="r1", status="completed"))
            await settle()
            (restarted,) = b.of(SessionRestarted)
            assert restarted.ready.expires_in_s == pytest.approx(92.9, abs=0.1)
            await settle(82)
            assert after.dialled_at is None
            await settle(2)
            assert after.dialled_at is not None, "ten seconds before its end"

    test()


def exchange(n: int) -> list[ResponseStarted | OutputText | ResponseEnded | ToolCall | InputTranscript]:
    """Somebody asks, and is answered with the help of a tool that answers at once."""
    name = f"r{n}"
    return [
        ResponseStarted(response_id=name, cause="user", answers=(f"t{n}",)),
        ToolCall(call_id=f"k{n}", name="f", arguments="{}", response_id=name),
        OutputText(response_id=name, delta=f"answer {n}", kind="speech"),
        ResponseEnded(response_id=name, status="completed"),
    ]


async def taken_over_too_late(b: Bench, to: Lines) -> Line:
    """Each connection that is dialled knows too little when it is ready. The last one takes over all the same."""
    command = await swap(b, to)
    first = b.backend.lines[0]
    assert isinstance(first, Line)
    for n, line in enumerate(to.lines[:4]):
        assert isinstance(line, Line)
        first.tell(turn(f"t{n}", "speech", 0), turn(f"t{n}", "committed", 0), final(f"t{n}", f"question {n}"))
        first.tell(*exchange(n))
        await settle(0.1)
        line.say(line.ready_line)
        await settle(0.3)
    await settle(1)
    assert fates(b) == {command.id: None}
    last = to.lines[3]
    assert isinstance(last, Line)
    return last


@virtually
async def test_one_that_knows_too_little_is_told_what_was_said_meanwhile() -> None:
    async with bench(Line()) as b:
        last = await taken_over_too_late(b, Lines([Line(ready=False) for _ in range(5)]))
        (note,) = last.commands
        text = getattr(note, "text", "")
        assert "question 3" in text
        assert "answer 3" in text
        assert "question 2" not in text, "it knows that"
        assert [one.carried for one in b.of(SessionRestarted)] == ["text"]
        assert b.of(BackendError) == []


@virtually
async def test_one_that_knows_too_little_and_takes_no_notes_is_no_secret() -> None:
    mute = replace(LINE_CAPABILITIES, context="none")
    lines = [Line(ready=False) for _ in range(5)]
    for line in lines:
        line.ready_line = dump(ready_for(None, mute))
    async with bench(Line()) as b:
        last = await taken_over_too_late(b, Lines([*lines], capabilities=mute))
        assert last.commands == []
        assert [one.carried for one in b.of(SessionRestarted)] == ["none"]
        assert [one.fault.code for one in b.of(BackendError)] == ["not_told"]


# One that was left


@virtually
async def test_what_a_connection_that_was_left_has_used_is_told_and_the_rest_is_counted() -> None:
    first, second = Line(), Line()
    async with bench(first) as b:
        leg = b.session._courier.leg
        assert leg is not None
        first.tell(ANSWER)
        await settle()
        await swap(b, Lines([second]))
        await settle(11)
        assert [one.status for one in b.of(ResponseEnded)] == ["lost"]
        used = UsageReported(units={"output_audio_tokens": 100.0}, model="test/line", basis="exact", response_id="r1")
        b.session._legs.leg_told(leg, used)
        b.session._legs.leg_told(leg, OutputText(response_id="r1", delta="too late"))
        await settle()
        assert [one.units for one in b.of(UsageReported)] == [used.units]
        assert b.of(OutputText) == []
        assert b.session._legs.news.late["OutputText"] == 1


@virtually
async def test_an_interruption_of_an_old_answer_tells_what_was_heard_of_a_new_one() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        first.tell(ANSWER)
        await settle()
        first.end()
        await settle(1)
        second.tell(ANSWER)
        await settle()
        second_ones = len(second.commands)
        stop = Interrupt(response_id="r1", heard={"g2.r1": 500.0, "r1": 100.0})
        await b.session.send(stop)
        await settle()
        (told,) = second.commands[second_ones:]
        assert isinstance(told, Interrupt)
        assert told.heard == {"r1": 500.0}
        assert told.response_id not in (None, "r1"), "it stops nothing that was not named"


# What is known


def failed(turn_id: str) -> InputTranscript:
    fault = Fault(category="content", code="no_text", message="It could not be written down.")
    return InputTranscript(turn_id=turn_id, text="", final=True, fault=fault)


@pytest.mark.parametrize("text", [failed, lambda name: final(name, "Hello.")], ids=["failed", "written"])
def test_a_text_that_will_not_come_is_not_waited_for(text: Callable[[str], InputTranscript]) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, config=SessionConfig(turns=TurnPolicy(auto_respond=False))) as b:
            first.tell(turn("t1", "speech", 0), turn("t1", "committed", 0), text("t1"))
            await settle()
            command = await swap(b, Lines([second]))
            assert fates(b) == {command.id: None}

    test()


@virtually
async def test_a_backend_is_started_with_no_more_than_it_takes() -> None:
    few = replace(LINE_CAPABILITIES, seed_max_items=2)
    history = [user("one"), MessageItem(role="assistant", text="two"), user("three")]
    first, second = Line(), Line(ready=False)
    async with bench(first, second, history=history, capabilities=few) as b:
        assert b.backend.histories == [(user("three"),)]
        first.tell(turn("t1", "speech", 0), turn("t1", "committed", 0), final("t1", "four"))
        first.tell(ANSWER, ResponseEnded(response_id="r1", status="completed"))
        await settle()
        first.end()
        await settle(1)
        second.say(second.ready_line)
        await settle()
        assert b.backend.histories[1:] == [(user("three"), user("four"))]
        assert second.commands == [], "it was told what it takes, and that is no news to it"
