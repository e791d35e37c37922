"""From what the processes saw to the figures of a report. Pure.

Turns are told apart by caller and number: the same ones of two clients drew the same stage times, so differences
between them are paired. A turn without an answer counts as one, and never as a fast one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from voicebridge_bench.intervals import Quantile, quantile
from voicebridge_bench.realtime.figures import Target, doubts, memory_kb
from voicebridge_bench.realtime.plan import Run

from .arms.arm import ARMS, ArmSpec
from .clips import AFTER_SHARP_MS
from .ideal import Path, bound_ms
from .plan import CascadeCell
from .settings import REPLY, ROUND_TRIP_MS, SETTINGS, text_ms
from .stage_log import Turn, drawn, taken

__all__ = ["Row", "faster", "memory", "row_of", "rows", "targets"]

OWN_SILENCE_MS = 500
_MIDDLE_MS, _TAIL_MS, _MANY_MS = 3.0, 12.0, 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One client in one setting, at one number of sessions; all times in ms."""

    group: str
    setting: str
    arm: str
    sessions: int
    silence_ms: int | None
    n: int = 0
    """Turns that were answered after they had ended."""
    unanswered: int = 0
    early: int = 0
    """Answered before they had ended."""
    middle: Quantile | None = None
    """Median from the end of speech to the first audible sample."""
    p90: Quantile | None = None
    bound: float | None = None
    """Median of the turns' bounds, of the times that were asked for."""
    over: Quantile | None = None
    """Median above that."""
    own: Quantile | None = None
    """Median above the turn's bound of the times as they were: how long the stages took, the network, the timers."""
    own_p95: Quantile | None = None
    own_p99: Quantile | None = None
    cpu_ms: float | None = None
    """CPU time for each second of each session."""
    guesses: float | None = None
    """A turn."""
    discarded: float | None = None
    """The share of guesses that were thrown away."""
    wasted_characters: float | None = None
    """A turn, written for answers that were thrown away."""
    doubts: tuple[str, ...] = ()
    problem: str | None = None
    """Why there are no figures."""
    turns: Mapping[tuple[str, int], float] = field(default_factory=dict, repr=False)
    """By caller and number: ms of those counted in `n`."""


def rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each client at each place of the plan, in the order in which they first come."""
    groups: dict[CascadeCell, list[Run]] = {}
    for run in runs:
        cell = run.cell
        assert isinstance(cell, CascadeCell)
        groups.setdefault(_place(cell), []).append(run)
    return [row_of(cell, group) for cell, group in groups.items()]


def _place(cell: CascadeCell) -> CascadeCell:
    return replace(cell, round=0)


def row_of(cell: CascadeCell, runs: Sequence[Run]) -> Row:
    """The row of all rounds of a cell."""
    place: dict[str, Any] = {
        name: getattr(cell, name) for name in ("group", "setting", "arm", "sessions", "silence_ms")
    }
    good = [run for run in runs if run.found]
    if not good:
        return Row(**place, problem=runs[0].problem)
    turns = [turn for run in good for turn in (run.found or {})["turns"]]
    heard = {_key(turn): turn["ms"] for turn in turns if turn["ms"] is not None and turn["ms"] >= 0}
    bounds = dict(_bounds(cell, good))
    # Where the speech of a clip ends within its last sounds is a matter of detectors: only sharp ones tell some ms.
    over = [ms - bounds[key] for key, ms in heard.items() if key in bounds and cell.sharp]
    real = dict(_real_bounds(cell, good)) if cell.sharp else {}
    own = [ms - real[key] for key, ms in heard.items() if key in real]
    times = list(heard.values())
    return Row(
        **place,
        n=len(heard),
        unanswered=sum(turn["ms"] is None for turn in turns),
        early=sum(turn["ms"] is not None and turn["ms"] < 0 for turn in turns),
        middle=quantile(times, 0.5),
        p90=quantile(times, 0.9),
        bound=statistics.median(bounds.values()) if bounds else None,
        over=quantile(over, 0.5),
        own=quantile(own, 0.5),
        own_p95=quantile(own, 0.95),
        own_p99=quantile(own, 0.99),
        cpu_ms=statistics.median(_cpu_ms(run) for run in good),
        **_guesses(turns),
        doubts=tuple(doubts(good)),
        problem=next((run.problem for run in runs if run.problem), None),
        turns=heard,
    )


def _key(turn: Mapping[str, Any]) -> tuple[str, int]:
    return turn["key"], turn["turn"]


def _bounds(cell: CascadeCell, runs: Sequence[Run]) -> Iterator[tuple[Turn, float]]:
    """The bound of each turn whose strategy is known, of the times that were asked for."""
    path = _path(cell)
    for run in runs:
        for key, times in drawn(SETTINGS[cell.setting], (run.server or {})["turns"]).items():
            if bound := ARMS[cell.arm].bound:
                yield key, bound_ms(bound, times, path)


def _real_bounds(cell: CascadeCell, runs: Sequence[Run]) -> Iterator[tuple[Turn, float]]:
    """The same, of the times as they were: how long stages and network really took, and how late the microphone was."""
    path = _path(cell)
    for run in runs:
        found = run.found or {}
        late = {_key(turn): turn["late_ms"] for turn in found["turns"]}
        for key, times in taken(SETTINGS[cell.setting], (run.server or {})["turns"]).items():
            if (bound := ARMS[cell.arm].bound) and key in late:
                real = replace(
                    path,
                    round_trip_ms=found["round_trip_ms"],
                    silence_ms=path.silence_ms + late[key]["end"],
                    guess_ms=path.guess_ms + late[key]["guess"],
                )
                yield key, bound_ms(bound, times, real)


def _path(cell: CascadeCell) -> Path:
    spec: ArmSpec = ARMS[cell.arm]
    return Path(
        round_trip_ms=ROUND_TRIP_MS,
        silence_ms=cell.silence_ms or OWN_SILENCE_MS,
        text_ms=text_ms(REPLY, whole=spec.speaks_whole),
        rest_ms=AFTER_SHARP_MS,
        guess_ms=spec.guess_ms,
    )


def _cpu_ms(run: Run) -> float:
    found = run.found or {}
    cpu: float = found["cpu_s"] * 1000 / (found["seconds"] * run.cell.sessions)
    return cpu


def _guesses(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What guessing gained and cost, where it is known."""
    known = [turn["guesses"] for turn in turns if turn["guesses"]]
    if not known:
        return {}
    made, used = (sum(one.get(name, 0) for one in known) for name in ("guesses", "guesses_used"))
    wasted = sum(one.get("wasted_characters", 0) for one in known)
    return {
        "guesses": made / len(known),
        "discarded": (made - used) / made if made else 0.0,
        "wasted_characters": wasted / len(known),
    }


