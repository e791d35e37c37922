"""A whole run: the simulators, one client after the other, and what is left of it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from voicebridge_bench.realtime.plan import Run
from voicebridge_bench.realtime.processes import ArmFailed, ServerProcess, run_arm
from voicebridge_bench.realtime.run import cores

from .arms.arm import ARMS, OWN
from .clips import write_clips
from .plan import CascadeCell, CascadePlan, cells, weight
from .settings import ROUND_TRIP_MS, SETTINGS, Setting

__all__ = ["Results", "installed", "measured", "run", "seconds"]

Tell = Callable[[str, float], None]
_SIMULATORS = "voicebridge_bench.cascade.simulators"
_LIMIT_S = 900.0


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything that a run saw."""

    runs: list[Run] = field(default_factory=list)


def installed(python: str, arms: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Of the arms that can be measured: the interpreter's version (`python`), and `packages` with theirs.

    Raises:
        ArmFailed: the interpreter does not run.
    """
    found: dict[str, dict[str, Any]] = {}
    for interpreter, names in ((sys.executable, OWN), (python, tuple(name for name in ARMS if name not in OWN))):
        if wanted := [name for name in names if name in arms]:
            row = run_arm({"kind": "cascade_versions", "arms": wanted}, interpreter)
            for name, packages in row["arms"].items():
                if packages is not None:
                    found[name] = {"python": row["python"], "packages": packages}
    return found


def seconds(plan: CascadePlan) -> float:
    """About how long it takes."""
    return sum(weight(cell) for cell in cells(plan))


def run(plan: CascadePlan, python: str, results: Results, tell: Tell) -> None:
    """Measure what the plan asks for, into `results`: what was measured before Ctrl-C is there.

    Args:
        python: the interpreter of the peers.
        tell: is told what goes on, and how many of the seconds of `seconds` have passed with it.

    Raises:
        ArmFailed: the simulators ended by themselves.
        ConfigError: the recordings are not there.
    """
    server_cpu, arm_cpu = cores(plan.pinned)
    with tempfile.TemporaryDirectory() as folder, ServerProcess(server_cpu, _SIMULATORS) as server:
        for cell in cells(plan):
            tell(f"{cell.group}: {ARMS[cell.arm].title}, {cell.setting}, {cell.sessions} sessions", 0.0)
            results.runs.append(measured(plan, server, cell, python, arm_cpu, Path(folder)))
            tell("", weight(cell))


def measured(
    plan: CascadePlan, server: ServerProcess, cell: CascadeCell, python: str, cpu: int | None, folder: Path
) -> Run:
    """One client at one place of the plan, in a process of its own. What fails is told in `problem`."""
    done = Run(cell)
    setting = SETTINGS[cell.setting]
    urls = _served(server, setting, plan.seed)

    def on_row(kind: str) -> None:
        if kind == "begin":
            server.watch()
        elif kind == "end":
            done.server = server.report()

    job = {
        "kind": "cascade",
        "arm": cell.arm,
        "cpu": cpu,
        "setup": {
            "urls": {seat: urls[vendor]["far"] for seat, vendor in setting.seats.items()},
            "spec": setting.spec,
            "models": dict(setting.models),
            "silence_ms": cell.silence_ms,
        },
        "boards": [url["direct"] for url in urls.values()],
        "clips": [asdict(clip) for clip in write_clips(folder, cell.clips, sharp=cell.sharp)],
        "keys": cell.keys,
        "turns": cell.turns,
        "silences_s": {"guess": ARMS[cell.arm].guess_ms / 1000, "end": (cell.silence_ms or plan.silence_ms) / 1000},
        "seed": plan.seed + cell.round,
    }
    try:
        done.found = run_arm(job, sys.executable if cell.arm in OWN else python, on_row, limit_s=_LIMIT_S)
    except ArmFailed as error:
        done.problem = str(error)
    return done


def _served(server: ServerProcess, setting: Setting, seed: int) -> dict[str, dict[str, str]]:
    """The vendors' addresses; anew for each cell, so that each begins with the same turns."""
    vendors = {
        name: {
            "simulator": vendor.simulator,
            "profile": vendor.profile,
            "seed": seed,
            "options": dict(vendor.options),
            "scheme": vendor.scheme,
        }
        for name, vendor in setting.vendors.items()
    }
    urls: dict[str, dict[str, str]] = server.order({"do": "serve", "vendors": vendors, "round_trip_ms": ROUND_TRIP_MS})[
        "urls"
    ]
    return urls
