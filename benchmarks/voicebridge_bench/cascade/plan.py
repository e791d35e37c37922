"""What is measured, and in which order."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from voicebridge_bench.realtime.plan import Cell

from .arms.arm import ARMS, FLOORS, OWN
from .settings import SETTINGS

__all__ = ["GROUPS", "PEERS", "CascadeCell", "CascadePlan", "cells", "plan_of", "weight"]

PEERS = tuple(name for name in ARMS if name not in OWN)
GROUPS = ("bounds", "side by side", "out of the box", "many")
"""Parts of a run, in their order."""
_STRATEGIES = ("plain", *FLOORS.values(), *FLOORS)
_BESIDE = ("bare", "plain", "plain-early", "voicebridge")
_BOX = ("voicebridge-box",)
_SHARP = ("wisdom", "foolishness", "belief", "incredulity")
"""Turns of the corpus whose longest pause is short."""
_SPOKEN = ("wisdom", "incredulity", "foolishness", "everything-nothing", "authorities", "other-way")
_TURN_S = 6.0
"""About so long a turn takes, its answer included."""
_START_S = 3.0
"""About so long a process and its sessions take to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadePlan:
    """All settings of a run."""

    settings: tuple[str, ...] = ("constants", "claimed", "published", "the article's vendors", "the best mix")
    """Where strategies are held against their bounds."""
    sessions: int = 12
    """At the same time, there."""
    turns: int = 7
    """Of each session, there."""
    rounds: int = 1
    beside_sessions: tuple[int, ...] = (1, 20)
    beside_turns: tuple[int, ...] = (18, 4)
    box_turns: int = 12
    many: int = 100
    many_turns: int = 5
    silence_ms: int = 500
    peers: tuple[str, ...] = ()
    seed: int = 7
    pinned: bool = True
    groups: tuple[str, ...] = GROUPS


def plan_of(quick: bool, peers: Sequence[str], seed: int, pinned: bool, groups: Sequence[str] = GROUPS) -> CascadePlan:
    """The plan of a command line."""
    plan = CascadePlan(peers=tuple(peers), seed=seed, pinned=pinned, groups=tuple(groups))
    if quick:
        plan = replace(
            plan,
            settings=("claimed",),
            sessions=8,
            turns=1,
            beside_sessions=(6,),
            beside_turns=(1,),
            box_turns=6,
            many=20,
            many_turns=1,
        )
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeCell(Cell):
    """One client in one setting, at one number of sessions."""

    group: str
    setting: str
    turns: int
    silence_ms: int | None
    clips: tuple[str, ...] = _SHARP
    sharp: bool = True

    @property
    def keys(self) -> list[str]:
        """Of its callers: those of other clients in the same setting are the same, so they draw the same times."""
        return [f"bench-{self.round}-{number}" for number in range(self.sessions)]


def cells(plan: CascadePlan) -> Iterator[CascadeCell]:
    """In turns: in each part one client after the other, in an order of its own in each round."""
    rng = random.Random(plan.seed)
    for group in plan.groups:
        for number in range(plan.rounds):
            for batch in _batches(plan, group):
                here = [replace(cell, round=number) for cell in batch]
                rng.shuffle(here)
                yield from here


def _batches(plan: CascadePlan, group: str) -> Iterator[list[CascadeCell]]:
    """What is compared stands in one of them."""
    if group == "bounds":
        for setting in plan.settings:
            yield [
                CascadeCell(
                    round=0,
                    group=group,
                    setting=setting,
                    arm=arm,
                    sessions=plan.sessions,
                    turns=plan.turns,
                    silence_ms=plan.silence_ms,
                )
                for arm in (_STRATEGIES if SETTINGS[setting].is_plain else FLOORS)
            ]
    elif group == "side by side":
        for sessions, turns in zip(plan.beside_sessions, plan.beside_turns, strict=True):
            yield [_spoken(group, arm, sessions, turns, plan.silence_ms) for arm in (*_BESIDE, *plan.peers)]
    elif group == "out of the box":
        yield [_spoken(group, arm, 1, plan.box_turns, None) for arm in (*_BOX, *plan.peers)]
    elif plan.many:
        yield [
            CascadeCell(
                round=0,
                group=group,
                setting="constants",
                arm="voicebridge",
                sessions=plan.many,
                turns=plan.many_turns,
                silence_ms=plan.silence_ms,
            )
        ]


def _spoken(group: str, arm: str, sessions: int, turns: int, silence_ms: int | None) -> CascadeCell:
    return CascadeCell(
        round=0,
        group=group,
        setting="calm voice",
        arm=arm,
        sessions=sessions,
        turns=turns,
        silence_ms=silence_ms,
        clips=_SPOKEN,
        sharp=False,
    )


def weight(cell: CascadeCell) -> float:
    """About how many seconds it takes."""
    return _START_S + (cell.turns + 1) * _TURN_S
