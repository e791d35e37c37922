"""When a backend that is there is to be blamed, and what follows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    InputTranscript,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.answer_failures import AnswerFailures


def fault(category: Any = "network", *, retryable: bool = True, **more: Any) -> Fault:
    return Fault(category=category, message="As planned.", retryable=retryable, **more)


def started(response_id: str = "r1", *, aside: bool = False) -> ResponseStarted:
    return ResponseStarted(response_id=response_id, cause="request", aside=aside)


def ended(response_id: str = "r1", status: Any = "failed", problem: Fault | None = None) -> ResponseEnded:
    return ResponseEnded(response_id=response_id, status=status, fault=problem)


def called(response_id: str = "r1") -> ToolCall:
    return ToolCall(response_id=response_id, call_id="c1", name="book", arguments="{}")


def turn(phase: Any, turn_id: str = "t1") -> UserTurn:
    return UserTurn(turn_id=turn_id, phase=phase, audio_ms=0)


def unheard(problem: Fault | None, *, final: bool = True) -> InputTranscript:
    return InputTranscript(turn_id="t1", text="", final=final, fault=problem)


NO_MONEY = fault("quota", retryable=False)
BLAMED: dict[str, tuple[list[Event], Event, bool]] = {
    "an answer failed": ([started()], ended(problem=fault()), True),
    "and nobody said why": ([started()], ended(), True),
    "for want of money": ([started()], ended(problem=NO_MONEY), True),
    "for what was said": ([started()], ended(problem=fault("content")), False),
    "for what it can't do": ([started()], ended(problem=fault("unsupported")), False),
    "it was completed": ([started()], ended(status="completed"), False),
    "it was cut short": ([started()], ended(status="incomplete", problem=fault("content")), False),
    "it was interrupted": ([started()], ended(status="interrupted"), False),
    "an aside failed": ([started(aside=True)], ended(problem=fault()), False),
    "an answer of the name of an aside": (
        [started(aside=True), ended(problem=fault()), started()],
        ended(problem=fault()),
        True,
    ),
    "a turn was not understood": ([turn("speech"), turn("pause")], unheard(fault()), True),
    "a turn was understood": ([turn("speech")], unheard(None), False),
    "a turn was committed before": ([turn("speech"), turn("committed")], unheard(fault()), False),
    "a turn was discarded before": ([turn("speech"), turn("discarded")], unheard(fault()), False),
    "no money": ([], BackendError(fault=NO_MONEY), True),
    "a bad key": ([], BackendError(fault=fault("auth")), True),
    "an unanswered turn": ([], BackendError(fault=fault("busy", code="turn_unanswered")), True),
    "a hiccup": ([], BackendError(fault=fault("network")), False),
    "an answer that had called a tool failed": ([started(), called()], ended(problem=fault()), False),
    "an answer of the name of one that had called a tool": (
        [started(), called(), ended(status="completed"), started()],
        ended(problem=fault()),
        True,
    ),
    "words": ([started()], OutputText(response_id="r1", delta="Hi"), False),
}


@pytest.mark.parametrize("row", BLAMED)
def test_who_is_blamed(row: str) -> None:
    before, event, blamed = BLAMED[row]
    failures = AnswerFailures()
    for earlier in before:
        failures.blamed(earlier)
    problem = failures.blamed(event)
    assert (problem is not None) == blamed
    given_fault = getattr(event, "fault", None)
    assert problem is None or problem == given_fault or given_fault is None


@pytest.mark.parametrize("row", [row for row, (_, _, blamed) in BLAMED.items() if blamed])
def test_another_backend_takes_over(row: str) -> None:
    _, event, _ = BLAMED[row]
    assert AnswerFailures().consequence(event, fault(), another=True) == "move"


@pytest.mark.parametrize(
    ("problem", "consequence"),
    [
        (fault(), "again"),
        (fault("rate", retry_after_s=2.0), "again"),
        (fault("rate", retry_after_s=60.0), None),
        (NO_MONEY, None),
    ],
)
def test_alone(problem: Fault, consequence: str | None) -> None:
    assert AnswerFailures().consequence(ended(problem=problem), problem, another=False) == consequence


def test_alone_nothing_but_an_answer_is_asked_for_again() -> None:
    for event in (unheard(fault()), BackendError(fault=NO_MONEY)):
        assert AnswerFailures().consequence(event, fault(), another=False) is None


class Alone:
    """A backend without another one."""

    def __init__(self) -> None:
        self.failures = AnswerFailures()

    def fails(self) -> str | None:
        self.failures.blamed(started())
        event = ended(problem=fault())
        problem = self.failures.blamed(event)
        assert problem is not None
        return self.failures.consequence(event, problem, another=False)


@pytest.mark.parametrize("between", [ended(status="completed"), ended(status="interrupted"), turn("speech")])
def test_each_answer_is_asked_for_again_once(between: Event) -> None:
    alone = Alone()
    assert [alone.fails(), alone.fails(), alone.fails(), alone.fails()] == ["again", None, "again", None]
    assert alone.fails() == "again"
    alone.failures.blamed(between)
    assert alone.fails() == "again", "that is another answer"


@given(st.lists(st.sampled_from(["fail", "succeed", "speak", "aside"]), max_size=60))
def test_never_twice_in_a_row(happenings: list[str]) -> None:
    alone, told = Alone(), Counter[str | None]()
    before: str | None = None
    for happening in happenings:
        if happening == "fail":
            now = alone.fails()
            told[now] += 1
            assert not (before == now == "again"), "it is not asked for ever"
            before = now
        elif happening == "aside":
            alone.failures.blamed(started("a", aside=True))
            assert alone.failures.blamed(ended("a", problem=fault())) is None
        else:
            alone.failures.blamed(ended(status="completed") if happening == "succeed" else turn("speech"))
            before = None
    assert alone.failures._asides == set()


@pytest.mark.parametrize("category", ["quota", "auth", "rate", "busy", "network"])
def test_what_another_backend_may_be_able_to_do(category: Any) -> None:
    settled = CommandSettled(command_id="c1", fault=fault(category))
    assert AnswerFailures().refused(settled) == settled.fault


@pytest.mark.parametrize("problem", [None, *map(fault, ["config", "unsupported", "content", "protocol", "closed"])])
def test_what_no_other_backend_is_asked_for(problem: Fault | None) -> None:
    assert AnswerFailures().refused(CommandSettled(command_id="c1", fault=problem)) is None
