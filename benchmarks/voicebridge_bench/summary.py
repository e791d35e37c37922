"""From rows to the figures of a report, one `Column` for each backend and end-of-turn silence. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from .intervals import Quantile, Rate, quantile, rate
from .measures import TurnMeasures
from .plan import Setting
from .rows import SessionRow, TurnRow
from .word_errors import WordErrorRate, pool

__all__ = ["Column", "Latency", "Waterfall", "summarise"]

LATE_MS = 20.0
"""A sender whose 99th percentile is later than one frame makes a run unreliable."""
BUSY_CORES = 0.5
"""So do other processes that keep more than half a core busy,"""
STOLEN = 0.02
"""and a host that takes more than 2 % of the time away."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The v2v latencies of some turns, in ms. Percentiles only where there are enough of them."""

    n: int
    smallest: float | None
    largest: float | None
    p25: Quantile | None
    p50: Quantile | None
    p75: Quantile | None
    p90: Quantile | None
    p95: Quantile | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Medians over the answered warm turns, in ms after the zero; None where the events don't tell. Medians of stages
    do not add up to the median of the whole."""

    eou: float | None
    transcript: float | None
    response: float | None
    text: float | None
    first_byte: float | None
    audible: float | None
    commit_to_byte: float | None
    pad: float | None


@dataclass(frozen=True, slots=True)
class Column:
    """All figures of one backend in one setting."""

    backend: str
    silence_ms: int | None
    models: tuple[str, ...]
    cold: Latency
    first: Latency
    later: Latency
    warm: Latency
    """`first` and `later` together."""
    waterfall: Waterfall
    outcomes: dict[str, int]
    """Of the warm turns."""
    cold_outcomes: dict[str, int]
    """Of the cold starts."""
    cut_off: Rate | None
    """Warm turns that the backend took for finished too early; drawn by session."""
    bound_to_be_cut: int
    """Warm turns with a pause as long as the end-of-turn silence."""
    talked_over: Rate | None
    words: WordErrorRate | None
    """Over the warm turns."""
    underruns: int
    """Gaps in the warm replies that came from late audio."""
    ready_ms: tuple[float, ...]
    """From connecting to ready, of sessions that were their process's first."""
    process_ready_ms: tuple[float, ...]
    """The same from the start of the process."""
    peak_rss_mb: float | None
    """Of the worker with the warm sessions, MB of 10^6 bytes."""
    own_memory_mb: float | None
    """Its memory that is no mapped file, at its largest end of a session."""
    lateness_p99_ms: float | None
    """The worst session's."""
    loop_lag_p99_ms: float | None
    start_lag_ms: float | None
    """The longest time for which the event loop stood still while a session got ready."""
    load_average: tuple[float, float] | None
    """The lowest and the highest seen."""
    unreliable: tuple[str, ...]
    """Why the figures can't be trusted. Empty: nothing was found."""
    faults: tuple[str, ...]
    """What backends said went wrong, each once; cold starts included."""
    misused: bool
    """A session could not begin because of what was asked for: an unknown backend or option, a missing extra or key."""


def summarise(rows: Sequence[TurnRow | SessionRow], seed: int) -> list[Column]:
    """The columns, in order of their first row."""
    settings = dict.fromkeys(Setting(row.backend, row.silence_ms) for row in rows)
    return [_column(setting, [row for row in rows if _is_of(row, setting)], seed) for setting in settings]


def _is_of(row: TurnRow | SessionRow, setting: Setting) -> bool:
    return (row.backend, row.silence_ms) == (setting.backend, setting.silence_ms)


