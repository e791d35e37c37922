"""From what the processes saw to the figures of a report. Pure.

Frames of one measurement are no independent samples, so percentiles of delivery come with the range over the rounds
and not with an interval. Turns of the first audio are paired, and their difference has one (order statistics).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from voicebridge_bench.intervals import Quantile, quantile

from .histogram import Histogram
from .plan import Run
from .stamp import FRAME_S, RATE

__all__ = [
    "Load",
    "Paired",
    "Range",
    "Recovery",
    "ServerLoad",
    "Target",
    "doubts",
    "loads",
    "memory_kb",
    "paired",
    "recovery",
    "server_load",
    "targets",
]

_LATE_MS = 5.0
_OTHERS_CORES = 0.5
_STOLEN = 0.02
_KEPT_UP = 0.98
"""The share of frames below which a client is said to fall behind."""


@dataclass(frozen=True, slots=True)
class Range:
    """One value a round: the median, and the least and the greatest."""

    value: float
    low: float
    high: float


def _range(values: Sequence[float]) -> Range | None:
    return Range(statistics.median(values), min(values), max(values)) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One client at one number of sessions."""

    arm: str
    sessions: int
    rounds: int
    p50_ms: float | None = None
    """From leaving the server to the application's hands, over all frames of all rounds."""
    p99_ms: float | None = None
    p99_range_ms: Range | None = None
    cpu_ms: Range | None = None
    """CPU time in ms for each second of each session."""
    cpu_ratio: Range | None = None
    """To the bare client in the same round."""
    lag_p99_ms: float | None = None
    """How late a timer came on the client's event loop."""
    heard: float | None = None
    """Frames that reached the application, of those that were due."""
    spoken: float | None = None
    """Audio that reached the server, of what was due."""
    doubts: tuple[str, ...] = ()
    problem: str | None = None
    """Why there are no figures."""

    @property
    def behind(self) -> bool:
        """Whether it did less than real time asks for. Its delays then grow with the length of the measurement."""
        return any(share is not None and share < _KEPT_UP for share in (self.heard, self.spoken))


def loads(runs: Sequence[Run]) -> list[Load]:
    """A row for each client at each number of sessions, in the order in which they first come."""
    groups: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.cell.sessions, run.cell.arm), []).append(run)
    bare = {(run.cell.sessions, run.cell.round): _cpu_ms(run) for run in runs if run.cell.arm == "bare" and run.found}
    return [_load(group, bare) for group in groups.values()]


def _load(group: Sequence[Run], bare: Mapping[tuple[int, int], float]) -> Load:
    cell = group[0].cell
    good = [run for run in group if run.found]
    if not good:
        return Load(arm=cell.arm, sessions=cell.sessions, rounds=0, problem=group[0].problem)
    delays = [_delays(run) for run in good]
    pooled = sum(delays, Histogram())
    p99s = [value for one in delays if (value := one.quantile_ms(0.99)) is not None]
    pairs = [(_cpu_ms(run), bare.get((cell.sessions, run.cell.round))) for run in good]
    lags = [lag["p99"] for run in good if (lag := (run.found or {}).get("loop_lag_ms"))]
    return Load(
        arm=cell.arm,
        sessions=cell.sessions,
        rounds=len(good),
        p50_ms=pooled.quantile_ms(0.5),
        p99_ms=pooled.quantile_ms(0.99),
        p99_range_ms=_range(p99s),
        cpu_ms=_range([ours for ours, _ in pairs]),
        cpu_ratio=_range([ours / floor for ours, floor in pairs if floor]),
        lag_p99_ms=statistics.median(lags) if lags else None,
        heard=_share(good, lambda run: (run.found or {})["heard"] * FRAME_S / (run.found or {})["seconds"]),
        spoken=_share(good, lambda run: (run.server or {})["audio_bytes"] / 2 / RATE / (run.server or {})["seconds"]),
        doubts=tuple(doubts(good)),
    )


def _share(runs: Sequence[Run], served: Callable[[Run], float]) -> float:
    """Of what was due to so many sessions; `served` counts in sessions."""
    return statistics.median(served(run) / run.cell.sessions for run in runs)


def _delays(run: Run) -> Histogram:
    return Histogram.from_json((run.found or {})["delays_10us"])


def _cpu_ms(run: Run) -> float:
    found = run.found or {}
    cpu: float = found["cpu_s"] * 1000 / (found["seconds"] * run.cell.sessions)
    return cpu


def doubts(runs: Sequence[Run]) -> list[str]:
    """What makes measurements of the same doubtful: each reason once, at its worst, and in how many of them."""
    worst: dict[str, tuple[float, int]] = {}
    for run in runs:
        for reason, value in _doubts(run).items():
            most, count = worst.get(reason, (0.0, 0))
            worst[reason] = (max(most, value), count + 1)
    several = len(runs) > 1
    return [
        reason.format(value) + (f" (in {count} of {len(runs)} rounds)" if several else "")
        for reason, (value, count) in worst.items()
    ]


