"""A session that outlives its connections: turns under way or ended by hand, and tools that still work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voicebridge.contract.commands import DiscardTurn, EndTurn, Interrupt, Respond, SendToolResult
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    ResponseEnded,
    ResponseStarted,
    SessionRestarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import ToolCallItem

from .lines import Bench, Line, bench, fates, final, say, settle, turn, virtually, voice

CALL = ToolCall(response_id="r1", call_id="k1", name="weather", arguments="{}")
ANSWER = ResponseStarted(response_id="r1", cause="user", answers=("t1",))


def answered(status: str) -> ResponseEnded:
    return ResponseEnded(response_id="r1", status=status)  # type: ignore[arg-type]  # one of them


async def push_to_talk(b: Bench, first: Line, *told: ResponseStarted | ResponseEnded) -> EndTurn:
    """The user says a turn of a second, which is committed and not written, and half a second more."""
    await say(b.session, 0, 1000)
    end = EndTurn()
    await b.session.send(end)
    first.tell(turn("t1", "speech", 0), turn("t1", "committed", 1000, "client"), *told)
    await settle()
    await say(b.session, 1000, 1500)
    return end


@pytest.mark.parametrize(
    ("told", "respond"),
    [
        ([], True),
        ([ANSWER], True),
        ([ANSWER, answered("lost")], True),
        ([ANSWER, answered("completed")], False),
        ([ANSWER, answered("interrupted")], False),
    ],
    ids=["not answered", "being answered", "lost", "answered", "interrupted"],
)
def test_a_turn_that_was_ended_ends_again_in_its_place(
    told: list[ResponseStarted | ResponseEnded], respond: bool
) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second) as b:
            end = await push_to_talk(b, first, *told)
            first.end()
            await settle(1)
            assert second.heard == [voice(0, 1000), replace(end, respond=respond), voice(1000, 1500)]
            assert fates(b) == {end.id: None}
            assert not b.of(BackendError)

    test()


@virtually
async def test_a_turn_whose_words_are_known_does_not_end_again() -> None:
    first, second, third = Line(), Line(), Line()
    async with bench(first, second, third) as b:
        end = await push_to_talk(b, first)
        first.end()
        await settle(1)
        assert second.commands == [end]
        second.tell(turn("t1", "committed", 1000, "client"), final("t1", "What time is it?"))
        await settle()
        second.end()
        await settle(1)
        audio, asked = third.heard
        assert audio == voice(1000, 1500)
        assert isinstance(asked, Respond), "it was told the words, and is asked for the answer"
        assert fates(b) == {end.id: None}


@virtually
async def test_a_turn_ends_once_on_a_connection_however_many_died_before_it_was_told() -> None:
    first, second, third, fourth = Line(), Line(ready=False), Line(), Line()
    second.takes.clear()
    third.takes.clear()
    async with bench(first, second, third, fourth) as b:
        end = await push_to_talk(b, first)
        later = EndTurn()
        first.end()
        await settle()
        await b.session.send(later)
        await settle(0.3)
        second.end()
        await settle(0.3)
        assert third.dialled_at is not None
        third.end()
        await settle(1)
        assert fourth.heard[:3] == [voice(0, 1000), end, voice(1000, 1500)]
        assert fates(b)[end.id] is None
        assert len(fates(b)) == 2


@virtually
async def test_what_was_discarded_after_a_turn_is_discarded_again() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        end = await push_to_talk(b, first)
        discard = DiscardTurn()
        await b.session.send(discard)
        await say(b.session, 1500, 2000)
        first.end()
        await settle(1)
        assert second.heard == [voice(0, 1000), end, voice(1000, 1500), discard, voice(1500, 2000)]


@virtually
async def test_a_turn_that_can_not_be_ended_again_is_told_as_an_error_of_no_command() -> None:
    first, second, third = Line(), Line(), Line()
    fault = Fault(category="config", message="Too short.")
    async with bench(first, second, third, settles=True) as b:
        await say(b.session, 0, 1000)
        end = EndTurn()
        await b.session.send(end)
        first.tell(turn("t1", "committed", 1000), CommandSettled(command_id=end.id))
        await settle()
        first.end()
        await settle(1)
        second.tell(CommandSettled(command_id=end.id, fault=fault))
        await settle()
        second.end()
        await settle(1)
        assert fates(b) == {end.id: None}
        assert [one.fault for one in b.of(BackendError)] == [fault]
        assert third.commands == []


def a_turn(name: str, *phases: str) -> list[UserTurn]:
    return [turn(name, phase, 0) for phase in phases]


@pytest.mark.parametrize(
    ("told", "discarded"),
    [
        ([*a_turn("t1", "speech")], ["t1"]),
        ([*a_turn("t1", "speech", "pause")], ["t1"]),
        ([*a_turn("t1", "speech", "committed")], []),
        ([*a_turn("t1", "speech", "discarded")], []),
        ([*a_turn("t1", "speech", "committed"), *a_turn("t2", "speech")], ["t2"]),
    ],
)
def test_a_turn_that_was_under_way_is_over(told: list[UserTurn], discarded: list[str]) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second) as b:
            await say(b.session, 0, 500)
            first.tell(*told)
            await settle()
            before = len(b.of(UserTurn))
            first.end()
            await settle(1)
            over = b.of(UserTurn)[before:]
            assert [(one.turn_id, one.phase, one.source, one.audio_ms) for one in over] == [
                (turn_id, "discarded", "inferred", 500) for turn_id in discarded
            ]
            if over:
                assert b.events.index(over[-1]) < b.events.index(b.of(SessionRestarted)[0])
            assert second.audio == voice(0, 500), "it is heard again all the same"

    test()


@virtually
async def test_closing_discards_no_turn() -> None:
    line = Line()
    async with bench(line) as b:
        line.tell(turn("t1", "speech", 0))
        await settle()
    assert [one.phase for one in b.of(UserTurn)] == ["speech"]


@pytest.mark.parametrize("when", ["before", "gap", "after"])
def test_a_tool_may_answer_whenever_the_connection_is_lost(when: str) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second, settles=True) as b:
            first.tell(ANSWER, CALL, answered("completed"))
            await settle()
            result = SendToolResult(call_id="k1", output="sunny")
            if when == "before":
                await b.session.send(result)
                await settle()
            first.end()
            await settle(0 if when == "gap" else 1)
            if when != "before":
                await b.session.send(result)
                await settle(1)
            call = ToolCallItem(call_id="k1", name="weather", arguments="{}")
            assert b.backend.histories[-1] == (call,), "no result that was not given"
            if when == "before":
                assert fates(b) == {result.id: "closed"}, "the tool's owner knows, and may send it again"
            else:
                assert second.commands == [result]

    test()


@pytest.mark.parametrize("gap", [False, True])
def test_an_answer_that_was_interrupted_is_not_asked_for_again(gap: bool) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second) as b:
            end = await push_to_talk(b, first)
            if gap:
                first.end()
                await settle()
            await b.session.send(Interrupt())
            first.end()
            await settle(1)
            assert second.heard[:2] == [voice(0, 1000), replace(end, respond=False)]

    test()
