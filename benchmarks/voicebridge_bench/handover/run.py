"""A whole run: the calls, managed beside raw under load, and the long call, each in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from voicebridge_bench.realtime.plan import Run
from voicebridge_bench.realtime.processes import ArmFailed, ServerProcess, run_arm
from voicebridge_bench.realtime.run import cores, steady

from .plan import HandoverPlan, cells

__all__ = ["Results", "run", "weights"]

Tell = Callable[[str, float], None]
_SIMULATORS = "voicebridge_bench.handover.simulators"
_CALL_S = 9.0
"""About so long a call takes."""
_START_S = 2.5
"""About so long a process and its sessions take to be there."""


@dataclass(slots=True, kw_only=True)
class Results:
    """Everything that a run saw."""

    calls: dict[str, Any] | None = None
    heard: dict[str, Any] = field(default_factory=dict)
    """What the simulators heard of the user, by the caller's key."""
    simulator_cores: float = 0.0
    runs: list[Run] = field(default_factory=list)
    long_call: dict[str, Any] | None = None
    problems: list[str] = field(default_factory=list)


def weights(plan: HandoverPlan) -> dict[str, float]:
    """About how many seconds each part takes."""
    return {
        "calls": sum(plan.calls.values()) * _CALL_S / plan.together + 8,
        "load": len(list(cells(plan))) * (_START_S + plan.warm_s + plan.seconds),
        "long call": (plan.minutes + 1) * 60 / plan.faster + 3,
    }


def run(plan: HandoverPlan, results: Results, tell: Tell) -> None:
    """Measure what the plan asks for, into `results`: what was measured before Ctrl-C is there.

    Args:
        tell: is told what goes on, and how many of the seconds of `weights` have passed with it.

    Raises:
        ArmFailed: a server ended by itself.
    """
    server_cpu, arm_cpu = cores(plan.pinned)
    weight = weights(plan)
    with ServerProcess(server_cpu, _SIMULATORS) as server:
        _calls(plan, server, results, arm_cpu, lambda: tell("calls", weight["calls"] / sum(plan.calls.values())))
    with ServerProcess(server_cpu) as server:
        todo = list(cells(plan))
        for cell in todo:
            tell(f"{cell.arm}, {cell.sessions} sessions, round {cell.round + 1}", 0.0)
            results.runs.append(steady(plan, server, cell, sys.executable, arm_cpu))
            tell("", weight["load"] / len(todo))
    with ServerProcess(server_cpu, _SIMULATORS) as server:
        tell(f"a call of {plan.minutes} minutes", 0.0)
        _long_call(plan, server, results, arm_cpu, lambda: tell("", weight["long call"] / plan.minutes))


def _calls(
    plan: HandoverPlan, server: ServerProcess, results: Results, cpu: int | None, told: Callable[[], None]
) -> None:
    job = {
        "kind": "handover_calls",
        "cpu": cpu,
        "urls": server.urls,
        "calls": plan.calls,
        "together": plan.together,
        "seed": plan.seed,
    }
    server.watch()
    try:
        results.calls = run_arm(job, sys.executable, lambda row: told(), limit_s=600.0)
    except ArmFailed as error:
        results.problems.append(f"The calls could not be held: {error}")
        return
    report = server.report()
    results.heard, results.simulator_cores = report["heard"], report["cores"]


def _long_call(
    plan: HandoverPlan, server: ServerProcess, results: Results, cpu: int | None, told: Callable[[], None]
) -> None:
    job = {
        "kind": "long_call",
        "cpu": cpu,
        "urls": server.urls,
        "minutes": plan.minutes,
        "faster": plan.faster,
    }
    try:
        results.long_call = run_arm(job, sys.executable, lambda row: told(), limit_s=600.0)
    except ArmFailed as error:
        results.problems.append(f"The long call could not be held: {error}")
        return
    heard = server.report()["heard"].get("call-long", {"samples": 0})
    results.long_call["heard"] = heard["samples"]