def faster(than: Row, ours: Row) -> Quantile | None:
    """Median of how much faster ours was, turn by turn on the same stage times."""
    return quantile([ms - ours.turns[key] for key, ms in than.turns.items() if key in ours.turns], 0.5)


def memory(runs: Sequence[Run]) -> float | None:
    """Kilobytes that one more session of ours takes."""
    return memory_kb(runs, "voicebridge")


def targets(found: Sequence[Row]) -> list[Target]:
    """What voicebridge promises of itself, and what was measured."""
    known = {(row.group, row.setting, row.arm, row.sessions): row for row in found if row.problem is None}
    goals: list[Target] = []
    for (group, setting, arm, sessions), row in known.items():
        if group == "bounds" and arm.startswith("voicebridge"):
            goals += _near(f"{ARMS[arm].title}, {setting}", row)
            plain = known.get((group, setting, "plain", sessions))
            if setting == "claimed" and plain and arm != "voicebridge-commit":
                ahead = faster(plain, row)
                name = f"{ARMS[arm].title}, {setting}: to the plain loop on the same turns, median"
                goals.append(Target(name, -350.0, "ms", -ahead.value if ahead else None, row.doubts))
    goals += _beside(known)
    for (group, _, _, sessions), row in known.items():
        if group == "many":
            value = row.own_p99.value if row.own_p99 else None
            goals.append(Target(f"added at {sessions} sessions, p99", _MANY_MS, "ms", value, row.doubts))
    return goals


def _near(name: str, row: Row) -> list[Target]:
    middle = row.own.value if row.own else None
    tail = row.own_p95.value if row.own_p95 else None
    return [
        Target(f"{name}: above the bound, median", _MIDDLE_MS, "ms", middle, row.doubts),
        Target(f"{name}: above the bound, p95", _TAIL_MS, "ms", tail, row.doubts),
    ]


def _beside(known: Mapping[tuple[str, str, str, int], Row]) -> Iterator[Target]:
    """The goals of the side by side, and out of the box."""
    for (group, _, arm, sessions), row in known.items():
        if arm == "voicebridge" and group == "side by side":
            middle = row.middle.value if row.middle else None
            yield Target(f"side by side, {sessions} sessions: median", 1355.0, "ms", middle, row.doubts)
            if sessions > 1:
                spread = row.p90.value - row.middle.value if row.p90 and row.middle else None
                yield Target(f"side by side, {sessions} sessions: p90 above the median", 10.0, "ms", spread, row.doubts)
                yield Target(f"side by side, {sessions} sessions: CPU", 12.0, "ms/s", row.cpu_ms, row.doubts)
        if arm == "voicebridge-box":
            others = [
                other.middle.value
                for (place, _, name, _), other in known.items()
                if place == group and name != arm and other.middle
            ]
            if others:
                value = row.middle.value if row.middle else None
                yield Target(
                    "out of the box: median, against the best of the others", min(others), "ms", value, row.doubts
                )
