"""From where the user is heard again: after the last turn that is told as text."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.events import Event, InputTranscript, UserTurn
from voicebridge.contract.fault import Fault
from voicebridge.core.replay_point import ReplayPoint

Phase = Literal["speech", "pause", "committed", "discarded"]
FAULT = Fault(category="content", message="Not understood.")


def turn(name: str, phase: Phase, ms: float) -> UserTurn:
    return UserTurn(turn_id=name, phase=phase, audio_ms=ms)


def text(name: str, *, final: bool = True, fault: Fault | None = None) -> InputTranscript:
    return InputTranscript(turn_id=name, text="words", final=final, fault=fault)


def after(*events: Event, transcribes: bool = True) -> tuple[float, tuple[str, ...]]:
    point = ReplayPoint(transcribes=transcribes)
    for event in events:
        point.happened(event)
    return point.ms, point.unwritten


def test_a_turn_is_heard_again_until_its_text_is_final() -> None:
    begun = [turn("t1", "speech", 100), text("t1", final=False), turn("t1", "pause", 700)]
    committed = [*begun, turn("t1", "committed", 900)]
    assert after() == (0, ())
    assert after(*begun) == (0, ("t1",))
    assert after(*committed) == (0, ("t1",))
    assert after(*committed, text("t1", final=False)) == (0, ("t1",))
    assert after(*committed, text("t1", fault=FAULT)) == (0, ("t1",))
    assert after(*committed, text("t1")) == (900, ())
    assert after(*committed, text("t1"), turn("t2", "speech", 1500)) == (900, ("t2",))


def test_text_that_is_final_before_the_turn_is_over() -> None:
    assert after(text("t1")) == (0, ("t1",)), "its end is not known: it is heard again and not told"
    assert after(text("t1"), turn("t1", "committed", 900)) == (900, ())


def test_no_turn_before_one_that_is_told_is_heard() -> None:
    two = [turn("t1", "committed", 900), turn("t2", "committed", 1900)]
    assert after(*two) == (0, ("t1", "t2"))
    assert after(*two, text("t1")) == (900, ("t2",))
    assert after(*two, text("t2")) == (1900, ())
    assert after(*two, text("t2"), text("t1", final=False)) == (1900, ()), "nor is it open again"
    assert after(*two, text("t2"), text("t1")) == (1900, ())


def test_a_turn_that_was_discarded_is_over() -> None:
    assert after(turn("t1", "speech", 0), turn("t1", "discarded", 500)) == (500, ())
    assert after(turn("t1", "committed", 500), turn("t2", "discarded", 900)) == (0, ("t1",))
    assert after(turn("t1", "discarded", 500), text("t1")) == (500, ())


def test_without_texts_a_committed_turn_was_heard() -> None:
    assert after(turn("t1", "committed", 500), transcribes=False) == (500, ())
    assert after(turn("t1", "committed", 500), text("t1"), transcribes=False) == (500, ())


def test_time_does_not_go_back() -> None:
    assert after(turn("t1", "discarded", 500), turn("t2", "discarded", 300)) == (500, ())


def test_a_new_backend_begins_anew() -> None:
    point = ReplayPoint(transcribes=True)
    for event in (turn("t1", "committed", 500), text("t1"), turn("t2", "committed", 900), turn("t3", "speech", 950)):
        point.happened(event)
    point.restart(700)
    assert (point.ms, point.unwritten) == (700, ())
    point.happened(turn("t1", "committed", 800))
    assert (point.ms, point.unwritten) == (700, ("t1",)), "the same name is another turn there"


NAMES = ["t1", "t2", "t3", "t4"]


@given(st.permutations(NAMES), st.integers(0, 4), st.integers(0, 4))
def test_in_any_order_of_texts(order: list[str], committed: int, texts: int) -> None:
    point = ReplayPoint(transcribes=True)
    for number, name in enumerate(NAMES[:committed]):
        point.happened(turn(name, "committed", (number + 1) * 100))
    written = [name for name in order if name in NAMES[:committed]][:texts]
    for name in written:
        point.happened(text(name))
    last = max((NAMES.index(name) + 1 for name in written), default=0)
    assert point.ms == last * 100
    assert point.unwritten == tuple(NAMES[last:committed])


def test_turns_under_way_are_abandoned_once() -> None:
    point = ReplayPoint(transcribes=True)
    for event in (turn("t1", "committed", 500), turn("t2", "speech", 600)):
        point.happened(event)
    assert point.abandon() == ("t2",)
    assert point.abandon() == ()
    assert (point.ms, point.unwritten) == (0, ("t1",))
