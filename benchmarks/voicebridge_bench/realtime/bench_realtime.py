"""The whole of `voicebridge bench realtime`: plan, run, report, exit status."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voicebridge.contract.errors import ConfigError
from voicebridge_bench.environment import describe
from voicebridge_bench.text_file import write_text

from .arms.arm import ARMS, OWN
from .figures import Paired, Recovery, loads, memory_kb, paired, recovery, server_load, targets
from .plan import PEERS, RealtimePlan, plan_of
from .processes import ArmFailed
from .run import Results, installed, run
from .table import Report, lines, markdown, rich_tables

__all__ = ["Request", "bench_realtime"]

SCHEMA_VERSION = 1
_WIDTH = 180
MEASURED, FAILED, UNRELIABLE, INTERRUPTED = 0, 1, 5, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    quick: bool = False
    sessions: tuple[int, ...] | None = None
    peers: bool = False
    peers_python: str = sys.executable
    seed: int = 7
    pinned: bool = True
    json: Path | None = None
    """A file for the raw data and all figures."""
    markdown: bool = False
    command: str = "voicebridge bench realtime"


def bench_realtime(request: Request) -> int:
    """Measure, report, and give the exit status: 0 measured, 1 voicebridge failed, 5 something disturbed it.

    Raises:
        ConfigError: the system or an interpreter can't do it, or the file for the data can't be written.
    """
    from rich.console import Console

    if sys.platform == "win32":
        raise ConfigError("The realtime benchmark needs one monotonic clock for all processes: Linux or macOS.")
    if request.json is not None:
        write_text(request.json, "")
    console = Console(stderr=True)
    environment = describe()
    try:
        versions = installed(request.peers_python, (*OWN, *(PEERS if request.peers else ())))
        here = tuple(name for name in PEERS if name in versions)
        plan = plan_of(request.quick, request.sessions, here, request.seed, request.pinned)
        for missing in PEERS if request.peers else ():
            if missing not in versions:
                console.print(f"{missing} is not installed for {request.peers_python}: left out.", highlight=False)
        results, interrupted = Results(), False
        try:
            run(plan, request.peers_python, results, lambda what: console.print(what, highlight=False))
        except KeyboardInterrupt:
            interrupted = True
    except ArmFailed as error:
        raise ConfigError(str(error)) from None
    report = _report(results, versions, environment, request.command, interrupted)
    if request.json is not None:
        write_text(request.json, json.dumps(_raw(plan, results, report), indent=1))
    _show(report, request.markdown)
    return INTERRUPTED if interrupted else _status(report)


def _report(
    results: Results, versions: dict[str, Any], environment: dict[str, Any], command: str, interrupted: bool
) -> Report:
    rows = loads(results.runs)
    measured = {run.cell.arm for run in results.runs}
    arms = [arm for arm in ARMS if arm in measured]
    first: dict[str, Paired | str] = {
        arm: found["problem"] if "problem" in found else paired(found["bare_ms"], found["arm_ms"])
        for arm, found in results.first_audio.items()
    }
    memory = {arm: memory_kb(results.runs, arm) for arm in arms}
    own = first.get("voicebridge")
    first_ms = own.difference.value if isinstance(own, Paired) and own.difference else None
    again = results.recovery
    recovered = None if again is None else again["problem"] if "problem" in again else recovery(again)
    recovery_ms = recovered.audio.value if isinstance(recovered, Recovery) and recovered.audio else None
    return Report(
        loads=rows,
        memory_kb=memory,
        first_audio=first,
        recovery=recovered,
        server=server_load(results.runs),
        targets=targets(rows, memory.get("voicebridge"), first_ms, recovery_ms),
        versions={arm: found for arm, found in versions.items() if arm in measured},
        environment=environment,
        command=command,
        interrupted=interrupted,
    )


def _raw(plan: RealtimePlan, results: Results, report: Report) -> dict[str, Any]:
    """All of it: what each process saw, and the figures."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": report.command,
        "interrupted": report.interrupted,
        "environment": dict(report.environment),
        "versions": dict(report.versions),
        "plan": asdict(plan),
        "loads": [asdict(row) for row in report.loads],
        "memory_kb": dict(report.memory_kb),
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
    console.print(rich_tables(report))
    console.print()
    for line in lines(report):
        console.print(line, highlight=False, markup=False)


def _status(report: Report) -> int:
    own = [row for row in report.loads if row.arm == "voicebridge"]
    apart = (report.first_audio.get("voicebridge"), report.recovery)
    if any(row.problem for row in own) or any(isinstance(outcome, str) for outcome in apart):
        return FAILED
    disturbed = [row for row in report.loads if row.arm in OWN and row.doubts]
    return UNRELIABLE if disturbed else MEASURED
