"""Whether somebody waits for an answer, and a new connection must be asked for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.commands import Command, EndTurn, Interrupt, Respond, SendText, SendToolResult
from voicebridge.contract.events import CommandSettled, Event, ResponseEnded, ResponseStarted, ToolCall, UserTurn
from voicebridge.contract.fault import Fault
from voicebridge.core.answer_due import AnswerDue

NO = Fault(category="config", message="No.")


def spoken(phase: Any = "committed", source: Any = "server") -> UserTurn:
    return UserTurn(turn_id="t1", phase=phase, audio_ms=0, source=source)


def started(*, aside: bool = False) -> ResponseStarted:
    return ResponseStarted(response_id="r1", cause="user", aside=aside)


def ended(status: Any) -> ResponseEnded:
    return ResponseEnded(response_id="r1", status=status)


def after(*inputs: Command | Event, auto_respond: bool = True) -> AnswerDue:
    due = AnswerDue(auto_respond=auto_respond)
    for one in inputs:
        due.given(one) if isinstance(one, Command) else due.happened(one)
    return due


ASKING: list[Command | Event] = [
    spoken(),
    EndTurn(),
    Respond(),
    SendText(text="Hello"),
    SendToolResult(call_id="k1", output="sunny"),
]
NOT_ASKING: list[Command | Event] = [
    spoken("speech"),
    spoken("discarded"),
    spoken(source="client"),
    EndTurn(respond=False),
    Respond(aside=True),
    SendText(text="A note", respond=False),
    SendToolResult(call_id="k1", output="sunny", respond=False),
]


@pytest.mark.parametrize("asking", ASKING, ids=lambda one: type(one).__name__)
def test_who_asks_is_owed_an_answer_until_it_begins(asking: Command | Event) -> None:
    due = after(asking)
    assert due.owed
    assert not due.unasked, "this connection knows"
    due.hand_on()
    assert due.owed
    assert due.unasked, "the next one does not"
    due.happened(started(aside=True))
    assert due.owed
    due.happened(started())
    assert not due.owed
    assert not due.unasked


@pytest.mark.parametrize("other", NOT_ASKING, ids=lambda one: type(one).__name__)
def test_others_are_not(other: Command | Event) -> None:
    assert not after(other).owed
    assert not after(spoken(), auto_respond=False).owed


def test_a_command_that_failed_or_was_withdrawn_asks_for_nothing() -> None:
    hello = SendText(text="Hello")
    assert not after(hello, CommandSettled(command_id=hello.id, fault=NO)).owed
    assert after(hello, CommandSettled(command_id=hello.id)).owed, "that it arrived is no answer"
    due = after(hello)
    due.withdraw(hello.id)
    assert not due.owed


@pytest.mark.parametrize(
    ("status", "cut"), [("lost", "r1"), ("completed", None), ("interrupted", None), ("failed", None)]
)
def test_an_answer_that_was_lost_is_to_be_gone_on_with(status: str, cut: str | None) -> None:
    due = after(spoken(), started(), ended(status))
    due.hand_on()
    assert (due.cut, due.owed, due.unasked) == (cut, cut is not None, cut is not None)


def test_neither_an_aside_nor_one_that_called_a_tool_is() -> None:
    call = ToolCall(response_id="r1", call_id="k1", name="weather", arguments="{}")
    assert not after(started(aside=True), ended("lost")).owed
    assert not after(started(), call, ended("lost")).owed


def test_who_interrupts_wants_no_answer() -> None:
    lost = [started(), ended("lost")]
    assert not after(*lost, Interrupt()).owed
    assert not after(*lost, Interrupt(response_id="r1")).owed
    assert after(*lost, Interrupt(response_id="r0")).owed
    assert not after(SendText(text="Hello"), Interrupt()).owed
    assert after(SendText(text="Hello"), Interrupt(response_id="r0")).owed
    assert not after(*lost, spoken("speech")).owed, "the user says something else"


def test_what_is_owed_is_owed_through_connections_that_die() -> None:
    due = after(SendText(text="Hello"))
    for _ in range(3):
        due.hand_on()
        assert due.unasked
        due.given(Respond())
        assert not due.unasked
    due.hand_on()
    assert due.unasked
    due.give_up()
    assert not due.owed


def test_an_answer_to_a_turn_that_is_heard_again_is_given_by_itself() -> None:
    due = after(spoken(), started(), ended("lost"))
    due.heard_again()
    due.hand_on()
    assert (due.begun, due.cut, due.unasked) == ("r1", None, False)
    due.hand_on()
    assert due.begun == "r1", "nobody has begun to answer it"
    due.happened(started())
    assert due.begun is None


INPUTS = st.sampled_from([*ASKING, *NOT_ASKING, started(), ended("lost"), ended("completed"), Interrupt(), "hand on"])


@given(st.lists(INPUTS, max_size=30))
def test_nothing_is_owed_after_an_answer_began_and_nothing_was_asked_since(inputs: list[Any]) -> None:
    due = AnswerDue(auto_respond=True)
    owed = running = False
    for one in inputs:
        if one == "hand on":
            due.hand_on()
        elif isinstance(one, Command):
            due.given(one)
        else:
            due.happened(one)
        if one in ASKING:
            owed = True
        elif isinstance(one, Interrupt):
            owed = False
        elif isinstance(one, ResponseStarted):
            owed, running = False, True
        elif isinstance(one, ResponseEnded):
            owed, running = owed or (running and one.status == "lost"), False
        elif isinstance(one, UserTurn) and one.phase == "speech" and due.cut is None:
            owed = due.owed
        assert due.owed == owed
        assert not due.unasked or due.owed


def test_what_is_said_beside_leaves_what_is_owed() -> None:
    due = AnswerDue(auto_respond=True)
    due.given(SendText(id="c1", text="Hello?"))
    due.beside("c2")
    due.given(Respond(id="c2", say="You talk to an AI."))
    due.happened(ResponseStarted(response_id="r1", cause="request", answers=("c2",)))
    assert due.owed
    due.happened(ResponseEnded(response_id="r1", status="lost"))
    assert due.cut is None, "who asked for it asks again"
    due.happened(ResponseStarted(response_id="r2", cause="request", answers=("c1", "c2")))
    assert not due.owed, "one response to both is an answer"


def test_what_a_response_was_asked_to_say_is_known_while_it_is_the_latest() -> None:
    due = AnswerDue(auto_respond=True)
    wanted, how, plain = Respond(id="c1", say="Hello."), Respond(id="c2", instructions="Be brief."), Respond(id="c3")
    for command in (wanted, how, plain):
        due.given(command)
    due.happened(ResponseStarted(response_id="r1", cause="request", answers=("c1",)))
    assert due.request("r1") == wanted
    assert due.request("r0") is due.request(None) is None
    due.happened(ResponseStarted(response_id="r2", cause="request", answers=("c2",)))
    assert (due.request("r1"), due.request("r2")) == (None, how)
    due.happened(ResponseStarted(response_id="r3", cause="request", answers=("c3",)))
    assert due.request("r3") is None


def test_a_turn_that_is_heard_again_and_answered_by_nobody_is_waited_for() -> None:
    due = AnswerDue(auto_respond=False)
    due.happened(ResponseStarted(response_id="r1", cause="request"))
    due.happened(ResponseEnded(response_id="r1", status="lost"))
    due.hand_on()
    due.heard_again_unanswered(1)
    due.happened(UserTurn(turn_id="t1", phase="speech", audio_ms=0, source="server"))
    assert (due.turns_due, due.cut) == (1, "r1"), "it was said before the answer"
    due.happened(UserTurn(turn_id="t1", phase="committed", audio_ms=900, source="server"))
    assert (due.turns_due, due.cut) == (0, "r1")
    assert due.unasked
    due.happened(UserTurn(turn_id="t2", phase="speech", audio_ms=1500, source="server"))
    assert due.cut is None, "and this was said over it"
