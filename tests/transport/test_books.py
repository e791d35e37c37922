"""The books of a session: what a codec says twice is told once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.events import (
    CommandSettled,
    Event,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
)
from voicebridge.transport.books import Books


def started(name: str = "r1") -> ResponseStarted:
    return ResponseStarted(response_id=name, cause="request")


def ended(name: str = "r1") -> ResponseEnded:
    return ResponseEnded(response_id=name, status="completed")


def audio(name: str = "r1") -> OutputAudio:
    return OutputAudio(response_id=name, pcm=b"\x00\x00", offset_ms=0)


def settled(name: str) -> CommandSettled:
    return CommandSettled(command_id=name)


def test_each_command_is_settled_once_and_none_that_was_not_given() -> None:
    books = Books()
    books.commands.update({"c1": None, "c2": None})
    assert [books.admit(settled(name)) for name in ("c2", "c2", "c3", "c1")] == [True, False, False, True]
    assert books.commands == {}
    assert books.dropped == Counter(settled_twice=2)


def test_each_response_starts_once_and_ends_once() -> None:
    books = Books()
    told = [ended(), started(), started(), started("r2"), ended(), ended(), ended("r2")]
    assert [books.admit(event) for event in told] == [False, True, False, True, True, False, True]
    assert books.responses == {}
    assert books.dropped == Counter(ended_twice=2, started_twice=1)


def test_audio_is_heard_while_its_response_runs() -> None:
    books = Books()
    told = [audio(), started(), audio(), audio("r2"), ended(), audio()]
    assert [books.admit(event) for event in told] == [False, True, True, False, True, False]
    assert books.dropped == Counter(late_audio=3)


def test_who_was_silenced_is_not_heard_again() -> None:
    books = Books()
    for name in ("r1", "r2"):
        books.admit(started(name))
    books.silence("r1")
    books.silence("nobody")
    assert [books.admit(audio("r1")), books.admit(audio("r2"))] == [False, True]
    assert not books.admit(started("r1")), "starting twice gives no voice back"
    assert not books.admit(audio("r1"))
    books.silence(None)
    assert not books.admit(audio("r2"))
    assert [books.admit(ended("r1")), books.admit(ended("r2"))] == [True, True]
    books.admit(started("r3"))
    assert books.admit(audio("r3")), "what starts later was not meant"


NAMES = st.sampled_from(["r1", "r2", "r3"])
TOLD = st.builds(started, NAMES) | st.builds(ended, NAMES) | st.builds(audio, NAMES) | st.builds(settled, NAMES) | NAMES


@given(st.lists(TOLD, max_size=40))
def test_whatever_a_codec_says(steps: list[Event | str]) -> None:
    """A name silences that response."""
    books, told = Books(), list[Event]()
    books.commands["r1"] = None
    silenced: set[str] = set()
    for step in steps:
        if isinstance(step, str):
            books.silence(step)
            silenced |= {step} & set(books.responses)
        elif books.admit(step):
            told.append(step)
            if isinstance(step, ResponseStarted):
                silenced.discard(step.response_id)
            elif isinstance(step, OutputAudio):
                assert step.response_id not in silenced
    assert len(told) + books.dropped.total() == len([step for step in steps if not isinstance(step, str)])
    for name in ("r1", "r2", "r3"):
        bounds = [e for e in told if isinstance(e, ResponseStarted | ResponseEnded) and e.response_id == name]
        kinds = [type(event) for event in bounds]
        assert kinds == [ResponseStarted, ResponseEnded] * (len(kinds) // 2) + [ResponseStarted] * (len(kinds) % 2)
        assert (name in books.responses) == (len(kinds) % 2 == 1)
    assert sum(isinstance(event, CommandSettled) for event in told) <= 1


def test_other_events_pass() -> None:
    assert Books().admit(OutputText(response_id="nobody", delta="Hi"))