def _doubts(run: Run) -> dict[str, float]:
    """Reasons, each with its number."""
    found, server = run.found or {}, run.server or {}
    late = Histogram.from_json(server.get("lateness_10us", {})).quantile_ms(0.99) or 0.0
    others = (found.get("others_cores") or 0.0) - server.get("cores", 0.0)
    stolen = found.get("stolen") or 0.0
    lost = found.get("missing", 0) + found.get("repeated", 0) + found.get("unstamped", 0)
    rows = (
        ("the server sent {:.1f} ms late, p99", late, _LATE_MS),
        ("other processes kept {:.1f} cores busy", others, _OTHERS_CORES),
        ("the host took {:.0%} of the time", stolen, _STOLEN),
        ("{:.0f} frames were lost, repeated or changed", lost, 0),
        ("{:.0f} calls broke off", found.get("broken", 0), 0),
    )
    return {reason: value for reason, value, limit in rows if value > limit}


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """The server at its worst: whether it could have been the bottleneck."""

    late_p99_ms: float
    cores: float


def server_load(runs: Sequence[Run]) -> ServerLoad | None:
    """Over all measurements; None of none."""
    seen = [run.server for run in runs if run.server]
    late = [Histogram.from_json(server["lateness_10us"]).quantile_ms(0.99) for server in seen]
    if not seen:
        return None
    return ServerLoad(max(value or 0.0 for value in late), max(server["cores"] for server in seen))


def memory_kb(runs: Sequence[Run], arm: str) -> float | None:
    """Kilobytes that one more session takes: the slope over all measurements; None of one number of sessions."""
    points = [
        (run.cell.sessions, run.found["own_kb"])
        for run in runs
        if run.cell.arm == arm and run.found and run.found.get("own_kb") is not None
    ]
    if len({count for count, _ in points}) < 2:
        return None
    slope, _ = statistics.linear_regression([float(n) for n, _ in points], [float(kb) for _, kb in points])
    return slope


@dataclass(frozen=True, slots=True)
class Paired:
    """First audio of a client beside the bare client, in ms."""

    bare: Quantile | None
    arm: Quantile | None
    difference: Quantile | None
    """Median of the pairs' differences."""


def paired(bare_ms: Sequence[float], arm_ms: Sequence[float]) -> Paired:
    """The figures of the first audio."""
    differences = [ours - floor for floor, ours in zip(bare_ms, arm_ms, strict=True)]
    return Paired(*(quantile(values, 0.5) for values in (bare_ms, arm_ms, differences)))


@dataclass(frozen=True, slots=True)
class Recovery:
    """From a reset in the middle of a response, in ms."""

    n: int
    restarted: Quantile | None
    """Median until the application was told."""
    audio: Quantile | None
    """Median until the next response sounded."""
    audio_p90: Quantile | None
    audio_max: float


def recovery(found: Mapping[str, Sequence[float]]) -> Recovery:
    """The figures of the resets."""
    restarted, audio = found["restarted_ms"], found["audio_ms"]
    middle, p90 = quantile(audio, 0.5), quantile(audio, 0.9)
    return Recovery(len(audio), quantile(restarted, 0.5), middle, p90, max(audio))


@dataclass(frozen=True, slots=True)
class Target:
    """A figure to reach."""

    name: str
    limit: float
    unit: str
    measured: float | None
    doubts: tuple[str, ...] = field(default=())

    @property
    def met(self) -> bool | None:
        """None: it was not measured."""
        return None if self.measured is None else self.measured <= self.limit


def targets(rows: Sequence[Load], kb: float | None, first_ms: float | None, recovery_ms: float | None) -> list[Target]:
    """What voicebridge promises of itself, and what was measured."""
    own = {row.sessions: row for row in rows if row.arm == "voicebridge" and row.problem is None}
    tuned = {row.sessions: row.cpu_ratio.value for row in rows if row.arm == "bare-tuned" and row.cpu_ratio}
    found: list[Target] = []
    for count, limit in ((50, 10.0), (200, 20.0)):
        if row := own.get(count):
            found.append(Target(f"delivery at {count} sessions, p99", limit, "ms", row.p99_ms, row.doubts))
    for count, row in sorted(own.items()):
        if row.cpu_ratio is not None:
            name = f"CPU time at {count} sessions, to the bare client"
            found.append(Target(name, 1.3, "x", row.cpu_ratio.value, row.doubts))
            if floor := tuned.get(count):
                found.append(Target(f"{name} with our codecs", 1.3, "x", row.cpu_ratio.value / floor, row.doubts))
    found.append(Target("memory of one more session", 300.0, "KB", kb))
    found.append(Target("first audio, median difference to the bare client", 1.0, "ms", first_ms))
    found.append(Target("recovery from a reset to the next sound, median", 500.0, "ms", recovery_ms))
    return found
