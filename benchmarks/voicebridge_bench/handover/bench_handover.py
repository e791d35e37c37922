"""The whole of `voicebridge bench handover`: plan, progress, report, exit status."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.bar import bar
from voicebridge_bench.environment import describe
from voicebridge_bench.realtime.processes import ArmFailed

from .figures import Figure, call_doubts, call_figures, load_figures, long_call_figures
from .plan import HandoverPlan, plan_of
from .run import Results, run, weights
from .table import Report, lines, markdown, rich_table

__all__ = ["Request", "bench_handover"]

SCHEMA_VERSION = 1
_WIDTH = 170
MEASURED, FAILED, UNRELIABLE, INTERRUPTED = 0, 1, 5, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    quick: bool = False
    seeds: int | None = None
    seed: int = 7
    pinned: bool = True
    json: bool = False
    """Print all figures and the raw data as JSON."""
    markdown: bool = False
    command: str = "voicebridge bench handover"


def bench_handover(request: Request) -> int:
    """Measure, report, and give the exit status: 0 measured, 1 a part could not be, 5 something disturbed it.

    Raises:
        ConfigError: the system can't do it.
    """
    if sys.platform == "win32":
        raise ConfigError("This benchmark needs one monotonic clock for all processes: Linux or macOS.")
    plan = plan_of(request.quick, request.seeds, request.seed, request.pinned)
    environment = describe()
    results, interrupted = Results(), False
    try:
        with bar(sum(weights(plan).values())) as tell:
            run(plan, results, tell)
    except KeyboardInterrupt:
        interrupted = True
    except ArmFailed as error:
        raise ConfigError(str(error)) from None
    report = _report(results, environment, request.command, interrupted)
    _show(report, results, plan, request)
    return INTERRUPTED if interrupted else _status(report)


def _report(results: Results, environment: Mapping[str, Any], command: str, interrupted: bool) -> Report:
    figures: list[Figure] = []
    doubts: tuple[str, ...] = ()
    if results.calls is not None:
        figures += call_figures(results.calls["calls"], results.heard)
        doubts = call_doubts(results.calls, results.simulator_cores)
    figures += load_figures(results.runs)
    if results.long_call is not None:
        figures += long_call_figures(results.long_call)
    return Report(
        figures=figures,
        doubts=doubts,
        problems=list(dict.fromkeys([*results.problems, *(run.problem for run in results.runs if run.problem)])),
        environment=environment,
        command=command,
        interrupted=interrupted,
    )


def _show(report: Report, results: Results, plan: HandoverPlan, request: Request) -> None:
    from rich.console import Console

    if request.json:
        json.dump(_raw(report, results, plan), sys.stdout, indent=1)
        print()
        return
    if request.markdown:
        print(markdown(report))
        return
    console = Console()
    if not console.is_terminal:  # a file has no width
        console = Console(width=_WIDTH)
    console.print(rich_table(report))
    console.print()
    for line in lines(report):
        console.print(line, highlight=False, markup=False)
    missed = [one for one in report.figures if one.met is False]
    verdict = f"{len(missed)} of {len(report.figures)} targets are missed." if missed else "All targets are met."
    console.print(verdict if report.figures else "Nothing was measured.", highlight=False)


def _raw(report: Report, results: Results, plan: HandoverPlan) -> dict[str, Any]:
    """All of it: the figures, and what each process saw."""

    def plain(figure: Figure) -> dict[str, Any]:
        row = asdict(figure) | {"met": figure.met}
        return {name: None if isinstance(value, float) and math.isinf(value) else value for name, value in row.items()}

    return {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "interrupted": report.interrupted,
        "environment": dict(report.environment),
        "plan": asdict(plan),
        "figures": [plain(figure) for figure in report.figures],
        "doubts": list(report.doubts),
        "problems": list(report.problems),
        "raw": asdict(results),
    }


def _status(report: Report) -> int:
    if report.problems or any(figure.judged == math.inf for figure in report.figures):
        return FAILED
    disturbed = report.doubts or any(figure.doubts for figure in report.figures)
    return UNRELIABLE if disturbed else MEASURED
