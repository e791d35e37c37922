"""What is measured, and in which order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .arms.arm import ARMS, OWN

__all__ = ["PEERS", "Cell", "RealtimePlan", "Run", "cells", "plan_of"]

PEERS = tuple(name for name in ARMS if name not in OWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimePlan:
    """All settings of a run."""

    sessions: tuple[int, ...] = (1, 10, 50, 100, 200)
    peer_sessions: tuple[int, ...] = (1, 50)
    tuned_sessions: tuple[int, ...] = (50, 200)
    """Of the bare client with the faster codecs, which is there to tell what of a ratio is the codecs'."""
    seconds: float = 6.0
    """Of each measurement under steady load, after `warm_s`."""
    warm_s: float = 1.5
    rounds: int = 3
    peer_rounds: int = 2
    pairs: int = 200
    """Of turns, for the first audio."""
    peer_pairs: int = 100
    recoveries: int = 30
    peers: tuple[str, ...] = ()
    seed: int = 7
    pinned: bool = True


def plan_of(quick: bool, sessions: Sequence[int] | None, peers: Sequence[str], seed: int, pinned: bool) -> RealtimePlan:
    """The plan of a command line."""
    plan = RealtimePlan(peers=tuple(peers), seed=seed, pinned=pinned)
    if quick:
        plan = replace(
            plan,
            sessions=(1, 50),
            peer_sessions=(50,),
            tuned_sessions=(50,),
            seconds=2.0,
            warm_s=0.5,
            rounds=1,
            peer_rounds=1,
            pairs=40,
            peer_pairs=20,
            recoveries=6,
        )
    if sessions is not None:
        counts = tuple(sorted(set(sessions)))
        plan = replace(
            plan,
            sessions=counts,
            tuned_sessions=counts,
            peer_sessions=tuple(n for n in counts if n <= 50) or counts[:1],
        )
    return plan


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement under steady load."""

    arm: str
    sessions: int
    round: int


@dataclass(slots=True)
class Run:
    """A cell, and what came of it."""

    cell: Cell
    found: dict[str, Any] | None = None
    """What the client's process saw."""
    server: dict[str, Any] | None = None
    """What the server saw meanwhile."""
    problem: str | None = None
    """Why there is nothing."""


def cells(plan: RealtimePlan) -> Iterator[Cell]:
    """In turns: at each number of sessions one arm after the other, in another order each round."""
    rng = random.Random(plan.seed)
    for number in range(plan.rounds):
        for count in sorted({*plan.sessions, *plan.peer_sessions, *plan.tuned_sessions}):
            here = [arm for arm in ARMS if _is_in(plan, arm, count, number)]
            rng.shuffle(here)
            yield from (Cell(arm, count, number) for arm in here)


def _is_in(plan: RealtimePlan, arm: str, count: int, number: int) -> bool:
    if arm in PEERS:
        return arm in plan.peers and count in plan.peer_sessions and number < plan.peer_rounds
    if arm == "voicebridge-raw":
        return False  # it is measured beside the managed session, by `bench handover`
    return count in (plan.tuned_sessions if arm == "bare-tuned" else plan.sessions)
