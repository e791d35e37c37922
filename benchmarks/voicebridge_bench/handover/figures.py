"""From what the processes saw to the figures of a report. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voicebridge_bench.realtime.figures import Load, loads
from voicebridge_bench.realtime.histogram import Histogram
from voicebridge_bench.realtime.plan import Run

from .tagged_audio import covered

__all__ = ["Figure", "call_doubts", "call_figures", "load_figures", "long_call_figures", "lost_samples"]

_OTHERS_CORES = 0.5
_STOLEN = 0.02
_LAG_P99_MS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report."""

    group: str
    name: str
    unit: str = "ms"
    n: int = 0
    p50: float | None = None
    p95: float | None = None
    worst: float | None = None
    target: float | None = None
    judged: float | None = None
    """What is held against the target."""
    by: str = ""
    """Which of them that is: `p95`, `max`, ..."""
    samples: int | None = None
    """Of the user's voice: those that no backend received, or that the account has wrong."""
    note: str = ""
    doubts: tuple[str, ...] = field(default=())

    @property
    def met(self) -> bool | None:
        """None: it has no target."""
        if self.target is None or self.judged is None:
            return None if self.target is None else False
        return self.judged <= self.target and not self.samples


@dataclass(frozen=True, slots=True)
class _Rule:
    group: str
    target: float
    by: str


_RULES = {
    "drop": _Rule("a connection is lost in an answer: until the agent is heard", 2000.0, "p95"),
    "renewal": _Rule("a session comes to its end: silence", 300.0, "max"),
    "renewal, the agent speaks on": _Rule("a session comes to its end: silence", 500.0, "max"),
    "realtime to cascade": _Rule("switch: silence", 500.0, "max"),
    "cascade to realtime": _Rule("switch: silence", 500.0, "max"),
    "realtime to realtime": _Rule("switch: silence", 500.0, "max"),
    "voice": _Rule("another voice: silence", 500.0, "max"),
    "start": _Rule("failover at the start: until it is ready", 1000.0, "p95"),
    "gone for good": _Rule("failover in an answer: until the agent is heard", 2000.0, "p95"),
    "stalls": _Rule("failover in an answer: until the agent is heard", 2000.0, "p95"),
}
"""By a scenario's name, or its beginning."""


def call_figures(calls: Iterable[Mapping[str, Any]], heard: Mapping[str, Any]) -> list[Figure]:
    """A line for each scenario, and one for all lost connections.

    Args:
        heard: what the simulators heard, by the caller's key.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in calls:
        by_name.setdefault(row["scenario"], []).append(row)
    found = []
    drops = [row for name, rows in by_name.items() if name.startswith("drop") for row in rows]
    if drops:
        found.append(_figure("drop", "all", drops, heard))
    for name in _in_order(by_name):
        kind, _, how = name.partition(", ")
        shown = how if kind in ("drop", "renewal", "start", "voice") else name
        found.append(_figure(name if name in _RULES else kind, shown, by_name[name], heard))
    return found


def _in_order(names: Iterable[str]) -> list[str]:
    kinds = [kind for kind in _RULES if ", " not in kind]
    return sorted(names, key=lambda name: (kinds.index(name.partition(", ")[0]), name))


def _figure(kind: str, name: str, rows: Sequence[Mapping[str, Any]], heard: Mapping[str, Any]) -> Figure:
    rule = _RULES[kind]
    values = [row["ms"] for row in rows if row["ms"] is not None]
    problems = [row["problem"] for row in rows if row["problem"]]
    p95 = _rank(values, 0.95)
    worst = max(values, default=None)
    late = sum(row.get("late", 0) for row in rows)
    notes = [f"{len(problems)} of {len(rows)} failed: {problems[0]}"] if problems else []
    notes += [f"{late} pieces of an answer came after the next one had begun"] if late else []
    samples = sum(lost_samples(row, heard.get(row["key"])) for row in rows if row["problem"] is None)
    judged = p95 if rule.by == "p95" else worst
    return Figure(
        group=rule.group,
        name=name,
        n=len(values),
        p50=statistics.median(values) if values else None,
        p95=p95,
        worst=worst,
        target=rule.target,
        judged=math.inf if problems or late else judged,
        by=rule.by,
        samples=samples,
        note="; ".join(notes),
    )


def _rank(values: Sequence[float], p: float) -> float | None:
    """The least value that a share `p` of them does not exceed."""
    return sorted(values)[math.ceil(len(values) * p) - 1] if values else None


def lost_samples(row: Mapping[str, Any], heard: Mapping[str, Any] | None) -> int:
    """Samples of the user's voice that are unaccounted for in one call: no backend had them, or the account is wrong.

    Args:
        row: `sent` by the application; `captured`, `delivered`, `dropped` and `balanced` of the account; `runs` and
            `strange` of a cascade in the calls' process.
        heard: `runs` and `strange` of the simulators.
    """
    simulated = heard or {"runs": [], "strange": 0}
    received = covered([*simulated["runs"], *row["runs"]])
    unheard = row["sent"] - received
    miscounted = abs(row["sent"] - row["captured"]) + abs(row["captured"] - row["delivered"] - row["dropped"])
    claimed = max(0, row["delivered"] - received)
    strange = simulated["strange"] + row["strange"]
    total: int = unheard + miscounted + claimed + strange + (not row["balanced"])
    return total


def call_doubts(found: Mapping[str, Any], simulator_cores: float) -> tuple[str, ...]:
    """What makes the figures of the calls doubtful."""
    lag = (found.get("loop_lag_ms") or {}).get("p99") or 0.0
    others = (found.get("others_cores") or 0.0) - simulator_cores
    rows = (
        ("other processes kept {:.1f} cores busy", others, _OTHERS_CORES),
        ("the host took {:.0%} of the time", found.get("stolen") or 0.0, _STOLEN),
        ("timers came {:.0f} ms late, p99", lag, _LAG_P99_MS),
    )
    return tuple(text.format(value) for text, value, limit in rows if value > limit)


# The price


def load_figures(runs: Sequence[Run]) -> list[Figure]:
    """Managed beside raw, and many managed sessions on one loop."""
    rows = {(row.arm, row.sessions): row for row in loads(runs)}
    found = []
    for (arm, sessions), raw in rows.items():
        managed = rows.get(("voicebridge", sessions))
        if arm == "voicebridge-raw" and managed is not None:
            found += [_cpu(runs, sessions, raw, managed), _delay(runs, sessions, raw, managed)]
    both = {sessions for arm, sessions in rows if arm == "voicebridge-raw"}
    found += [_many(row) for (arm, sessions), row in rows.items() if arm == "voicebridge" and sessions not in both]
    return found


def _pairs(runs: Sequence[Run], sessions: int) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Managed and raw of the same round."""
    of = {(run.cell.arm, run.cell.round): run.found for run in runs if run.cell.sessions == sessions and run.found}
    rounds = sorted({number for _, number in of})
    both = [(of.get(("voicebridge", number)), of.get(("voicebridge-raw", number))) for number in rounds]
    return [(ours, raw) for ours, raw in both if ours is not None and raw is not None]


