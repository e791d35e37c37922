"""Who is dialled when one fails: cool-downs, returns, and when nobody is left."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.fault import Fault
from voicebridge.core.candidates import Candidates, Choice
from voicebridge.core.retry import RetryPolicy

POLICY = RetryPolicy()


def fault(category: Any, *, retry_after_s: float | None = None) -> Fault:
    retryable = category not in ("auth", "config", "unsupported", "quota")
    return Fault(category=category, message="It failed.", retryable=retryable, retry_after_s=retry_after_s)


def candidates(*names: str) -> Candidates[str]:
    return Candidates(names, POLICY, lambda: 0.5)


def cooled_s(one: Fault, *, times: int = 1) -> float:
    """How long the preferred one is left alone after its last failure of several."""
    some = candidates("a", "b")
    for _ in range(times):
        some.cool("a", one, 1000.0)
    at = some.returns_at("b")
    return math.inf if at is None else at - 1000.0


@pytest.mark.parametrize(
    ("one", "seconds"),
    [
        (fault("network"), 10),
        (fault("busy"), 10),
        (fault("protocol"), 10),
        (fault("rate", retry_after_s=25), 25),
        (fault("rate", retry_after_s=2), 10),
        (fault("quota"), 600),
        (fault("auth"), math.inf),
        (fault("config"), math.inf),
        (fault("unsupported"), math.inf),
    ],
)
def test_how_long_one_is_left_alone(one: Fault, seconds: float) -> None:
    assert cooled_s(one) == seconds


def test_each_time_it_is_longer_up_to_a_bound() -> None:
    assert [cooled_s(fault("busy"), times=n) for n in range(1, 9)] == [10, 20, 40, 80, 160, 300, 300, 300]


def test_one_that_was_well_for_a_while_begins_anew() -> None:
    some = candidates("a", "b")
    for _ in range(4):
        some.cool("a", fault("busy"), 0.0)
    assert some.after("a", fault("busy"), lasted_s=60, now=1000.0) == Choice("b")
    assert some.returns_at("b") == 1010.0


@pytest.mark.parametrize("category", ["network", "planned_end", "closed"])
def test_a_lost_connection_is_made_again_to_one_that_was_well(category: str) -> None:
    assert candidates("a", "b").after("a", fault(category), lasted_s=60, now=0.0) == Choice("a", 0.05)
    assert candidates("a", "b").after("a", fault(category), lasted_s=1, now=0.0) == Choice("b"), "it had its chance"
    assert candidates("a", "b").after("a", fault(category), lasted_s=None, now=0.0) == Choice("b")


def test_one_that_is_alone_is_tried_as_long_as_patience_lasts() -> None:
    some = candidates("a")
    waits = [some.after("a", fault("busy"), lasted_s=None, now=0.0) for _ in range(6)]
    assert waits == [Choice("a", 0.05), Choice("a", 0.1), Choice("a", 0.2), Choice("a", 0.4), None, None]
    assert candidates("a").after("a", fault("auth"), lasted_s=60, now=0.0) is None


def test_when_all_are_cooling_one_that_another_try_may_help_is_tried_until_patience_is_over() -> None:
    some, tried = candidates("a", "b"), []
    failed: str | None = "a"
    while failed is not None:
        choice = some.after(failed, fault("busy"), lasted_s=None, now=4.0)
        failed = None if choice is None else choice.candidate
        tried.append(failed)
    assert len(tried) < 15
    assert {*tried} == {"a", "b", None}


def test_a_server_that_wants_to_be_left_alone_for_long_is_not_waited_for() -> None:
    some = candidates("a", "b")
    assert some.after("a", fault("rate", retry_after_s=30), lasted_s=None, now=0.0) == Choice("b")
    assert some.after("b", fault("rate", retry_after_s=30), lasted_s=None, now=1.0) is None, "nobody holds the line"
    some = candidates("a", "b")
    assert some.after("a", fault("rate", retry_after_s=5), lasted_s=None, now=0.0) == Choice("b")
    assert some.after("b", fault("rate", retry_after_s=30), lasted_s=None, now=1.0) == Choice("a", 4.0)


def test_those_that_are_out_never_come_back() -> None:
    some = candidates("a", "b")
    assert some.after("a", fault("auth"), lasted_s=None, now=0.0) == Choice("b")
    assert some.returns_at("b") is None
    assert some.other((), 1e9) == "b"
    assert some.after("b", fault("config"), lasted_s=None, now=1e9) is None


def test_nobody_returns_to_the_one_that_serves() -> None:
    some = candidates("a", "b")
    assert some.returns_at("a") is None
    assert some.returns_at("b") == 0.0


def test_of_those_that_stay_what_is_known_stays_known() -> None:
    some = candidates("a", "b", "c")
    some.cool("a", fault("auth"), 0.0)
    some.cool("b", fault("busy"), 0.0)
    some.replace(["x", "b", "c"])
    assert some.preferred == "x"
    assert some.other(["x"], 1.0) == "c"
    assert some.other(["x"], 11.0) == "b"
    assert some.after("a", fault("busy"), lasted_s=None, now=1.0) == Choice("x"), "it is none of them any more"


def test_one_that_is_none_of_them_and_all_are_cooling() -> None:
    some = candidates("a", "b")
    some.cool("a", fault("rate", retry_after_s=6), 0.0)
    some.cool("b", fault("quota"), 0.0)
    assert some.after("x", fault("busy"), lasted_s=None, now=4.0) == Choice("a", 2.0)


def test_several_are_given_up_by_the_trouble_and_one_alone_by_its_patience() -> None:
    assert candidates("a", "b").give_up_at(100.0) == 108.0
    alone = candidates("a")
    assert alone.give_up_at(100.0) == math.inf, "a first dial has its own time-outs"
    alone.after("a", fault("busy"), lasted_s=None, now=90.0)
    assert alone.give_up_at(100.0) == 98.0


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["network", "busy", "rate", "quota", "auth", "planned_end"]),
            st.sampled_from([None, 0.5, 60.0]),
            st.floats(0, 30),
        ),
        max_size=30,
    )
)
def test_whoever_is_chosen_is_well_or_waited_for(failures: list[tuple[str, str, float | None, float]]) -> None:
    some, now = candidates("a", "b", "c"), 0.0
    out: set[str] = set()
    for failed, category, lasted_s, passed_s in failures:
        now += passed_s
        if lasted_s is not None:  # it carried the call
            some.well(failed)
            out.discard(failed)
        choice = some.after(failed, fault(category), lasted_s=lasted_s, now=now)
        out |= {failed} if category == "auth" else set()
        if choice is None:
            assert some.other((), now) is None, "somebody is well"
            continue
        assert choice.candidate not in out
        assert 0 <= choice.wait_s <= POLICY.deadline_s
        assert choice.candidate != failed or choice.wait_s > 0
