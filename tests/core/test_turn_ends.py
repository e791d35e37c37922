"""Turns that the application ended: which end again when their audio is heard again, and which are answered again."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from voicebridge.contract.commands import Command, DiscardTurn, EndTurn, Interrupt, SendText
from voicebridge.contract.events import CommandSettled, Event, ResponseEnded, ResponseStarted, UserTurn
from voicebridge.contract.fault import Fault
from voicebridge.core.turn_ends import TurnEnds

END = EndTurn(id="c1")
LATER = EndTurn(id="c2")
DISCARD = DiscardTurn(id="c3")
QUIET = replace(END, respond=False)


def turn(name: str, phase: Literal["committed", "discarded"] = "committed") -> UserTurn:
    return UserTurn(turn_id=name, phase=phase, audio_ms=0)


def answer(*answers: str) -> ResponseStarted:
    return ResponseStarted(response_id="r1", cause="user", answers=answers)


def ended(status: Literal["completed", "interrupted", "lost"]) -> ResponseEnded:
    return ResponseEnded(response_id="r1", status=status)


def after(*told: tuple[int, Command] | Event) -> TurnEnds:
    ends = TurnEnds(tolerance=10)
    for one in told:
        if isinstance(one, Event):
            ends.happened(one)
        else:
            ends.given(*one)
    return ends


def test_a_turn_ends_again_until_its_words_are_known() -> None:
    assert after((100, END)).again(0, ()) == [(100, END)], "nothing was told of its turn"
    assert after((100, END), turn("t1")).again(0, ("t1",)) == [(100, END)]
    assert after((100, END), turn("t1")).again(0, ()) == []
    assert after((100, END), (200, LATER), turn("t1"), turn("t2")).again(0, ("t2",)) == [(200, LATER)]


@pytest.mark.parametrize(("start", "again"), [(0, True), (89, True), (90, False), (100, False), (200, False)])
def test_a_turn_whose_audio_is_not_heard_again_does_not_end_again(start: int, again: bool) -> None:
    assert after((100, END)).again(start, ()) == ([(100, END)] if again else [])


def test_what_was_discarded_is_discarded_again() -> None:
    ends = after((100, END), turn("t1"), (150, DISCARD), turn("t2", "discarded"))
    assert ends.again(0, ("t1",)) == [(100, END), (150, DISCARD)]
    assert ends.again(120, ()) == [(150, DISCARD)]
    assert ends.again(150, ()) == []


@pytest.mark.parametrize("named", ["t1", "c1"])
def test_an_answer_is_asked_for_again_only_where_it_was_lost(named: str) -> None:
    begun = [(100, END), turn("t1"), answer(named)]
    assert after(*begun).again(0, ("t1",)) == [(100, QUIET)]
    assert after(*begun, ended("completed")).again(0, ("t1",)) == [(100, QUIET)]
    assert after(*begun, ended("interrupted")).again(0, ("t1",)) == [(100, QUIET)]
    assert after(*begun, ended("lost")).again(0, ("t1",)) == [(100, END)]
    assert after((100, END), turn("t1"), answer("t9")).again(0, ("t1",)) == [(100, END)], "that answers another turn"
    assert after((100, QUIET), turn("t1")).again(0, ("t1",)) == [(100, QUIET)]


def test_an_answer_that_was_heard_is_remembered_through_connections() -> None:
    ends = after((100, END), turn("t1"), answer("t1"), ended("completed"))
    assert ends.again(0, ("t1",)) == [(100, QUIET)]
    ends.happened(turn("g2.t1"))
    assert ends.again(0, ("g2.t1",)) == [(100, QUIET)]
    ends.happened(turn("g3.t1"))
    assert ends.again(0, ()) == []


def test_a_command_that_failed_has_ended_nothing() -> None:
    fault = Fault(category="closed", message="Over.")
    assert after((100, END), CommandSettled(command_id="c1")).again(0, ()) == [(100, END)]
    assert after((100, END), CommandSettled(command_id="c1", fault=fault)).again(0, ()) == []


def test_other_commands_end_no_turn() -> None:
    assert after((100, SendText(text="Hello"))).again(0, ()) == []


def test_an_answer_that_nobody_wants_is_not_asked_for_again() -> None:
    every, one, other = Interrupt(), Interrupt(response_id="r1"), Interrupt(response_id="r9")
    asked: list[tuple[int, Command] | Event] = [(100, END), turn("t1")]
    assert after(*asked, (100, every)).again(0, ("t1",)) == [(100, QUIET)]
    assert after(*asked, (100, other)).again(0, ("t1",)) == [(100, END)]
    ends = after(*asked, answer("t1"), ended("lost"))
    ends.interrupted(other)
    ends.interrupted(one)
    assert ends.again(0, ("t1",)) == [(100, QUIET)]
    assert after((100, every), *asked).again(0, ("t1",)) == [(100, END)], "that was asked for later"


def test_what_is_too_old_to_be_heard_is_forgotten() -> None:
    ends = after((100, END), (200, LATER))
    ends.forget(before=99)
    assert [place for place, _ in ends.again(0, ())] == [100, 200]
    ends.forget(before=100)
    assert [place for place, _ in ends.again(0, ())] == [200]
