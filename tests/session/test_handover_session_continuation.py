"""A session that outlives its connections: when the next one is asked to go on, and what is given to it again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    Respond,
    SendAudio,
    SendText,
)
from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.events import (
    CommandSettled,
    OutputText,
    ResponseEnded,
    ResponseStarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.session.candidate import Candidate

from .lines import Bench, Line, Lines, bench, fates, final, say, settle, turn, virtually, voice

BY_HAND = SessionConfig(turns=TurnPolicy(mode="manual"))
NOT_BY_ITSELF = SessionConfig(turns=TurnPolicy(auto_respond=False))
SAID = [turn("t1", "speech", 100), turn("t1", "committed", 900)]
WRITTEN = [*SAID, final("t1", "Tell me a story.")]


def spoken(response_id: str, *answers: str, text: str = "One two three") -> list[ResponseStarted | OutputText]:
    return [
        ResponseStarted(response_id=response_id, cause="user", answers=answers),
        OutputText(response_id=response_id, delta=text, kind="speech"),
    ]


async def quiet(b: Bench, ms: int) -> None:
    """The user says nothing."""
    for _ in range(0, ms, 100):
        await b.session.send(SendAudio(pcm=bytes(4800)))
        await asyncio.sleep(0.1)


async def cut(b: Bench, first: Line) -> None:
    """The user asks, and the answer goes down with its connection."""
    await say(b.session, 0, 1000)
    first.tell(*WRITTEN, *spoken("r1", "t1"))
    await quiet(b, 1000)
    first.end()
    await quiet(b, 300)


@pytest.mark.parametrize("response_id", ["r1", None])
def test_an_answer_that_is_interrupted_while_the_next_connection_is_dialled_does_not_go_on(
    response_id: str | None,
) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line(ready=False)
        async with bench(first, second) as b:
            await cut(b, first)
            stop = Interrupt(response_id=response_id)
            await b.session.send(stop)
            second.say(second.ready_line)
            await settle(3)
            assert not any(isinstance(one, Respond) for one in second.commands)
            assert fates(b) == {stop.id: None}

    test()


@virtually
async def test_it_is_asked_to_go_on_once_it_is_ready() -> None:
    first, second = Line(), Line(ready=False)
    async with bench(first, second) as b:
        await cut(b, first)
        await quiet(b, 1000)
        second.say(second.ready_line)
        await settle()
        assert [type(one) for one in second.commands] == [Respond], "at once: nobody spoke"


@virtually
async def test_who_speaks_while_the_next_connection_is_dialled_is_not_talked_over() -> None:
    first, second = Line(), Line(ready=False)
    async with bench(first, second) as b:
        await cut(b, first)
        await say(b.session, 2300, 3000)
        second.say(second.ready_line)
        await settle(0.3)
        second.tell(turn("t1", "speech", 1500))
        await settle(3)
        assert second.commands == []


@virtually
async def test_a_sound_that_was_no_speech_only_makes_it_wait_a_moment() -> None:
    first, second = Line(), Line(ready=False)
    async with bench(first, second) as b:
        await cut(b, first)
        await say(b.session, 2300, 3000)
        second.say(second.ready_line)
        await settle(0.3)
        assert second.commands == []
        await settle(0.3)
        assert [type(one) for one in second.commands] == [Respond]


@virtually
async def test_an_interruption_of_what_was_lost_stops_what_was_asked_for_in_its_place() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await cut(b, first)
        await settle(1)
        assert [type(one) for one in second.commands] == [Respond]
        stop = Interrupt(response_id="r1", heard={"r1": 100.0})
        await b.session.send(stop)
        await settle()
        assert second.commands[1:] == [replace(stop, response_id=None, heard={})]
        assert not b.session.briefing.answer_due.owed
        assert fates(b) == {stop.id: None}


@virtually
async def test_an_interruption_of_what_was_lost_stops_nothing_that_the_application_asked_for() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await cut(b, first)
        await settle(1)
        await b.session.send(SendText(text="And who are you?"))
        await b.session.send(Interrupt(response_id="r1"))
        await settle()
        assert [type(one) for one in second.commands] == [Respond, SendText]


@virtually
async def test_an_interruption_of_what_was_lost_stops_no_answer_that_has_begun() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        await cut(b, first)
        await settle(1)
        second.tell(*spoken("r1", second.commands[0].id))
        await settle()
        await b.session.send(Interrupt(response_id="r1"))
        await settle()
        assert [type(one) for one in second.commands] == [Respond]


@virtually
async def test_turns_that_are_not_answered_by_themselves_are_heard_again_before_the_answer_goes_on() -> None:
    first, second = Line(), Line()
    async with bench(first, second, config=NOT_BY_ITSELF) as b:
        await say(b.session, 0, 1000)
        first.tell(*SAID)
        await settle()
        asked = Respond()
        await b.session.send(asked)
        await settle()
        first.tell(*spoken("r1", asked.id))
        await settle()
        first.end()
        await settle(0.5)
        assert second.heard == [voice(0, 1000)], "the turn that it answers is still to be heard"
        second.tell(turn("t1", "speech", 100))
        await settle(0.5)
        assert second.commands == []
        second.tell(turn("t1", "committed", 900))
        await settle()
        (go_on,) = second.commands
        assert isinstance(go_on, Respond)
        assert "One two three" in (go_on.instructions or "")


@virtually
async def test_a_turn_that_is_never_committed_again_is_not_waited_for_for_ever() -> None:
    first, second = Line(), Line()
    async with bench(first, second, config=NOT_BY_ITSELF) as b:
        await say(b.session, 0, 1000)
        first.tell(*SAID, *spoken("r1"))
        await settle()
        first.end()
        await settle(3)
        assert [type(one) for one in second.commands] == [Respond]


# Given again


def ends(*commands: Command) -> list[Command]:
    return [one for one in commands if isinstance(one, EndTurn | DiscardTurn)]


@pytest.mark.parametrize("end", [EndTurn(), DiscardTurn()], ids=["end", "discard"])
def test_an_end_of_a_turn_that_was_under_way_is_given_again_in_its_place(end: Command) -> None:
    @virtually
    async def test() -> None:
        first, second, third = Line(), Line(), Line()
        async with bench(first, second, third, settles=True, config=BY_HAND) as b:
            await say(b.session, 0, 1000)
            await b.session.send(end)
            await say(b.session, 1000, 1500)
            first.end()
            await settle(1)
            assert second.heard == [voice(0, 1000), end, voice(1000, 1500)]
            assert fates(b) == {}
            second.end()
            await settle(1)
            assert third.heard == [voice(0, 1000), end, voice(1000, 1500)], "as often as it takes"
            third.tell(CommandSettled(command_id=end.id))
            await settle()
            assert fates(b) == {end.id: None}

    test()


@virtually
async def test_an_end_of_a_turn_that_was_told_and_not_settled_is_done() -> None:
    first, second = Line(), Line()
    async with bench(first, second, settles=True, config=BY_HAND) as b:
        await say(b.session, 0, 1000)
        end = EndTurn()
        await b.session.send(end)
        await settle()
        first.tell(turn("t1", "committed", 1000, "client"), final("t1", "Tell me a story."))
        await settle()
        first.end()
        await settle(1)
        assert fates(b) == {end.id: None}
        assert ends(*second.commands) == []


@virtually
async def test_an_end_of_a_turn_that_was_under_way_when_all_is_over_is_told() -> None:
    first = Line()
    async with bench(first, settles=True, config=BY_HAND) as b:
        await say(b.session, 0, 1000)
        end = EndTurn()
        await b.session.send(end)
        await settle()
        await b.session.end(Fault(category="closed", code="limit", message="It took too long."))
    assert fates(b) == {end.id: "closed"}


@virtually
async def test_what_was_asked_for_and_not_begun_is_asked_for_again() -> None:
    first, second = Line(), Line()
    async with bench(first, second, settles=True) as b:
        asked = [Respond(instructions="Be short."), SendText(text="Who are you?")]
        for one in asked:
            await b.session.send(one)
        await settle()
        first.end()
        await settle(1)
        assert second.commands == asked
        assert fates(b) == {}


@pytest.mark.parametrize("then", [ResponseStarted(response_id="r1", cause="request"), Interrupt()])
def test_what_was_asked_for_and_begun_or_stopped_is_not(then: ResponseStarted | Interrupt) -> None:
    @virtually
    async def test() -> None:
        first, second = Line(), Line()
        async with bench(first, second, settles=True) as b:
            asked = Respond(instructions="Be short.")
            await b.session.send(asked)
            await settle()
            if isinstance(then, Interrupt):
                await b.session.send(then)
            else:
                first.tell(replace(then, answers=(asked.id,)))
            await settle()
            first.end()
            await settle(1)
            assert asked not in second.commands
            assert fates(b)[asked.id] == "closed"

    test()


@virtually
async def test_what_was_asked_for_after_a_turn_is_asked_for_after_it_again() -> None:
    first, second = Line(), Line()
    async with bench(first, second, settles=True, config=NOT_BY_ITSELF) as b:
        await say(b.session, 0, 1000)
        first.tell(*SAID)
        await settle()
        asked = Respond(instructions="Be short.")
        await b.session.send(asked)
        await settle()
        first.end()
        await settle(0.5)
        assert second.heard == [voice(0, 1000)], "not before it has the turn"
        second.tell(*SAID)
        await settle()
        assert second.commands == [asked]
        await b.session.send(later := Respond())
        await settle()
        assert second.commands == [asked, later]


@virtually
async def test_a_text_that_the_next_connection_was_started_with_is_not_told_twice() -> None:
    first, second = Line(), Line(ready=False)
    async with bench(first, settles=True) as b:
        hello = SendText(text="Hello")
        await b.session.send(hello)
        await settle()
        to = Lines([second])
        swap = Configure(patch={"backend": Candidate.of(to, SessionConfig())})
        await b.session.send(swap)
        await settle(9)
        assert [getattr(item, "text", "") for item in to.histories[0]] == ["Hello"]
        second.say(second.ready_line)
        await settle(3)
        assert hello not in second.commands
        assert fates(b) == {hello.id: "closed", swap.id: None}


# Asked again


@virtually
async def test_a_second_failure_while_the_first_one_is_waited_for_leaves_nothing_behind() -> None:
    line = Line()
    async with bench(line) as b:
        leg = b.session._courier.leg
        assert leg is not None
        line.tell(*WRITTEN)
        await settle()
        b.session._courier.ask_again(leg, "r1", after_s=20)
        await settle(1)
        b.session._courier.ask_again(leg, "r2", after_s=20)
        await settle(1)


@virtually
async def test_a_plugin_that_fails_when_it_is_asked_again_loses_its_connection() -> None:
    first, second = Line(), Line()
    async with bench(first, second) as b:
        first.tell(*WRITTEN)
        await settle()
        leg = b.session._courier.leg
        assert leg is not None
        assert leg.session is not None

        async def fails(command: Command) -> None:
            raise RuntimeError("as planned")

        leg.session.send = fails  # type: ignore[method-assign]  # a plugin that fails
        b.session._courier.ask_again(leg, "r1", after_s=0)
        await settle(1)
        assert second.dialled_at is not None


@virtually
async def test_commands_of_the_sessions_own_making_are_forgotten_when_they_are_answered() -> None:
    lines = [Line() for _ in range(5)]
    async with bench(*lines) as b:
        for n, line in enumerate(lines[:-1]):
            line.tell(*spoken("r"))
            await settle()
            line.end()
            await settle(1)
            (asked,) = lines[n + 1].commands
            lines[n + 1].tell(ResponseStarted(response_id="s", cause="request", answers=(asked.id,)))
            await settle()
            assert b.of(ResponseStarted)[-1].answers == ()
            assert not b.session._courier._errands
            lines[n + 1].tell(ResponseEnded(response_id="s", status="completed"))
            await settle()
