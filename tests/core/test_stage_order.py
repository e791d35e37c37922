"""Which stage of a seat works: a pure policy, second by second."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.fault import Category, Fault
from voicebridge.core.stage_order import StageOrder


def fault(category: Category = "network", *, retryable: bool = True, **more: Any) -> Fault:
    return Fault(category=category, message="As planned.", retryable=retryable, **more)


def order(count: int = 3) -> StageOrder:
    return StageOrder(count, lambda: 1.0)


def test_each_takes_over_from_the_one_before_it_and_each_is_tried_once() -> None:
    work = order().begin(0.0)
    assert work is not None
    seen = [work.stage]
    while work.failed(fault(), 0.0, begun=True) is not None:
        seen.append(work.stage)
    assert seen == [0, 1, 2]


def test_one_that_failed_is_left_alone_longer_each_time_until_it_is_well() -> None:
    stages = order(2)
    for cool_s in (10, 20, 40):
        stages.cool(0, fault(), 100.0)
        assert stages.best(100.0 + cool_s - 0.1) == 1
        assert stages.best(100.0 + cool_s) == 0
    stages.well(0)
    stages.cool(0, fault(), 200.0)
    assert stages.best(210.0) == 0


@pytest.mark.parametrize(
    ("what", "until"),
    [
        (fault("rate", retry_after_s=45.0), 45.0),
        (fault("quota", retryable=False), 600.0),
        (fault("busy"), 10.0),
        (fault("auth", retryable=False), None),
        (fault("config", retryable=False), None),
    ],
)
def test_how_long_depends_on_what_was_wrong(what: Fault, until: float | None) -> None:
    stages = order(2)
    stages.cool(0, what, 0.0)
    assert stages.best(1e9 if until is None else until - 0.1) == 1
    assert until is None or stages.best(until) == 0


def test_when_all_are_cooling_the_first_that_has_hope_is_tried() -> None:
    stages = order(3)
    stages.cool(0, fault("auth", retryable=False), 0.0)
    stages.cool(1, fault(), 0.0)
    stages.cool(2, fault(), 0.0)
    assert stages.best(0.0) == 1
    alone = order(1)
    alone.cool(0, fault("auth", retryable=False), 0.0)
    assert alone.best(0.0) == 0, "there is nobody else: let it say so itself"


def test_what_was_refused_for_what_was_said_goes_nowhere_else() -> None:
    stages = order(2)
    work = stages.begin(0.0)
    assert work is not None
    assert work.failed(fault("content"), 0.0, begun=False) is None
    assert stages.best(0.0) == 0


def test_only_some_may_do_it() -> None:
    stages = order(3)
    work = stages.begin(0.0, among=[1])
    assert work is not None
    assert work.stage == 1
    assert not work.another(0.0)
    assert stages.begin(0.0, among=[]) is None


def test_one_that_is_alone_is_tried_twice_more_within_four_seconds_of_the_question() -> None:
    work = order(1).begin(0.0)
    assert work is not None
    assert work.failed(fault(), 1.0, begun=False) == pytest.approx(0.2)
    assert work.failed(fault(), 2.0, begun=False) == pytest.approx(0.4)
    assert work.failed(fault(), 2.5, begun=False) is None


@pytest.mark.parametrize(
    ("what", "at", "begun"),
    [
        (fault(), 0.0, True),
        (fault(), 3.9, False),
        (fault(retryable=False), 0.0, False),
        (fault("rate", retry_after_s=4.1), 0.0, False),
    ],
)
def test_but_not_where_something_had_come_of_it_or_it_can_not_help(what: Fault, at: float, begun: bool) -> None:
    work = order(1).begin(0.0)
    assert work is not None
    assert work.failed(what, at, begun=begun) is None


def test_part_of_the_work_done_makes_the_rest_new_work() -> None:
    work = order(1).begin(0.0)
    assert work is not None
    for at in (100.0, 200.0):
        work.asked(at)
        assert work.failed(fault(), at + 1.0, begun=False) is not None
        work.asked(at + 3.9)  # its failures count from the first one
        assert work.failed(fault(), at + 3.9, begun=False) is None
        work.renew(at + 4.0)
