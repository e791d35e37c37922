"""What the machine and the event loop did meanwhile: whether the figures can be trusted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LoadProbe", "Machine", "Spread", "spread"]

_PERIOD_S = 0.05


@dataclass(frozen=True, slots=True)
class Spread:
    """Many small delays in three numbers, in ms."""

    p50: float
    p99: float
    max: float


def spread(values: Sequence[float]) -> Spread | None:
    """Their median, 99th percentile and maximum (plain order statistics, no interval); None of none."""
    if not values:
        return None
    ordered = sorted(values)
    pick = [ordered[min(len(ordered) - 1, int(len(ordered) * p))] for p in (0.5, 0.99)]
    return Spread(round(pick[0], 2), round(pick[1], 2), round(ordered[-1], 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Taken over one session."""

    loop_lag_ms: Spread | None
    """How late a timer of 50 ms came on the event loop, once the session was ready."""
    start_lag_ms: float | None
    """How late one came at worst before that: how long the backend stopped everything else while it got ready."""
    load_before: float | None
    load_after: float | None
    """Load average over a minute."""
    own_cores: float
    """Cores that this process kept busy, on average."""
    others_cores: float | None
    """Cores that all other processes kept busy, on average, but for our parent: that is the benchmark. What the backend
    runs in processes of its own is in it. None where the system does not tell."""
    stolen: float | None
    """The share of time that the host gave to other machines."""
    rss_mb: float | None
    """Memory of this process at the end, in MB of 10^6 bytes."""
    peak_rss_mb: float | None
    own_memory_mb: float | None
    """Of that at the end, what is no file mapped into memory (weights often are)."""


class LoadProbe:
    """Watches from `start` to `stop`."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._start: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, on the running loop."""
        self._load = _load()
        self._cpu, self._wall, self._system = time.process_time(), time.monotonic(), _system_times()
        self._parent = _cpu_seconds(os.getppid())
        self._task = asyncio.create_task(self._watch(), name="bench load probe")

    def begin(self) -> None:
        """The session is ready: what came before is kept apart."""
        self._start, self._lags = self._lags, []

    async def stop(self) -> Machine:
        """What was seen."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        elapsed = max(time.monotonic() - self._wall, 1e-6)
        own = (time.process_time() - self._cpu) / elapsed
        parent = max(0.0, _cpu_seconds(os.getppid()) - self._parent) / elapsed
        busy, stolen = _since(self._system, _system_times())
        return Machine(
            loop_lag_ms=spread(self._lags),
            start_lag_ms=round(max(self._start), 2) if self._start else None,
            load_before=self._load,
            load_after=_load(),
            own_cores=round(own, 2),
            others_cores=None if busy is None else round(max(0.0, busy - own - parent), 2),
            stolen=None if stolen is None else round(stolen, 4),
            rss_mb=_status_mb("VmRSS"),
            peak_rss_mb=_status_mb("VmHWM"),
            own_memory_mb=_status_mb("RssAnon"),
        )

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self._lags.append((clock() - due) * 1000)


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):  # Windows has none
        return None


def _cpu_seconds(process: int) -> float:
    """What a process has used; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # not Linux, or it has ended
        return 0.0


def _system_times() -> list[int] | None:
    """The machine's user, nice, system, idle, iowait, irq, softirq and steal times, in ticks."""
    try:
        return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):  # not Linux
        return None


def _since(before: list[int] | None, after: list[int] | None) -> tuple[float | None, float | None]:
    """Busy cores and the share of stolen time between two readings."""
    if before is None or after is None:
        return None, None
    ticks = [late - early for early, late in zip(before, after, strict=True)]
    total = sum(ticks) or 1
    busy = sum(ticks) - ticks[3] - ticks[4] - ticks[7]
    return busy / total * (os.cpu_count() or 1), ticks[7] / total


def _status_mb(name: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return round(int(found[0]) * 1024 / 1e6, 1) if found else None