def _column(setting: Setting, rows: Sequence[TurnRow | SessionRow], seed: int) -> Column:
    turns = [row for row in rows if isinstance(row, TurnRow)]
    sessions = [row for row in rows if isinstance(row, SessionRow)]
    warm = [turn for turn in turns if turn.kind != "cold"]
    spoken = [turn for turn in warm if turn.measures.outcome != "not_reached"]
    held = [session for session in sessions if not session.cold]
    machines = [session.machine for session in held if session.machine]
    loads = [load for machine in machines for load in (machine.load_before, machine.load_after) if load is not None]
    scored = [(turn.turn, turn.measures.transcript, turn.word_errors) for turn in warm if turn.word_errors]
    return Column(
        backend=setting.backend,
        silence_ms=setting.silence_ms,
        models=tuple(dict.fromkeys(session.model for session in sessions if session.model)),
        cold=_latency(turn for turn in turns if turn.kind == "cold"),
        first=_latency(turn for turn in turns if turn.kind == "first"),
        later=_latency(turn for turn in turns if turn.kind == "later"),
        warm=_latency(warm),
        waterfall=_waterfall([turn.measures for turn in warm if turn.measures.outcome == "answered"]),
        outcomes=dict(Counter(turn.measures.outcome for turn in warm)),
        cold_outcomes=dict(Counter(turn.measures.outcome for turn in turns if turn.kind == "cold")),
        cut_off=_share(spoken, lambda measures: measures.cut_off, seed),
        bound_to_be_cut=sum(turn.longest_pause_ms >= (setting.silence_ms or 10**9) for turn in spoken),
        talked_over=_share(spoken, lambda measures: measures.talked_over, seed),
        words=pool(scored, seed),
        underruns=sum(len(turn.measures.underruns_ms) for turn in warm),
        ready_ms=tuple(s.ready_ms for s in sessions if s.ready_ms is not None and s.process_ready_ms is not None),
        process_ready_ms=tuple(s.process_ready_ms for s in sessions if s.process_ready_ms is not None),
        peak_rss_mb=max((machine.peak_rss_mb for machine in machines if machine.peak_rss_mb), default=None),
        own_memory_mb=max((machine.own_memory_mb for machine in machines if machine.own_memory_mb), default=None),
        lateness_p99_ms=max((s.lateness_ms.p99 for s in held if s.lateness_ms), default=None),
        loop_lag_p99_ms=max((machine.loop_lag_ms.p99 for machine in machines if machine.loop_lag_ms), default=None),
        start_lag_ms=max((machine.start_lag_ms for machine in machines if machine.start_lag_ms), default=None),
        load_average=(min(loads), max(loads)) if loads else None,
        unreliable=tuple(_doubts(sessions)),
        faults=tuple(dict.fromkeys(fault for fault in _faults(turns, sessions) if fault)),
        misused=any(session.category in ("config", "auth", "unsupported") for session in sessions),
    )


def _latency(turns: Iterable[TurnRow]) -> Latency:
    values = [t.measures.v2v_ms for t in turns if t.measures.outcome == "answered" and t.measures.v2v_ms is not None]
    p25, p50, p75, p90, p95 = (quantile(values, p) for p in (0.25, 0.5, 0.75, 0.9, 0.95))
    return Latency(len(values), min(values, default=None), max(values, default=None), p25, p50, p75, p90, p95)


def _waterfall(turns: Sequence[TurnMeasures]) -> Waterfall:
    def middle(pick: Callable[[TurnMeasures], float | None]) -> float | None:
        values = [value for turn in turns if (value := pick(turn)) is not None]
        return median(values) if values else None

    return Waterfall(
        eou=middle(lambda turn: turn.eou_ms),
        transcript=middle(lambda turn: turn.transcript_ms),
        response=middle(lambda turn: turn.response_ms),
        text=middle(lambda turn: turn.text_ms),
        first_byte=middle(lambda turn: turn.first_byte_ms),
        audible=middle(lambda turn: turn.v2v_ms),
        commit_to_byte=middle(lambda turn: turn.commit_to_byte_ms),
        pad=middle(lambda turn: turn.pad_ms),
    )


def _share(turns: Sequence[TurnRow], is_so: Callable[[TurnMeasures], bool], seed: int) -> Rate | None:
    clusters: dict[str, tuple[float, float]] = {}
    for turn in turns:
        count, of = clusters.get(turn.session, (0.0, 0.0))
        clusters[turn.session] = (count + is_so(turn.measures), of + 1)
    return rate(clusters, seed)


def _doubts(sessions: Sequence[SessionRow]) -> Iterable[str]:
    held = [session for session in sessions if not session.cold]
    # Late audio of a cold start is no doubt: what holds it up is the loading that is measured.
    late = [s.lateness_ms.p99 for s in held if s.lateness_ms and s.lateness_ms.p99 > LATE_MS]
    if late:
        yield f"audio was sent up to {max(late):.0f} ms late (p99) in {len(late)} of {len(held)} sessions"
    yield from _disturbances(held, "")
    yield from _disturbances([session for session in sessions if session.cold], " during cold starts")


def _disturbances(sessions: Sequence[SessionRow], when: str) -> Iterable[str]:
    machines = [session.machine for session in sessions if session.machine]
    others = [machine.others_cores for machine in machines if machine.others_cores is not None]
    stolen = [machine.stolen for machine in machines if machine.stolen is not None]
    if others and (mean := sum(others) / len(others)) > BUSY_CORES:
        yield f"other processes kept {mean:.1f} cores busy{when}"
    if stolen and (share := sum(stolen) / len(stolen)) > STOLEN:
        yield f"the host took away {share:.0%} of the time{when}"


def _faults(turns: Sequence[TurnRow], sessions: Sequence[SessionRow]) -> Iterable[str | None]:
    yield from (session.failure for session in sessions)
    yield from (turn.measures.fault for turn in turns)
