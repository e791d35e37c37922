"""The report of a run, as a table for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .figures import Figure
from .network import ROUND_TRIP_MS
from .scenarios import HALF_OPEN_AFTER_S, STALLED_AFTER_S

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Report", "lines", "markdown", "rich_table"]

_COLUMNS = ("", "n", "p50", "p95", "max", "samples", "target", "met", "notes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that is shown."""

    figures: Sequence[Figure]
    doubts: Sequence[str]
    """Of the calls."""
    problems: Sequence[str]
    environment: Mapping[str, Any]
    command: str
    interrupted: bool = False


def _rows(figures: Sequence[Figure]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for one in figures:
        met = {None: "", True: "yes", False: "NO"}[one.met]
        target = "" if one.target is None else f"{one.by} <= {_value(one.target, one.unit)}"
        samples = "" if one.samples is None else str(one.samples)
        cells = (str(one.n), _value(one.p50, one.unit), _value(one.p95, one.unit), _value(one.worst, one.unit))
        yield one.group, (one.name, *cells, samples, target, met, "; ".join([*filter(None, [one.note]), *one.doubts]))


def _value(value: float | None, unit: str) -> str:
    if value is None or math.isinf(value):
        return "-"
    number = f"{value:.2f}" if unit in ("x", "ms more") or (unit == "ms" and 0 < value < 10) else f"{value:.0f}"
    return f"{number} {unit}".strip()


def rich_table(report: Report) -> RenderableType:
    """For a terminal."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("", "notes", "target", "met") else "right", overflow="fold")
    before = ""
    for group, row in _rows(report.figures):
        if group != before:
            if before:
                table.add_section()
            table.add_row(f"[bold]{group}")
            before = group
        table.add_row(f"  {row[0]}", *row[1:])
    return table


def lines(report: Report) -> list[str]:
    """What stands under the table."""
    found = [
        f"Round trip {ROUND_TRIP_MS:g} ms; the vendors are simulated and think for no time. `samples`: of the user's "
        "voice, received by no backend, or wrong in the account.",
        f"A half-open line counts as dead after {HALF_OPEN_AFTER_S:g} s here (`dead_after_s`, by default 20), an "
        f"answer as stalled after {STALLED_AFTER_S:g} s (`between_outputs_timeout_s`, by default 20).",
    ]
    found += [f"Problem: {problem}" for problem in report.problems]
    found += [f"Disturbed: {doubt}." for doubt in report.doubts]
    where = report.environment
    load = where["load_average"]
    shown = f", load {load[0]:.1f} at the start" if load else ""
    found.append(
        f"{where['cpu']}, {where['cores']} cores, {where['kernel']}, {where['python']}, "
        f"revision {where['revision'] or 'unknown'}, {where['utc']}{shown}."
    )
    return found


def markdown(report: Report) -> str:
    """The table, what stands under it, and the command line."""
    found, before = [f"| {' | '.join(_COLUMNS)} |", f"|{' --- |' * len(_COLUMNS)}"], ""
    for group, row in _rows(report.figures):
        if group != before:
            found.append(f"| **{group}** |{' |' * (len(_COLUMNS) - 1)}")
            before = group
        found.append(f"| {' | '.join(row)} |")
    note = " (interrupted)" if report.interrupted else ""
    return "\n".join([*found, "", *(f"- {line}" for line in lines(report)), "", f"`{report.command}`{note}"])
