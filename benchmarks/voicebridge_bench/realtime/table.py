"""The report of a run, as lines of text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .arms.arm import ARMS
from .figures import Load, Paired, Range, Recovery, ServerLoad, Target

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Report", "lines", "markdown", "rich_tables"]

_COLUMNS = ("sessions", "client", "delivery p50", "p99", "(rounds)", "CPU a session", "to bare", "loop lag p99", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is shown."""

    loads: Sequence[Load]
    memory_kb: Mapping[str, float | None]
    first_audio: Mapping[str, Paired | str]
    """A string says why there is none."""
    recovery: Recovery | str | None
    server: ServerLoad | None
    targets: Sequence[Target]
    versions: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]
    command: str
    interrupted: bool = False


def _rows(loads: Sequence[Load]) -> Iterator[tuple[str, ...]]:
    for row in sorted(loads, key=lambda row: (row.sessions, list(ARMS).index(row.arm))):
        title = ARMS[row.arm].title
        if row.problem is not None:
            yield (str(row.sessions), title, *["–"] * 6, f"failed: {row.problem}")
            continue
        notes = [*row.doubts]
        if row.behind:
            notes.insert(0, f"falls behind: heard {row.heard or 0:.0%}, sent {row.spoken or 0:.0%}")
        yield (
            str(row.sessions),
            title,
            _ms(row.p50_ms),
            _ms(row.p99_ms),
            _span(row.p99_range_ms, "{:.1f}"),
            "–" if row.cpu_ms is None else f"{row.cpu_ms.value:.1f} ms/s",
            "–" if row.cpu_ratio is None else f"{row.cpu_ratio.value:.2f} {_span(row.cpu_ratio, '{:.2f}')}".strip(),
            _ms(row.lag_p99_ms),
            "; ".join(notes),
        )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def _span(found: Range | None, form: str) -> str:
    if found is None or found.low == found.high:
        return ""
    return f"({form.format(found.low)}-{form.format(found.high)})"


def lines(report: Report) -> list[str]:
    """What stands under the table."""
    found = [f"Memory of one more session: {_memory(report.memory_kb)}."]
    for arm, outcome in report.first_audio.items():
        found.append(f"First audio, {ARMS[arm].title} minus the bare client: {_difference(outcome)}.")
    if report.recovery is not None:
        found.append(f"Recovery from a reset in a response, round trip 50 ms: {_recovered(report.recovery)}.")
    if report.server is not None:
        found.append(
            f"Server: at worst {report.server.late_p99_ms:.1f} ms late (p99 of a measurement), "
            f"{report.server.cores:.2f} cores busy."
        )
    for target in report.targets:
        if target.measured is not None:
            verdict = ("reached" if target.met else "MISSED") + (
                f", but {'; '.join(target.doubts)}" if target.doubts else ""
            )
            found.append(
                f"Target: {target.name} at most {target.limit:g} {target.unit}: {target.measured:.2f}, {verdict}."
            )
        else:
            found.append(f"Target: {target.name} at most {target.limit:g} {target.unit}: not measured.")
    found.append(_where(report.environment))
    found += [f"{ARMS[arm].title}: {_packages(of)}." for arm, of in report.versions.items()]
    return found


def _memory(by_arm: Mapping[str, float | None]) -> str:
    known = [f"{ARMS[arm].title} {kb:.0f} KB" for arm, kb in by_arm.items() if kb is not None]
    return ", ".join(known) or "not measured"


def _difference(outcome: Paired | str) -> str:
    if isinstance(outcome, str):
        return outcome
    middle = outcome.difference
    if middle is None or outcome.bare is None or outcome.arm is None:
        return "too few pairs"
    return (
        f"{middle.value:+.2f} ms [{middle.low:+.2f} to {middle.high:+.2f}], n {middle.n} "
        f"(medians {outcome.arm.value:.2f} and {outcome.bare.value:.2f} ms)"
    )


def _recovered(outcome: Recovery | str) -> str:
    if isinstance(outcome, str):
        return outcome
    restarted, audio, p90 = outcome.restarted, outcome.audio, outcome.audio_p90
    if restarted is None or audio is None:
        return "too few"
    tail = f"p90 {p90.value:.0f}, " if p90 else ""
    return (
        f"told after {restarted.value:.0f} ms, next sound after {audio.value:.0f} ms "
        f"[{audio.low:.0f} to {audio.high:.0f}], {tail}max {outcome.audio_max:.0f}, n {outcome.n}"
    )


def _where(environment: Mapping[str, Any]) -> str:
    load = environment["load_average"]
    shown = f", load {load[0]:.1f} at the start" if load else ""
    return (
        f"{environment['cpu']}, {environment['cores']} cores, {environment['kernel']}, {environment['python']}, "
        f"revision {environment['revision'] or 'unknown'}, {environment['utc']}{shown}."
    )


def _packages(of: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in of["packages"].items()) + f", Python {of['python']}"


def rich_tables(report: Report) -> RenderableType:
    """For a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("client", "") else "right", overflow="fold")
    before = ""
    for row in _rows(report.loads):
        if before and row[0] != before:
            table.add_section()
        before = row[0]
        table.add_row(*row)
    return table


def markdown(report: Report) -> str:
    """The table, what stands under it, and the command line."""
    found = [f"| {' | '.join(_COLUMNS)} |", f"|{' --- |' * len(_COLUMNS)}"]
    found += [f"| {' | '.join(row)} |" for row in _rows(report.loads)]
    note = " (interrupted)" if report.interrupted else ""
    return "\n".join([*found, "", *(f"- {line}" for line in lines(report)), "", f"`{report.command}`{note}"])
