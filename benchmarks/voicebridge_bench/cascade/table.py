"""The report of a run, as tables for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voicebridge_bench.intervals import Quantile
from voicebridge_bench.realtime.figures import Target

from .arms.arm import ARMS, FLOORS
from .figures import Row, faster
from .settings import ROUND_TRIP_MS, SETTINGS, TOKENS_PER_SECOND

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Report", "lines", "markdown", "rich_tables"]

_COLUMNS = (
    *("", "sessions", "n", "to the first sound, median", "p90", "bound", "above it", "above it as it was", "p95"),
    *("CPU a session", "guesses", "notes"),
)
_ARM_COLUMNS = ("client", "strategy", "end of turn", "detector", "versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is shown."""

    rows: Sequence[Row]
    targets: Sequence[Target]
    memory_kb: float | None
    versions: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]
    command: str
    interrupted: bool = False


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for group, setting in dict.fromkeys((row.group, row.setting) for row in rows):
        here = [row for row in rows if (row.group, row.setting) == (group, setting)]
        yield (
            f"{group}: {setting} ({SETTINGS[setting].about}; simulated, provider times are inputs)",
            sorted(here, key=lambda row: (row.sessions, list(ARMS).index(row.arm))),
        )


def _cells(row: Row) -> tuple[str, ...]:
    title = ARMS[row.arm].title
    if not row.n:
        return (title, str(row.sessions), "0", *["–"] * 8, f"failed: {row.problem or 'no turn was answered'}")
    return (
        title,
        str(row.sessions),
        str(row.n),
        _ms(row.middle),
        _ms(row.p90),
        "–" if row.bound is None else f"{row.bound:.0f}",
        _ms(row.over, "+.1f"),
        _ms(row.own, "+.1f"),
        _ms(row.own_p95, "+.1f"),
        "–" if row.cpu_ms is None else f"{row.cpu_ms:.1f} ms/s",
        _guesses(row),
        "; ".join(_notes(row)),
    )


def _ms(found: Quantile | None, form: str = ".0f") -> str:
    if found is None:
        return "–"
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"


def _guesses(row: Row) -> str:
    if row.guesses is None:
        return ""
    shown = f"{row.guesses:.1f} a turn, {row.discarded or 0:.0%} discarded"
    if row.wasted_characters:
        shown += f", {row.wasted_characters / 4:.0f} tokens wasted"
    return shown


def _notes(row: Row) -> Iterator[str]:
    if row.unanswered:
        yield f"{row.unanswered} turns without an answer"
    if row.early:
        yield f"{row.early} answered before they had ended"
    if row.own_p99 is not None:
        yield f"p99 above the bound {_ms(row.own_p99, '+.1f')}"
    if row.problem:
        yield f"a round failed: {row.problem}"
    yield from row.doubts


def lines(report: Report) -> list[str]:
    """What stands under the tables."""
    found = [
        "All in ms, from the annotated end of speech to the first audible sample, in brackets the 95 % interval. "
        f"Round trip {ROUND_TRIP_MS:g} ms, one more for each new connection; {TOKENS_PER_SECOND:g} tokens/s. "
        "This measures clients on simulated vendors: provider times are inputs, not results. `Above it as it was`: "
        "above the bound of the times that stages, network and microphone really took. The bare client is the floor.",
    ]
    found += list(_ahead(report.rows))
    if report.memory_kb is not None:
        found.append(f"Memory of one more session of voicebridge: {report.memory_kb:.0f} KB.")
    for target in report.targets:
        if target.measured is None:
            found.append(f"Target: {target.name} at most {target.limit:g} {target.unit}: not measured.")
            continue
        verdict = ("reached" if target.met else "MISSED") + (
            f", but {'; '.join(target.doubts)}" if target.doubts else ""
        )
        found.append(f"Target: {target.name} at most {target.limit:g} {target.unit}: {target.measured:.1f}, {verdict}.")
    where = report.environment
    load = where["load_average"]
    shown = f", load {load[0]:.1f} at the start" if load else ""
    found.append(
        f"{where['cpu']}, {where['cores']} cores, {where['kernel']}, {where['python']}, "
        f"revision {where['revision'] or 'unknown'}, {where['utc']}{shown}."
    )
    return found


def _ahead(rows: Sequence[Row]) -> Iterator[str]:
    """How much faster ours is than the plain loop, on the same draws."""
    known = {(row.setting, row.arm): row for row in rows if row.group == "bounds"}
    for (setting, arm), row in known.items():
        plain, floor = known.get((setting, "plain")), known.get((setting, FLOORS.get(arm, "")))
        if floor and (behind := faster(row, floor)):
            yield (
                f"{setting}: {ARMS[arm].title} is {_ms(behind, '+.1f')} ms behind the bare client on the same turns "
                f"(median of {behind.n} pairs)."
            )
        if plain and arm in FLOORS and (ahead := faster(plain, row)):
            yield (
                f"{setting}: {ARMS[arm].title} is {_ms(ahead)} ms ahead of the plain loop on the same turns "
                f"(median of {ahead.n} pairs)."
            )


def _arms(report: Report) -> Iterator[tuple[str, ...]]:
    for arm in dict.fromkeys(row.arm for row in sorted(report.rows, key=lambda row: list(ARMS).index(row.arm))):
        spec = ARMS[arm]
        silences = dict.fromkeys(
            spec.own_silence if row.silence_ms is None else f"{row.silence_ms} ms"
            for row in report.rows
            if row.arm == arm
        )
        packages = report.versions.get(arm, {}).get("packages", {})
        guess = f", guesses at {spec.guess_ms:g} ms" if spec.guess_ms and spec.bound != "commit-driven" else ""
        yield (
            spec.title,
            spec.strategy + guess,
            "; ".join(silences),
            spec.detector,
            ", ".join(f"{name} {version}" for name, version in packages.items()),
        )


def rich_tables(report: Report) -> list[RenderableType]:
    """For a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("", "guesses", "notes") else "right", overflow="fold")
    for number, (title, rows) in enumerate(_groups(report.rows)):
        if number:
            table.add_section()
        table.add_row(f"[bold]{title}")
        for row in rows:
            table.add_row(*(f"  {cell}" if at == 0 else cell for at, cell in enumerate(_cells(row))))
    arms = Table(box=None, pad_edge=False)
    for name in _ARM_COLUMNS:
        arms.add_column(name, overflow="fold")
    for one in _arms(report):
        arms.add_row(*one)
    return [table, "", arms]


def markdown(report: Report) -> str:
    """The tables, what stands under them, and the command line."""
    found = []
    for title, rows in _groups(report.rows):
        found += [f"**{title}**", "", f"| {' | '.join(_COLUMNS)} |", f"|{' --- |' * len(_COLUMNS)}"]
        found += [f"| {' | '.join(_cells(row))} |" for row in rows] + [""]
    found += [f"| {' | '.join(_ARM_COLUMNS)} |", f"|{' --- |' * len(_ARM_COLUMNS)}"]
    found += [f"| {' | '.join(one)} |" for one in _arms(report)]
    note = " (interrupted)" if report.interrupted else ""
    return "\n".join([*found, "", *(f"- {line}" for line in lines(report)), "", f"`{report.command}`{note}"])
