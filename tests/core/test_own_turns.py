"""Turns that a recogniser finds itself, and the marks that a cascade puts."""

from __future__ import annotations

from voicebridge.contract.stages import Mark, Transcript, TurnSignal
from voicebridge.core.own_turns import OwnTurns


def shown(told: list[Transcript | TurnSignal]) -> list[object]:
    return [
        told.phase if isinstance(told, TurnSignal) else (told.mark, told.text) if told.final else told.text
        for told in told
    ]


def test_a_turn_with_an_eager_end_that_was_right():
    turns = OwnTurns()
    assert shown(turns.began(120)) == ["speech"]
    assert shown(turns.heard("hello")) == ["hello"]
    assert shown(turns.may_have_ended("hello there", 900, 0.6)) == ["hello there", "eager_end"]
    assert shown(turns.mark(Mark(1))) == [(1, "hello there")]
    assert shown(turns.ended("hello there", 900, 0.9)) == ["end"]
    assert shown(turns.mark(Mark(2, fresh=True, wanted=False))) == []
    assert not turns.cuts
    assert shown(turns.began(2000)) == ["speech"]


def test_signals_carry_place_and_confidence():
    turns = OwnTurns()
    assert turns.began(120) == [TurnSignal("speech", 120)]
    turns.heard("hi")
    assert turns.may_have_ended("hi", 700, 0.4) == [TurnSignal("eager_end", 700, 0.4)]
    assert turns.goes_on(1000) == [TurnSignal("resumed", 1000)]
    assert turns.ended("hi you", 1500, 0.8) == [TurnSignal("end", 1500, 0.8)]


def test_marks_that_come_late_get_the_turn_that_they_are_about():
    """The vendor has told all of this before the cascade's marks are read."""
    turns = OwnTurns()
    turns.began(0)
    turns.may_have_ended("one", 500)
    turns.ended("one", 500)
    turns.began(1000)
    turns.heard("two and")
    assert shown(turns.mark(Mark(1))) == [(1, "one")]
    assert shown(turns.mark(Mark(2, fresh=True, wanted=False))) == []
    turns.ended("two and more", 2000)
    assert shown(turns.mark(Mark(3, fresh=True))) == [(3, "two and more")]


def test_two_turns_that_ended_before_their_marks_are_read():
    turns = OwnTurns()
    for text in ("one", "two"):
        turns.began(0)
        turns.ended(text, 100)
    assert shown(turns.mark(Mark(1, fresh=True))) == [(1, "one")]
    assert shown(turns.mark(Mark(2, fresh=True))) == [(2, "two")]


def test_a_command_cuts_a_turn_and_the_vendor_ends_it():
    turns = OwnTurns()
    turns.began(0)
    turns.heard("please sto")
    assert turns.mark(Mark(1, fresh=True)) == []
    assert turns.cuts
    assert turns.heard("please stop") == []
    assert turns.may_have_ended("please stop", 500) == []
    assert shown(turns.ended("please stop", 500)) == [(1, "please stop")], "and no signal: that turn is over"
    assert not turns.cuts
    assert shown(turns.began(900)) == ["speech"]


def test_a_discarded_turn_is_cut_and_told_to_nobody():
    turns = OwnTurns()
    turns.began(0)
    turns.heard("forget")
    assert turns.mark(Mark(1, fresh=True, wanted=False)) == []
    assert turns.cuts
    assert turns.ended("forget this", 500) == []
    turns.began(900)
    turns.ended("but not that", 1500)
    assert shown(turns.mark(Mark(2, fresh=True))) == [(2, "but not that")]


def test_where_nothing_is_said_nothing_is_cut():
    turns = OwnTurns()
    assert turns.mark(Mark(0, fresh=True, wanted=False)) == []
    assert not turns.cuts
    assert shown(turns.began(10)) == ["speech"]


