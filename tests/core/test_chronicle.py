"""A conversation written down by its commands and events alone."""

from __future__ import annotations

import pytest

from voicebridge.contract.commands import Command, EndTurn, SendAudio, SendText, SendToolResult
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.history_record import Record

FAULT = Fault(category="closed", message="Over.")
COMMITTED = UserTurn(turn_id="t1", phase="committed", audio_ms=500)
STARTED = ResponseStarted(response_id="r1", cause="user", answers=("t1",))
CALL = ToolCall(response_id="r1", call_id="k1", name="weather", arguments="{}")


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def agent(text: str, interrupted: bool = False) -> MessageItem:
    return MessageItem(role="assistant", text=text, interrupted=interrupted)


def heard(text: str, final: bool = True) -> InputTranscript:
    return InputTranscript(turn_id="t1", text=text, final=final)


def said(delta: str, response: str = "r1") -> OutputText:
    return OutputText(response_id=response, delta=delta)


def after(*told: Command | Event, items: tuple[Item, ...] = ()) -> tuple[Item, ...]:
    chronicle = Chronicle(items)
    for one in told:
        if isinstance(one, Command):
            chronicle.sent(one)
        else:
            chronicle.happened(one)
    return chronicle.items()


def test_what_was_said_before_stays() -> None:
    assert after(items=(user("Hello"),)) == (user("Hello"),)


def test_a_turn_keeps_its_place_until_its_words_are_known() -> None:
    told = [COMMITTED, STARTED, said("Hi"), said(" there."), ResponseEnded(response_id="r1", status="completed")]
    assert after(*told) == (agent("Hi there."),)
    assert after(*told, heard("Hel", final=False)) == (user("Hel"), agent("Hi there."))
    assert after(*told, heard("Hel", final=False), heard("Hello")) == (user("Hello"), agent("Hi there."))


def test_words_that_come_before_the_turn_is_over() -> None:
    assert after(heard("Hel", final=False), COMMITTED, STARTED, heard("Hello"), said("Hi")) == (
        user("Hello"),
        agent("Hi"),
    )


@pytest.mark.parametrize("before", [True, False])
def test_a_discarded_turn_leaves_nothing_however_late_its_words_come(before: bool) -> None:
    discarded = UserTurn(turn_id="t1", phase="discarded", audio_ms=500)
    assert after(*[heard("Um", final=False)] * before, discarded, heard("Umm")) == ()


def test_an_aside_and_a_thought_are_not_written_down() -> None:
    aside = ResponseStarted(response_id="r2", cause="request", aside=True)
    thought = OutputText(response_id="r1", delta="secret", kind="thought")
    assert after(STARTED, aside, said("aside", "r2"), thought, said("Hi")) == (agent("Hi"),)


def test_only_what_was_heard_stays() -> None:
    cut = OutputHeard(response_id="r1", heard_ms=300, text="One.", basis="measured")
    nothing = OutputHeard(response_id="r1", heard_ms=0, text="", basis="measured")
    assert after(STARTED, said("One. Two."), cut) == (agent("One.", interrupted=True),)
    assert after(STARTED, said("One. Two."), cut, said(" Three.")) == (agent("One.", interrupted=True),)
    assert after(STARTED, said("One. Two."), nothing) == ()


def test_texts_and_tool_results_count_when_they_are_sent_and_not_when_they_failed() -> None:
    text = SendText(text="Look", images=("data:x",))
    result = SendToolResult(call_id="k1", output="sunny", is_error=True)
    call = ToolCallItem(call_id="k1", name="weather", arguments="{}")
    look = MessageItem(role="user", text="Look", images=("data:x",))
    answered = ToolResultItem(call_id="k1", output="sunny", is_error=True)
    assert after(text, STARTED, CALL, result) == (look, call, answered)
    good = [CommandSettled(command_id=one.id) for one in (text, result)]
    assert after(text, STARTED, CALL, result, *good) == (look, call, answered)
    bad = [CommandSettled(command_id=one.id, fault=FAULT) for one in (text, result)]
    assert after(text, STARTED, CALL, result, *bad) == (call,), "it is open again"


def test_a_call_that_need_not_be_answered_any_more_is_not_told() -> None:
    assert after(STARTED, CALL, ToolCallCancelled(call_id="k1")) == ()
    other = ToolCall(response_id="r1", call_id="k2", name="weather", arguments="{}")
    open_call = ToolCallItem(call_id="k2", name="weather", arguments="{}")
    assert after(STARTED, CALL, other, ToolCallCancelled(call_id="k1")) == (open_call,)


def test_a_call_that_is_taken_back_takes_no_earlier_one_of_its_id_along() -> None:
    answer = SendToolResult(call_id="k1", output="sunny")
    call = ToolCallItem(call_id="k1", name="weather", arguments="{}")
    told = [STARTED, CALL, answer, CALL, ToolCallCancelled(call_id="k1")]
    assert after(*told) == (call, ToolResultItem(call_id="k1", output="sunny"))


def test_other_commands_are_none_of_it() -> None:
    assert after(SendAudio(pcm=b"\x00\x00"), EndTurn()) == ()


def test_what_is_withdrawn_is_gone_for_good() -> None:
    chronicle = Chronicle()
    chronicle.happened(COMMITTED)
    chronicle.happened(heard("Hel", final=False))
    chronicle.withdraw("t1")
    chronicle.happened(heard("Hello"))
    assert chronicle.items() == ()


# For a store


def test_a_store_is_told_how_much_was_heard() -> None:
    chronicle = Chronicle([Record(place=5, item=user("Before"))])
    for event in (STARTED, said("One two "), said("three four.")):
        chronicle.happened(event)
    (begun,) = chronicle.changed()
    assert (begun.place, begun.key, begun.heard_ms) == (6, "r1", None)
    chronicle.happened(ResponseEnded(response_id="r1", status="lost"))
    assert chronicle.changed() == [], "what was heard of it, whoever has the clock will tell"
    for ms, text, cut in ((1000.0, "One two", True), (2000.0, "One two three four.", False)):
        chronicle.happened(OutputHeard(response_id="r1", heard_ms=ms, text=text, basis="measured"))
        (told,) = chronicle.changed()
        assert (told.item, told.said, told.heard_ms) == (agent(text, cut), "One two three four.", ms)
