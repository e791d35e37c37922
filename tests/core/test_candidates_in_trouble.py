"""Which backend is tried next, when all of them are in trouble."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.fault import Fault
from voicebridge.core.candidates import Candidates, Choice
from voicebridge.core.retry import RetryPolicy


def fault(category: Any = "network", *, retryable: bool = True, **more: Any) -> Fault:
    return Fault(category=category, message="As planned.", retryable=retryable, **more)


def fails(candidates: Candidates[str], name: str, problem: Fault, now: float = 0.0) -> Choice[str] | None:
    """It fails as soon as it is dialled."""
    return candidates.after(name, problem, lasted_s=None, now=now)


def two() -> Candidates[str]:
    return Candidates(["a", "b"], RetryPolicy(), lambda: 0.5)


def test_one_that_cools_is_better_than_nobody() -> None:
    candidates = two()
    assert fails(candidates, "a", fault()) == Choice("b")
    assert fails(candidates, "b", fault(), 0.1) == Choice("a", 0.05), "after a moment, not after its ten seconds"


@pytest.mark.parametrize(
    "problem",
    [
        fault("quota"),
        fault("auth"),
        fault("config"),
        fault("rate", retry_after_s=60.0),
        fault("protocol", retryable=False),
    ],
    ids=lambda problem: problem.category,
)
def test_one_that_another_try_does_not_help_is_not(problem: Fault) -> None:
    candidates = two()
    assert fails(candidates, "a", problem) == Choice("b")
    assert fails(candidates, "b", fault(), 0.1) == Choice("b", 0.05)


def test_one_that_asked_for_a_while_is_given_it() -> None:
    candidates = two()
    assert fails(candidates, "a", fault("rate", retry_after_s=5.0)) == Choice("b")
    assert fails(candidates, "b", fault("quota"), 1.0) == Choice("a", 4.0)


def test_nobody_is_tried_for_ever() -> None:
    candidates, now, tries = two(), 0.0, 0
    choice: Choice[str] | None = Choice("a")
    while choice is not None:
        now += choice.wait_s
        tries += 1
        choice = fails(candidates, choice.candidate, fault(), now)
    assert tries <= 2 * (RetryPolicy().tries + 1)
    assert now <= RetryPolicy().deadline_s


def test_the_one_that_carries_the_call_is_well_again() -> None:
    candidates = two()
    fails(candidates, "a", fault("quota"))
    assert candidates.other(("b",), 1.0) is None
    candidates.well("a")
    assert candidates.other(("b",), 1.0) == "a"


def test_the_spare_one_is_not_one_that_can_not_help() -> None:
    candidates = two()
    fails(candidates, "a", fault())
    assert candidates.other(("b",), 1.0) is None
    assert candidates.spare(("b",), 0.0) == "a"
    fails(candidates, "a", fault("quota"), 1.0)
    assert candidates.spare(("b",), 2.0) is None


def test_one_that_loses_the_call_again_and_again_is_left_where_another_one_is_well() -> None:
    candidates = two()
    chosen = [candidates.after("a", fault(), lasted_s=6.0, now=at) for at in (6.0, 12.0, 18.0)]
    assert chosen == [Choice("a", 0.05), Choice("a", 0.05), Choice("b")]
    assert candidates.returns_at("b") == 28.0
    assert candidates.after("a", fault(), lasted_s=6.0, now=34.0) == Choice("b")
    assert candidates.returns_at("b") == 54.0, "longer each time"


def test_drops_that_are_far_apart_are_none_too_many() -> None:
    candidates = two()
    assert {candidates.after("a", fault(), lasted_s=30.0, now=31.0 * n) for n in range(1, 50)} == {Choice("a", 0.05)}


def test_planned_ends_are_no_drops() -> None:
    candidates = two()
    ends = [candidates.after("a", fault("planned_end"), lasted_s=6.0, now=6.0 * n) for n in range(1, 50)]
    assert set(ends) == {Choice("a", 0.05)}


def test_one_that_is_alone_and_loses_the_call_for_ever_is_given_up() -> None:
    alone = Candidates(["a"], RetryPolicy(), lambda: 0.5)
    chosen = [alone.after("a", fault(), lasted_s=6.0, now=6.0 * n) for n in range(1, 11)]
    assert chosen == [Choice("a", 0.05)] * 9 + [None]
    patient = Candidates(["a"], RetryPolicy(most_drops=100), lambda: 0.5)
    assert [patient.after("a", fault(), lasted_s=6.0, now=6.0 * n) for n in range(1, 50)] == [Choice("a", 0.05)] * 49
    rarely = Candidates(["a"], RetryPolicy(), lambda: 0.5)
    assert [rarely.after("a", fault(), lasted_s=60.0, now=67.0 * n) for n in range(1, 50)] == [Choice("a", 0.05)] * 49
