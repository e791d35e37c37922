"""A whole run: the server, one arm after the other, and what is left of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from .arms.arm import ARMS, OWN
from .plan import Cell, RealtimePlan, Run, cells
from .processes import ArmFailed, ServerProcess, run_arm

__all__ = ["Load", "Results", "cores", "installed", "run", "steady"]

Tell = Callable[[str], None]
_SHORT = 2
"""Frames of a response whose first one is timed."""


class Load(Protocol):
    """How long a measurement under steady load takes."""

    @property
    def seconds(self) -> float:
        """Of it."""

    @property
    def warm_s(self) -> float:
        """Before it."""

    @property
    def seed(self) -> int:
        """Of when calls begin."""


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything that a run saw."""

    runs: list[Run] = field(default_factory=list)
    first_audio: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By arm: `bare_ms` and `arm_ms`, or `problem`."""
    recovery: dict[str, Any] | None = None
    """`restarted_ms` and `audio_ms`, or `problem`."""


def installed(python: str, arms: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Of the arms that can be measured: the interpreter's version (`python`), and `packages` with theirs.

    Raises:
        ArmFailed: the interpreter does not run.
    """
    found: dict[str, dict[str, Any]] = {}
    for interpreter, names in ((sys.executable, OWN), (python, tuple(name for name in ARMS if name not in OWN))):
        wanted = [name for name in names if name in arms]
        if wanted:
            row = run_arm({"kind": "versions", "arms": wanted}, interpreter)
            for name, packages in row["arms"].items():
                if packages is not None:
                    found[name] = {"python": row["python"], "packages": packages}
    return found


def run(plan: RealtimePlan, python: str, results: Results, tell: Tell) -> None:
    """Measure what the plan asks for, into `results`: what was measured before Ctrl-C is there.

    Args:
        python: the interpreter of the peers.
        tell: is told what begins.

    Raises:
        ArmFailed: the server ended by itself.
    """
    server_cpu, arm_cpu = cores(plan.pinned)
    with ServerProcess(server_cpu) as server:
        for cell in cells(plan):
            tell(f"{cell.arm}, {cell.sessions} sessions, round {cell.round + 1} of {plan.rounds}")
            results.runs.append(steady(plan, server, cell, python, arm_cpu))
        for arm in ("voicebridge", *plan.peers):
            if ARMS[arm].asks and plan.pairs:
                tell(f"{arm}, first audio")
                results.first_audio[arm] = _first_audio(plan, server, arm, python, arm_cpu)
        if plan.recoveries:
            tell("voicebridge, recovery from a reset")
            results.recovery = _recovery(plan, server, arm_cpu)


def cores(pinned: bool) -> tuple[int | None, int | None]:
    """The server's core and the arms', where there are two and processes can be kept on them."""
    cores = sorted(os.sched_getaffinity(0)) if pinned and hasattr(os, "sched_getaffinity") else []
    return (cores[1], cores[0]) if len(cores) > 1 else (None, None)


def steady(plan: Load, server: ServerProcess, cell: Cell, python: str, cpu: int | None) -> Run:
    """One measurement under steady load, in a process of its own."""
    done = Run(cell)
    seen: dict[str, Any] = {}

    def on_row(kind: str) -> None:
        if kind == "begin":
            server.watch()
        elif kind == "end":
            seen.update(server.report())

    server.behave(seed=plan.seed + cell.round)
    job = {
        "kind": "steady",
        "arm": cell.arm,
        "port": server.port,
        "cpu": cpu,
        "sessions": cell.sessions,
        "warm_s": plan.warm_s,
        "seconds": plan.seconds,
        "seed": plan.seed + cell.round,
    }
    try:
        done.found = run_arm(job, python, on_row)
        done.server = seen
    except ArmFailed as error:
        done.problem = str(error)
    return done


def _first_audio(plan: RealtimePlan, server: ServerProcess, arm: str, python: str, cpu: int | None) -> dict[str, Any]:
    server.behave(answers_speech=False, frames=_SHORT, paced=False)
    job = {
        "kind": "first_audio",
        "arm": arm,
        "port": server.port,
        "cpu": cpu,
        "pairs": plan.pairs if arm in OWN else plan.peer_pairs,
        "seed": plan.seed,
    }
    try:
        return run_arm(job, python)
    except ArmFailed as error:
        return {"problem": str(error)}


def _recovery(plan: RealtimePlan, server: ServerProcess, cpu: int | None) -> dict[str, Any]:
    server.behave(answers_speech=False, seed=plan.seed)
    job = {
        "kind": "recovery",
        "arm": "voicebridge",
        "port": server.port,
        "cpu": cpu,
        "recoveries": plan.recoveries,
        "seed": plan.seed,
    }
    try:
        return run_arm(job, sys.executable)
    except ArmFailed as error:
        return {"problem": str(error)}