def test_a_vendor_that_does_not_end_the_turn_is_given_up():
    turns = OwnTurns()
    turns.began(0)
    turns.heard("as far as this")
    turns.mark(Mark(1, fresh=True))
    assert shown(turns.give_up()) == [(1, "as far as this")]
    assert turns.heard("as far as this and on") == []
    assert turns.may_have_ended("as far as this and on", 800) == []
    assert turns.ended("as far as this and on", 900) == []
    assert shown(turns.began(2000)) == ["speech"]
    turns.ended("new", 2500)
    assert shown(turns.mark(Mark(2, fresh=True))) == [(2, "new")]


def test_turns_by_hand_are_joined_and_told_without_signals():
    turns = OwnTurns(manual=True)
    assert turns.began(0) == []
    assert shown(turns.heard("one")) == ["one"]
    assert turns.ended("one", 500) == []
    turns.began(900)
    assert shown(turns.heard("two")) == ["one two"]
    turns.mark(Mark(1, fresh=True))
    assert turns.cuts
    assert shown(turns.ended("two three", 1500)) == [(1, "one two three")]
    turns.mark(Mark(2, fresh=True))
    assert shown(turns.give_up()) == [(2, "")]


def test_an_end_without_a_beginning_is_a_turn_all_the_same():
    turns = OwnTurns()
    assert shown(turns.ended("hi", 400)) == ["speech", "end"]
    assert shown(turns.mark(Mark(1, fresh=True))) == [(1, "hi")]
    assert turns.ended("", 800) == [], "nothing was said"


def test_an_empty_turn_is_ended_too():
    turns = OwnTurns()
    turns.began(0)
    assert shown(turns.ended("", 100)) == ["end"]
    assert shown(turns.mark(Mark(1, fresh=True))) == [(1, "")]


def test_fresh_marks_in_a_row_each_get_the_turn_that_was_ended_for_them():
    turns = OwnTurns()
    turns.began(0)
    turns.mark(Mark(1, fresh=True))
    turns.mark(Mark(2, fresh=True))
    assert turns.cuts == 2
    assert turns.mark(Mark(3)) == [], "answers come in order, and this one would not"
    assert shown(turns.ended("one", 500)) == [(1, "one")]
    assert turns.began(500) == []
    assert shown(turns.ended("two", 900)) == [(2, "two")]
    assert turns.cuts == 0


def test_a_mark_before_the_vendor_is_sure_waits_until_it_is():
    turns = OwnTurns()
    turns.began(0)
    turns.heard("as far")
    assert turns.mark(Mark(1)) == []
    assert turns.asks
    assert shown(turns.may_have_ended("as far as this", 500)) == ["as far as this", (1, "as far as this"), "eager_end"]
    assert not turns.asks


def test_without_audio_there_is_nothing_to_wait_for():
    turns = OwnTurns()
    assert shown(turns.mark(Mark(1, fresh=True), audio=False)) == [(1, "")]
    assert turns.cuts == 0
    turns.ended("late", 100)
    assert shown(turns.mark(Mark(2, fresh=True), audio=False)) == [(2, "late")]


def test_where_a_detector_finds_the_turns_pieces_of_one_are_joined():
    """Nobody heeds the signals: the vendor's turns end in pauses that the detector bridges."""
    turns = OwnTurns()
    turns.began(0)
    turns.ended("one", 500, now=1.0)
    turns.began(1500)
    turns.heard("two")
    assert turns.mark(Mark(1), now=3.0) == [], "what was heard lags behind"
    assert turns.mark(Mark(2, fresh=True, wanted=False), now=3.2) == []
    assert turns.cuts == 1
    assert shown(turns.ended("two three", 2500, now=3.3)) == [(1, "one two three")]
    turns.began(5000)
    turns.ended("four", 5500, now=6.0)
    assert shown(turns.mark(Mark(3, fresh=True), now=7.0)) == [(3, "four")]
    assert turns.cuts == 0
    turns.began(8000)
    turns.ended("five", 8500, now=9.0)
    assert turns.mark(Mark(4, fresh=True, wanted=False), now=9.9) == []
    turns.began(9000)
    turns.ended("six", 9500, now=11.0)
    assert shown(turns.mark(Mark(5, fresh=True), now=11.0)) == [(5, "six")]
