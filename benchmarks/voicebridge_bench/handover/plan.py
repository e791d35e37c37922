"""What is measured, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from voicebridge_bench.realtime.plan import Cell

from .scenarios import SCENARIOS

__all__ = ["ARMS", "HandoverPlan", "cells", "plan_of"]

ARMS = ("voicebridge-raw", "voicebridge")
_DROPS = ("RST", "FIN", "half-open")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverPlan:
    """All settings of a run."""

    seeds: int = 50
    """Connections that are lost in an answer."""
    moves: int = 6
    """Calls of each other scenario."""
    together: int = 16
    """Calls at the same time."""
    sessions: int = 50
    """Where managed and raw session are compared."""
    many: int = 100
    """Managed sessions on one loop."""
    rounds: int = 7
    seconds: float = 4.0
    """Of each measurement under steady load, after `warm_s`."""
    warm_s: float = 1.0
    minutes: int = 20
    """Of the long call."""
    faster: float = 20.0
    """How many times its time is compressed."""
    seed: int = 7
    pinned: bool = True
    calls: dict[str, int] = field(default_factory=dict)
    """How many of each scenario."""


def plan_of(quick: bool, seeds: int | None, seed: int, pinned: bool) -> HandoverPlan:
    """The plan of a command line."""
    plan = HandoverPlan(seed=seed, pinned=pinned)
    if quick:
        plan = replace(plan, seeds=12, moves=1, sessions=25, many=0, rounds=2, seconds=2.0, warm_s=0.5, minutes=5)
        plan = replace(plan, faster=40.0, together=20)
    if seeds is not None:
        plan = replace(plan, seeds=seeds)
    return replace(plan, calls=dict(_calls(plan)))


def _calls(plan: HandoverPlan) -> Iterator[tuple[str, int]]:
    for name in SCENARIOS:
        kind, _, how = name.partition(", ")
        if kind == "drop":
            place = _DROPS.index(how)
            yield name, plan.seeds // 3 + (place < plan.seeds % 3)
        else:
            yield name, plan.moves


def cells(plan: HandoverPlan) -> Iterator[Cell]:
    """Managed and raw in turns, who begins changes; then many at once."""
    for number in range(plan.rounds):
        yield from (Cell(arm, plan.sessions, number) for arm in (ARMS if number % 2 else ARMS[::-1]))
    if plan.many:
        yield from (Cell("voicebridge", plan.many, number) for number in range(2))
