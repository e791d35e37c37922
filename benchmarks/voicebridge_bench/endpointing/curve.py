"""From outcomes to a curve: for each setting, how many turns were cut into and how long the others waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voicebridge_bench.intervals import Quantile, Rate, quantile, rate

from .trial import Outcome
from .utterances import PAUSES_MS
from .ways import Way

__all__ = ["Point", "point"]


@dataclass(frozen=True, slots=True)
class Point:
    """What one setting of one way does."""

    way: str
    silence_ms: int
    wait_median: Quantile | None
    wait_p90: Quantile | None
    """Milliseconds of silence added behind turns, with 95 % intervals."""
    cut_in: Rate | None
    """Over all pauses that were put in. Clusters: turns of the corpus."""
    cut_in_as_spoken: tuple[int, int]
    by_pause: dict[int, tuple[int, int]]
    """How many of how many, by the milliseconds of the pause."""
    never_ended: int


def point(way: Way, outcomes: Sequence[Outcome], seed: int) -> Point:
    """The figures of one setting."""
    waits = [one.wait_ms for one in outcomes if one.wait_ms is not None]
    paused = [one for one in outcomes if one.pause_ms]
    clusters = {
        turn: (
            float(sum(one.cut_in for one in paused if one.turn == turn)),
            float(sum(one.turn == turn for one in paused)),
        )
        for turn in sorted({one.turn for one in paused})
    }
    by_pause = {pause: _count([one for one in outcomes if one.pause_ms == pause]) for pause in PAUSES_MS}
    return Point(
        way=way.name,
        silence_ms=way.silence_ms,
        wait_median=quantile(waits, 0.5),
        wait_p90=quantile(waits, 0.9),
        cut_in=rate(clusters, seed),
        cut_in_as_spoken=by_pause[0],
        by_pause={pause: found for pause, found in by_pause.items() if pause},
        never_ended=sum(one.wait_ms is None for one in outcomes),
    )


def _count(outcomes: Sequence[Outcome]) -> tuple[int, int]:
    return sum(one.cut_in for one in outcomes), len(outcomes)