def _paired(name: str, unit: str, target: float, values: Sequence[float], *rows: Load) -> Figure:
    doubts = tuple(dict.fromkeys(doubt for row in rows for doubt in row.doubts))
    problems = [row.problem for row in rows if row.problem]
    spread = f"rounds {min(values):.2f} to {max(values):.2f}" if len(values) > 1 else ""
    middle = statistics.median(values) if values else None
    return Figure(
        group="managed session beside raw",
        name=name,
        unit=unit,
        n=len(values),
        p50=middle,
        worst=max(values, default=None),
        target=target,
        judged=middle,
        by="median of rounds",
        note="; ".join([*problems, *([spread] if spread else [])]),
        doubts=doubts,
    )


def _cpu(runs: Sequence[Run], sessions: int, raw: Load, managed: Load) -> Figure:
    ratios = [_cpu_share(ours) / _cpu_share(floor) for ours, floor in _pairs(runs, sessions)]
    return _paired(f"CPU time, {sessions} sessions", "x", 1.15, ratios, raw, managed)


def _cpu_share(found: Mapping[str, Any]) -> float:
    share: float = found["cpu_s"] / found["seconds"]
    return share


def _delay(runs: Sequence[Run], sessions: int, raw: Load, managed: Load) -> Figure:
    differences = [_p50(ours) - _p50(floor) for ours, floor in _pairs(runs, sessions)]
    return _paired(f"delivery p50, {sessions} sessions", "ms more", 0.5, differences, raw, managed)


def _p50(found: Mapping[str, Any]) -> float:
    return Histogram.from_json(found["delays_10us"]).quantile_ms(0.5) or 0.0


def _many(row: Load) -> Figure:
    return Figure(
        group="managed sessions on one loop",
        name=f"delivery, {row.sessions} sessions",
        n=row.rounds,
        p50=row.p50_ms,
        worst=row.p99_ms,
        target=15.0,
        judged=row.p99_ms,
        by="p99",
        note=row.problem or "the last figure is the p99",
        doubts=row.doubts,
    )


# The long call

_GROWTH_KB = 50.0
"""A minute. The words of a minute, and what else history keeps of it, are a few of these."""


def long_call_figures(found: Mapping[str, Any]) -> list[Figure]:
    """What the long call held, and left."""
    group = f"a call of {found['minutes']} minutes, compressed"
    slope, error = _slope(found["memory_kb"])
    left = [found["files_left"], found["tasks_left"]]
    samples = abs(found["captured"] - found["heard"]) + abs(found["captured"] - found["delivered"])
    return [
        Figure(
            group=group,
            name="memory, slope",
            unit="KB a minute",
            n=len(found["memory_kb"]),
            p50=slope,
            target=None if slope is None else _GROWTH_KB,
            judged=slope,
            by="slope",
            samples=samples + (not found["balanced"]),
            note=_interval(slope, error),
        ),
        Figure(
            group=group,
            name="tasks and files left",
            unit="",
            n=2,
            worst=float(max(value or 0 for value in left)),
            target=0.0,
            judged=float(max(value or 0 for value in left)),
            by="max",
            note=f"{found['answers']} answers, {found['restarts']} restarts",
        ),
    ]


def _interval(slope: float | None, error: float | None) -> str:
    if slope is None:
        return "not known on this system"
    return "" if error is None else f"95 % interval: {slope - error:+.1f} to {slope + error:+.1f}"


def _slope(points: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """Of a line through them, and half of its interval (two standard errors)."""
    if len(points) < 2:
        return None, None
    xs, ys = [float(x) for x, _ in points], [float(y) for _, y in points]
    slope, start = statistics.linear_regression(xs, ys)
    if len(points) < 4:
        return slope, None
    rest = sum((y - start - slope * x) ** 2 for x, y in zip(xs, ys, strict=True)) / (len(points) - 2)
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    return slope, 2 * math.sqrt(rest / spread)
