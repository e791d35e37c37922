"""When a call moves: the moments that are right."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from voicebridge.core.handover_effects import Close, GiveUp, Moment

from .handover_driver import AGENT, BUSY, DROP, END, NO_KEY, PLAYING, POLICY, QUIET, USER, Driver


def serving(*candidates: str) -> Driver:
    d = Driver(*candidates)
    d.is_ready(1)
    return d


# A known end


@pytest.mark.parametrize(("in_s", "lead_s"), [(3600.0, 60.0), (300.0, 30.0), (20.0, 5.0)])
def test_the_next_one_is_made_before_a_known_end(in_s: float, lead_s: float) -> None:
    d = serving("a")
    d.expires(in_s)
    d.passes(in_s - lead_s - 0.1)
    assert list(d.open) == [1]
    d.passes(0.2)
    assert list(d.open) == [1, 2]
    d.is_ready(2)
    assert d.flips[-1] == (d.now, "a", "expiry")
    assert list(d.open) == [2]
    d.passes(3600)
    assert len(d.flips) == 2, "the new one has a time of its own"


def test_one_that_says_goodbye_is_followed_at_once() -> None:
    d = serving("a")
    d.passes(1000)
    d.expires(50)
    d.passes(0)
    assert list(d.open) == [1, 2]


def test_a_known_end_waits_for_a_boundary_then_for_the_answer_then_for_nobody() -> None:
    def until(moment: Moment) -> float:
        d = serving("a")
        d.passes(100)
        d.hears(moment)
        d.expires(40)
        d.passes(1)
        d.is_ready(2)
        begun = d.now - 1
        d.passes(40)
        return d.flips[1][0] - begun

    assert until(QUIET) == 1
    assert until(USER) == pytest.approx(20), "half of the notice"
    assert until(PLAYING) == pytest.approx(20)
    assert until(AGENT) == pytest.approx(38), "just before the end"


@pytest.mark.parametrize("moment", [USER, AGENT, PLAYING])
def test_a_boundary_is_taken_when_it_comes(moment: Moment) -> None:
    d = serving("a")
    d.passes(100)
    d.hears(moment)
    d.expires(40)
    d.passes(1)
    d.is_ready(2)
    d.passes(5)
    assert len(d.flips) == 1
    d.hears(QUIET)
    assert d.flips[1:] == [(d.now, "a", "expiry")]


def test_a_plan_that_fails_is_made_again_while_there_is_time() -> None:
    d = serving("a")
    d.passes(100)
    d.expires(40)
    d.passes(0)
    for attempt in (2, 3, 4):
        assert list(d.open) == [1, attempt]
        d.fails(attempt)
        assert not d.over
        d.passes(6)
    d.is_ready(5)
    assert [reason for _, _, reason in d.flips] == ["failover", "expiry"]


def test_one_that_ends_before_the_next_is_ready_is_followed_by_that() -> None:
    d = serving("a")
    d.passes(100)
    d.expires(40)
    d.passes(0)
    d.fails(1, END)
    assert list(d.open) == [2]
    d.is_ready(2)
    assert d.flips[-1] == (d.now, "a", "expiry")


def test_an_end_that_is_told_again_does_not_make_the_timer_spin() -> None:
    d = serving("a")
    d.passes(100)
    for _ in range(5):
        d.expires(40)
        d.passes(1)
    assert list(d.open) == [1, 2]
    d.hears(AGENT)
    d.is_ready(2)
    d.expires(5)
    d.passes(5)
    assert d.flips[1][0] == pytest.approx(d.now - 2), "it ends sooner than was thought"


# What was asked for


def test_a_swap_waits_for_an_answer_but_not_for_the_user() -> None:
    for moment, waits in ((QUIET, False), (USER, False), (PLAYING, False), (AGENT, True)):
        d = serving("a")
        d.hears(moment)
        d.want("x")
        d.is_ready(2)
        assert (len(d.flips) == 1) == waits
        if waits:
            d.passes(9)
            assert len(d.flips) == 1
            d.passes(2)
        assert d.flips[-1][1:] == ("x", "swap")
        assert list(d.open) == [2]


def test_a_swap_that_can_not_be_done_is_refused_and_the_old_one_goes_on() -> None:
    d = serving("a")
    d.want("x")
    d.fails(2, NO_KEY)
    assert (d.refused, d.handover.serving) == ([NO_KEY], "a")
    d.passes(100)
    assert list(d.open) == [1]


def test_a_swap_that_is_refused_does_not_make_it_forget_a_known_end() -> None:
    d = serving("a")
    d.passes(100)
    d.expires(40)
    d.passes(0)
    d.want("x")
    assert list(d.open) == [1, 3]
    d.fails(3, NO_KEY)
    d.passes(0)
    assert d.open == {1: "a", 4: "a"}
    d.is_ready(4)
    assert d.flips[-1][1:] == ("a", "expiry")


def test_of_two_swaps_the_later_one_counts() -> None:
    d = serving("a")
    d.want("x")
    d.want("y")
    assert list(d.open) == [1, 3]
    d.is_ready(3)
    assert d.flips[-1][1:] == ("y", "swap")


def test_the_backend_that_was_left_is_not_returned_to() -> None:
    d = serving("a")
    d.want("x")
    d.is_ready(2)
    d.passes(100)
    assert d.open == {2: "x"}


def test_a_swap_while_nothing_serves() -> None:
    d = serving("a")
    d.passes(10)
    d.fails(1)
    d.want("x")
    d.passes(0.5)
    assert d.open == {2: "x"}, "nobody else is dialled as well"
    d.is_ready(2)
    assert d.flips[-1][1:] == ("x", "swap")


def test_a_swap_while_nothing_serves_that_fails_is_refused_and_another_one_is_dialled() -> None:
    d = serving("a")
    d.passes(10)
    d.fails(1)
    d.want("x")
    d.fails(2)
    assert d.refused == [DROP]
    assert d.open == {3: "a"}


def test_a_rival_that_takes_the_call_leaves_a_swap_to_come() -> None:
    d = serving("a", "b")
    d.passes(10)
    d.fails(1)
    d.want("x")
    d.passes(1)
    assert list(d.open.values()) == ["x", "a"]
    d.is_ready(d.unready()[1])
    assert d.flips[-1][1:] == ("a", "drop")
    d.is_ready(d.unready()[0])
    assert d.flips[-1][1:] == ("x", "swap")


def test_a_swap_does_not_wait_beyond_a_known_end() -> None:
    d = serving("a")
    d.hears(AGENT)
    d.expires(4)
    d.want("x")
    d.is_ready(2)
    d.passes(3)
    assert d.flips[-1] == (102.0, "x", "swap")


def test_a_planned_one_that_never_gets_ready_is_given_up() -> None:
    d = serving("a")
    d.want("x")
    d.passes(29.9)
    assert list(d.open) == [1, 2]
    d.passes(0.2)
    assert list(d.open) == [1]
    assert [fault.code for fault in d.refused] == ["timeout"]


# Knowing too little


def test_one_that_knows_too_little_is_made_anew_a_few_times() -> None:
    d = serving("a")
    d.fits = False
    d.want("x")
    for attempt in (2, 3, 4):
        assert list(d.open) == [1, attempt]
        d.is_ready(attempt)
    assert len(d.flips) == 1
    d.is_ready(5)
    assert d.flips[-1][1:] == ("x", "swap")


def test_one_that_knows_too_little_does_not_replace_one_that_was_lost() -> None:
    d = serving("a")
    d.hears(AGENT)
    d.want("x")
    d.is_ready(2)
    d.fits = False
    d.fails(1)
    assert d.open == {3: "x"}, "it is opened once more, and told everything"
    d.is_ready(3)
    assert d.flips[-1][1:] == ("x", "swap")


# Losses


def test_a_loss_of_one_that_was_well_is_mended_by_the_same() -> None:
    d = serving("a", "b")
    d.passes(10)
    d.fails(1)
    d.passes(0.05)
    assert d.open == {2: "a"}
    d.is_ready(2)
    assert d.flips[-1][1:] == ("a", "drop")


def test_one_that_is_slow_gets_a_rival_and_the_first_that_is_ready_carries_the_call() -> None:
    d = Driver("a", "b")
    d.passes(0.59)
    assert d.open == {1: "a"}
    d.passes(0.02)
    assert d.open == {1: "a", 2: "b"}
    d.is_ready(2)
    assert d.open == {2: "b"}
    assert d.flips == [(d.now, "b", "failover")]


def test_one_that_fails_is_followed_by_the_next_and_returned_to_when_it_is_well() -> None:
    d = Driver("a", "b")
    d.fails(1, BUSY)
    assert d.open == {2: "b"}
    d.is_ready(2)
    d.hears(USER)
    d.passes(9.9)
    assert d.open == {2: "b"}
    d.passes(0.2)
    assert d.open == {2: "b", 3: "a"}
    d.is_ready(3)
    d.passes(60)
    assert len(d.flips) == 1, "it is no hurry"
    d.hears(QUIET)
    assert d.flips[-1][1:] == ("a", "failover")
    assert d.open == {3: "a"}


def test_one_that_is_not_well_yet_is_tried_again_later_and_later() -> None:
    d = Driver("a", "b")
    d.fails(1, BUSY)
    d.is_ready(2)
    tried = []
    for _ in range(5):
        while len(d.open) == 1:
            d.passes(1)
        tried.append(d.now - 100)
        d.fails(d.unready()[0], BUSY)
    gaps = [later - sooner for sooner, later in pairwise(tried)]
    assert tried[0] == pytest.approx(10, abs=1)
    assert gaps == pytest.approx([20, 40, 80, 160], abs=1)


def test_when_nobody_is_left_the_call_is_over() -> None:
    d = Driver("a", "b")
    d.fails(1, NO_KEY)
    d.fails(2, NO_KEY)
    assert d.over == GiveUp(NO_KEY)


def test_a_dial_that_hangs_is_given_up_when_patience_is_over() -> None:
    d = serving("a", "b")
    d.passes(10)
    d.fails(1)
    d.passes(POLICY.deadline_s - 0.1)
    assert d.over is None
    d.passes(0.2)
    assert d.over is not None
    assert d.over.fault.code == "timeout"


def test_an_old_failure_takes_no_patience_from_a_new_one() -> None:
    d = Driver("a", "b")
    d.fails(1, BUSY)
    d.is_ready(2)
    d.passes(30)
    d.is_ready(3)
    d.hears(QUIET)
    assert d.handover.serving == "a"
    d.passes(1)
    d.fails(3)
    d.passes(0)
    assert d.over is None
    assert d.open == {4: "b"}


def test_after_the_end_nothing_happens() -> None:
    d = Driver("a")
    d.fails(1, NO_KEY)
    assert d.handover.due(d.now) == []
    assert d.handover.ready(1, d.now) == [Close(1)]
    assert d.handover.failed(1, DROP, d.now) == []
    assert d.handover.due_at() is None or math.isfinite(d.handover.due_at() or 0)
