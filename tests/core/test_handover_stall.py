"""A connection at which nothing arrives: another one is made, and used unless it recovers first."""

from __future__ import annotations

from .handover_driver import AGENT, DROP, Driver


def stalled(*candidates: str) -> Driver:
    d = Driver(*candidates)
    d.is_ready(1)
    d.hears(AGENT)
    d.passes(10)
    d.do(d.handover.stalled(d.now))
    return d


def test_the_next_one_takes_over_as_soon_as_it_is_ready() -> None:
    d = stalled("a")
    assert list(d.open) == [1, 2]
    d.is_ready(2)
    assert d.flips[-1] == (d.now, "a", "drop")
    assert list(d.open) == [2]


def test_one_that_recovers_keeps_the_call() -> None:
    d = stalled("a", "b")
    d.passes(1)
    d.do(d.handover.recovered())
    assert list(d.open) == [1]
    d.passes(100)
    assert len(d.flips) == 1
    d.do(d.handover.stalled(d.now))
    assert list(d.open) == [1, 3]


def test_one_that_dies_meanwhile_is_followed_by_what_is_on_the_way() -> None:
    d = stalled("a")
    d.fails(1)
    assert list(d.open) == [2]
    d.is_ready(2)
    assert d.flips[-1][1:] == ("a", "drop")


def test_where_the_same_backend_can_not_be_had_the_next_try_is_another() -> None:
    d = stalled("a", "b")
    d.fails(2, DROP)
    d.do(d.handover.stalled(d.now))
    assert d.open == {1: "a", 3: "b"}
    d.is_ready(3)
    assert d.flips[-1][1:] == ("b", "failover")


def test_what_somebody_asked_for_comes_at_once() -> None:
    d = Driver("a", "b")
    d.is_ready(1)
    d.hears(AGENT)
    d.want("b")
    d.is_ready(2)
    assert d.serving == 1, "it waits for the answer"
    d.do(d.handover.stalled(d.now))
    assert d.flips[-1][1:] == ("b", "swap")
    assert d.handover.recovered() == []


def test_when_nobody_serves_there_is_nothing_to_leave() -> None:
    d = Driver("a")
    assert d.handover.stalled(d.now) == []
    assert d.handover.recovered() == []
