"""What was played between two reports of a player, and before anybody has the audio."""

from __future__ import annotations

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.events import OutputAudio, OutputHeard, ResponseEnded, ResponseStarted
from voicebridge.core.playback_clock import PlaybackClock


def clock_of(ms: float, *, deferred: bool = False) -> PlaybackClock:
    clock = PlaybackClock(DOOR_FORMAT, deferred=deferred)
    clock.happened(ResponseStarted(response_id="r1", cause="user"), 0.0)
    clock.happened(piece(ms), 0.0)
    return clock


def piece(ms: float) -> OutputAudio:
    return OutputAudio(response_id="r1", pcm=bytes(DOOR_FORMAT.size(ms)), offset_ms=0)


def cut(clock: PlaybackClock, now: float) -> float:
    (heard,) = clock.cut(None, {}, now)
    return heard.heard_ms


def reported(clock: PlaybackClock, *reports: tuple[float, float]) -> None:
    for now, ms in reports:
        clock.report("r1", ms, now)


@pytest.mark.parametrize(
    ("reports", "now", "heard_ms"),
    [
        ([(0.1, 100.0)], 0.18, 100.0),  # how often it reports is not known
        ([(0.1, 100.0), (0.2, 200.0)], 0.29, 290.0),
        ([(0.1, 100.0), (0.2, 200.0)], 0.35, 300.0),  # a report is late: no more than an interval
        ([(0.1, 100.0), (0.2, 200.0)], 0.45, 200.0),  # two are missing: it has stopped
        ([(0.1, 100.0), (0.2, 150.0)], 0.29, 200.0),  # it plays more slowly
        ([(0.1, 100.0), (0.2, 400.0)], 0.29, 490.0),  # it reports in steps: time is time
        ([(0.1, 100.0), (0.2, 200.0), (0.3, 200.0)], 0.39, 200.0),  # it stands still, and says so
        ([(0.8, 800.0), (0.95, 950.0)], 1.05, 1000.0),  # there is no more
    ],
)
def test_a_player_goes_on_between_its_reports(reports: list[tuple[float, float]], now: float, heard_ms: float) -> None:
    clock = clock_of(1000)
    reported(clock, *reports)
    assert cut(clock, now) == pytest.approx(heard_ms)


def test_not_while_it_is_paused() -> None:
    clock = clock_of(1000)
    reported(clock, (0.1, 100.0), (0.2, 200.0))
    clock.pause(0.25)
    assert cut(clock, 0.29) == pytest.approx(250.0)


def test_a_later_report_knows_better() -> None:
    clock = clock_of(1000)
    reported(clock, (0.1, 100.0), (0.2, 200.0))
    assert cut(clock, 0.29) == pytest.approx(290.0)
    (told,) = clock.report("r1", 260.0, 0.3)
    assert told.heard_ms == 260.0
    assert clock.report("r1", 260.0, 0.4) == []


def test_how_much_was_heard_by_the_applications_word_stays_that() -> None:
    clock = clock_of(1000)
    reported(clock, (0.1, 100.0), (0.2, 200.0))
    (heard,) = clock.cut(("r1",), {"r1": 210.0}, 0.29)
    assert heard.heard_ms == 210.0


def test_what_nobody_has_taken_is_not_played() -> None:
    clock = clock_of(1000, deferred=True)
    assert clock.happened(ResponseEnded(response_id="r1", status="completed"), 0.0) == []
    assert clock.due_at() is None
    assert clock.audible(60.0) == ("r1",)
    assert clock.left_ms(60.0) == 1000.0
    assert cut(clock, 60.0) == 0.0


def test_it_plays_from_when_it_is_taken() -> None:
    clock = clock_of(1000, deferred=True)
    clock.happened(ResponseEnded(response_id="r1", status="completed"), 0.0)
    assert clock.taken(piece(600), 10.0)
    assert clock.due_at() is None
    assert clock.taken(piece(400), 10.1)
    assert clock.due_at() == pytest.approx(11.0)
    (heard,) = clock.due(11.0)
    assert (heard.heard_ms, heard.basis) == (1000.0, "estimated")


def test_of_what_was_taken_in_part_only_that_can_have_been_played() -> None:
    clock = clock_of(1000, deferred=True)
    clock.taken(piece(300), 10.0)
    assert cut(clock, 60.0) == pytest.approx(300.0)


def test_what_is_dropped_while_it_waits_takes_no_time_from_the_player() -> None:
    clock = clock_of(1000, deferred=True)
    clock.taken(piece(300), 10.0)
    clock.undelivered("r1", 700.0)
    clock.happened(ResponseEnded(response_id="r1", status="completed"), 10.0)
    assert clock.due_at() == pytest.approx(10.3)
    told: list[OutputHeard] = clock.due(10.3)
    assert [heard.heard_ms for heard in told] == [pytest.approx(300.0)]
