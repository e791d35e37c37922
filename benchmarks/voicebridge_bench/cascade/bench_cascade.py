"""The whole of `voicebridge bench cascade`: plan, run, report, exit status."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.bar import bar
from voicebridge_bench.environment import describe
from voicebridge_bench.realtime.processes import ArmFailed
from voicebridge_bench.text_file import write_text

from .arms.arm import OWN
from .figures import memory, rows, targets
from .plan import GROUPS, PEERS, CascadePlan, plan_of
from .run import Results, installed, run, seconds
from .table import Report, lines, markdown, rich_tables

__all__ = ["Request", "bench_cascade"]

SCHEMA_VERSION = 1
_WIDTH = 200
MEASURED, FAILED, UNRELIABLE, INTERRUPTED = 0, 1, 5, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    quick: bool = False
    peers: bool = False
    peers_python: str = sys.executable
    groups: tuple[str, ...] = GROUPS
    seed: int = 7
    pinned: bool = True
    json: Path | None = None
    """A file for the raw data and all figures."""
    markdown: bool = False
    command: str = "voicebridge bench cascade"


def bench_cascade(request: Request) -> int:
    """Measure, report, and give the exit status: 0 measured, 1 voicebridge failed, 5 something disturbed it.

    Raises:
        ConfigError: the system or an interpreter can't do it, a part has no such name, or the file for the data can't
            be written.
    """
    from rich.console import Console

    _check(request)
    console = Console(stderr=True)
    environment = describe()
    results, interrupted = Results(), False
    try:
        versions = installed(request.peers_python, (*OWN, *(PEERS if request.peers else ())))
        for missing in PEERS if request.peers else ():
            if missing not in versions:
                console.print(f"{missing} is not installed for {request.peers_python}: left out.", highlight=False)
        here = tuple(name for name in PEERS if name in versions)
        plan = plan_of(request.quick, here, request.seed, request.pinned, request.groups)
        try:
            with bar(seconds(plan)) as tell:
                run(plan, request.peers_python, results, tell)
        except KeyboardInterrupt:
            interrupted = True
    except ArmFailed as error:
        raise ConfigError(str(error)) from None
    found = rows(results.runs)
    report = Report(
        rows=found,
        targets=targets(found),
        memory_kb=memory(results.runs),
        versions=versions,
        environment=environment,
        command=request.command,
        interrupted=interrupted,
    )
    if request.json is not None:
        write_text(request.json, json.dumps(_raw(plan, results, report), indent=1))
    _show(report, request.markdown)
    return INTERRUPTED if interrupted else _status(report)


def _check(request: Request) -> None:
    if sys.platform == "win32":
        raise ConfigError("This benchmark needs one monotonic clock for all processes: Linux or macOS.")
    if unknown := [name for name in request.groups if name not in GROUPS]:
        raise ConfigError(f"There is no part {unknown[0]!r}. There are: {', '.join(GROUPS)}.")
    if request.json is not None:
        write_text(request.json, "")


def _raw(plan: CascadePlan, results: Results, report: Report) -> dict[str, Any]:
    """All of it: what each process saw, and the figures."""
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": "simulated: measures clients on scripted providers; provider times are inputs, not results",
        "command": report.command,
        "interrupted": report.interrupted,
        "environment": dict(report.environment),
        "versions": dict(report.versions),
        "plan": asdict(plan),
        "rows": [{name: value for name, value in asdict(row).items() if name != "turns"} for row in report.rows],
        "memory_kb": report.memory_kb,
        "targets": [asdict(target) | {"met": target.met} for target in report.targets],
        "raw": asdict(results),
    }


def _show(report: Report, as_markdown: bool) -> None:
    from rich.console import Console

    if as_markdown:
        print(markdown(report))
        return
    console = Console()
    if not console.is_terminal:  # a file has no width
        console = Console(width=_WIDTH)
    for table in rich_tables(report):
        console.print(table)
    console.print()
    for line in lines(report):
        console.print(line, highlight=False, markup=False)


def _status(report: Report) -> int:
    own = [row for row in report.rows if row.arm in OWN]
    if any(row.problem or row.unanswered for row in own):
        return FAILED
    return UNRELIABLE if any(row.doubts for row in own) else MEASURED
