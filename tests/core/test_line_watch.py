"""The line watch: each row of its table."""

from __future__ import annotations

from voicebridge.core.line_watch import LineWatch


def looks(
    watch: LineWatch, times: list[float], under_way: int = 1000, arrived: int = 0, *, deaf: bool = False
) -> list[str]:
    return [news for now in times if (news := watch.look(under_way, arrived, now, deaf=deaf))]


def every_quarter(start: float, end: float) -> list[float]:
    return [start + step / 4 for step in range(int((end - start) * 4) + 1)]


def test_a_line_on_which_nothing_arrives_is_told_of_once() -> None:
    watch = LineWatch()
    assert looks(watch, every_quarter(0.0, 2.25)) == []
    assert looks(watch, every_quarter(2.5, 20.0)) == ["stalled"]
    assert watch.since == 0.0


def test_while_more_arrives_it_is_well() -> None:
    watch = LineWatch()
    for arrived, now in enumerate(every_quarter(0.0, 20.0)):
        assert watch.look(1000, arrived, now) == ""


def test_nothing_under_way_is_well() -> None:
    watch = LineWatch()
    assert looks(watch, every_quarter(0.0, 20.0), under_way=0) == []
    assert looks(watch, every_quarter(20.25, 22.5)) == [], "time counts from when something is"
    assert looks(watch, [22.75]) == ["stalled"]


def test_it_recovers_and_may_stall_again() -> None:
    watch = LineWatch()
    assert looks(watch, every_quarter(0.0, 5.0)) == ["stalled"]
    assert looks(watch, [5.25], arrived=10) == ["recovered"]
    assert not watch.stalled
    assert looks(watch, every_quarter(5.5, 10.0), arrived=10) == ["stalled"]
    assert looks(watch, [10.25], under_way=0, arrived=10) == ["recovered"]


def test_time_in_which_nobody_could_hear_does_not_count() -> None:
    watch = LineWatch()
    assert looks(watch, [0.0, 60.0]) == [], "the loop stood still"
    assert looks(watch, every_quarter(60.25, 90.0), deaf=True) == []
    assert looks(watch, every_quarter(90.25, 91.5)) == []
    assert looks(watch, every_quarter(91.75, 93.0)) == ["stalled"]
