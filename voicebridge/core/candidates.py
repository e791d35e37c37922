"""Which backend carries a call when one fails: the first that is well, in the caller's order.

of a candidate           input                               becomes
well                     lost, after it had been well for
                         a while (`healthy_after_s`), and
                         another try may help                well: tried again, once or as patience has it
well                     lost too often (`drops`), others
                         are there                           cooling
well                     lost far too often (`most_drops`),
                         it is alone                         out: the call is given up
well                     failed otherwise, others are there  cooling: for 10 s, longer each time, or as it said itself
well                     failed otherwise, it is alone       well, as long as patience lasts
cooling                  its time is over                    well
cooling                  no other is well, somebody waits,
                         and another try may help            tried again: what cools it is our caution alone
any                      refused for good (auth, config,
                         unsupported), others are there      out
any                      lost, after a while, not too often  its next cool-down is short again
any                      it carries the call                 well
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from voicebridge.contract.fault import Category, Fault

from .retry import Patience, RetryPolicy

__all__ = ["Candidates", "Choice"]

_C = TypeVar("_C", bound=Hashable)

_COOL_DOWN_S = 10.0
_LONGEST_COOL_DOWN_S = 300.0
_QUOTA_COOL_DOWN_S = 600.0
_FOR_GOOD: frozenset[Category] = frozenset({"auth", "config", "unsupported"})
_AGAIN_AT_ONCE: frozenset[Category] = frozenset({"network", "planned_end", "closed"})
"""A connection can be lost without any fault of the backend."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[_C]):
    """What to dial next, and after how many seconds."""

    candidate: _C
    wait_s: float = 0.0


@dataclass(slots=True)
class _State:
    patience: Patience
    cool_until: float = 0.0
    useless_until: float = 0.0
    """Until then another try can't help: it said so itself, it has no money, or it was tried too often."""
    cool_downs: int = 0
    drops: deque[float] = field(default_factory=deque)
    """When it lost the call, as long as that counts."""

    def dropped(self, policy: RetryPolicy, now: float) -> None:
        """It lost the call."""
        self.drops.append(now)
        oldest = now - max(policy.drops_within_s, policy.most_drops_within_s)
        while self.drops[0] <= oldest:
            self.drops.popleft()

    def drops_since(self, since: float) -> int:
        """How often it lost the call after that."""
        return sum(at > since for at in self.drops)


class Candidates(Generic[_C]):
    """The backends of a call, the preferred one first.

    Args:
        random: gives numbers from 0 to 1, for the random part of waits.
    """

    def __init__(self, candidates: Sequence[_C], policy: RetryPolicy, random: Callable[[], float]) -> None:
        self._policy, self._random = policy, random
        self._states: dict[_C, _State] = {}
        self.replace(candidates)

    def replace(self, candidates: Sequence[_C]) -> None:
        """Other candidates from now on; of those that were there before, what is known of them stays known."""
        known = self._states
        self._states = {c: known.get(c) or _State(Patience(self._policy, self._random)) for c in candidates}

    @property
    def preferred(self) -> _C:
        """The first of them."""
        return next(iter(self._states))

    def meaning(self, candidate: _C, fault: Fault, *, lasted_s: float | None) -> Fault:
        """What the end of a connection means. See `Patience.meaning`."""
        state = self._states.get(candidate)
        return fault if state is None else state.patience.meaning(fault, lasted_s=lasted_s)

    def give_up_at(self, since: float) -> float:
        """When nothing is tried any more and no dial is waited for; infinity: a dial has its own time-outs.

        Args:
            since: when the last one that carried the call was lost, or the first one failed.
        """
        if len(self._states) > 1:
            return since + self._policy.deadline_s
        (state,) = self._states.values()
        return math.inf if state.patience.deadline is None else state.patience.deadline

    def well(self, candidate: _C) -> None:
        """It carries the call."""
        if state := self._states.get(candidate):
            state.cool_until = state.useless_until = 0.0

    def returns_at(self, serving: _C) -> float | None:
        """When the preferred candidate may be tried again, while another one serves. None: it serves, or is out."""
        if serving == self.preferred:
            return None
        until = self._states[self.preferred].cool_until
        return until if math.isfinite(until) else None

    def other(self, busy: Sequence[_C], now: float) -> _C | None:
        """The first that is well and none of these."""
        return next((c for c, state in self._states.items() if c not in busy and state.cool_until <= now), None)

    def spare(self, busy: Sequence[_C], now: float) -> _C | None:
        """The first that is none of these and cools for our caution alone: better than nobody."""
        return next((c for c, state in self._states.items() if c not in busy and state.useless_until <= now), None)

    def after(self, failed: _C, fault: Fault, *, lasted_s: float | None, now: float) -> Choice[_C] | None:
        """What to dial after a failure; None: give up."""
        state = self._states.get(failed)
        if state is None:  # the call was moved to other candidates meanwhile
            instead = self.other((), now)
            return self._soonest(0.0, now) if instead is None else Choice(instead)
        wait_s = state.patience.wait_after(fault, lasted_s=lasted_s, now=now)
        policy = self._policy
        if lasted_s is not None and fault.category != "planned_end":
            state.dropped(policy, now)
        if len(self._states) == 1:
            hopeless = state.drops_since(now - policy.most_drops_within_s) >= policy.most_drops
            return None if wait_s is None or hopeless else Choice(failed, wait_s)
        too_often = state.drops_since(now - policy.drops_within_s) >= policy.drops
        was_well = lasted_s is not None and lasted_s >= policy.healthy_after_s
        if was_well and not too_often:
            state.cool_downs = 0
            if wait_s is not None and fault.category in _AGAIN_AT_ONCE:
                return Choice(failed, wait_s)
        self.cool(failed, fault, now)
        if wait_s is None:
            state.useless_until = max(state.useless_until, state.cool_until)
        instead = self.other((), now)
        return self._soonest(wait_s or 0.0, now) if instead is None else Choice(instead)

    def cool(self, candidate: _C, fault: Fault, now: float) -> None:
        """Leave it alone for a while."""
        state = self._states.get(candidate)
        if state is None:
            return
        if fault.category in _FOR_GOOD:
            state.cool_until = state.useless_until = math.inf
            return
        cool_s = min(_COOL_DOWN_S * 2**state.cool_downs, _LONGEST_COOL_DOWN_S)
        state.cool_downs = min(state.cool_downs + 1, 5)
        useless_s = fault.retry_after_s or 0.0
        if fault.category == "quota":
            cool_s = useless_s = max(_QUOTA_COOL_DOWN_S, useless_s)
        state.cool_until = max(state.cool_until, now + max(cool_s, useless_s))
        if useless_s:
            state.useless_until = max(state.useless_until, now + useless_s)

    def _soonest(self, wait_s: float, now: float) -> Choice[_C] | None:
        """All are cooling, and the call can't wait that long: the first that another try may help, after a moment."""
        candidate = min(self._states, key=lambda c: max(now, self._states[c].useless_until))
        wait_s = max(wait_s, self._states[candidate].useless_until - now)
        return Choice(candidate, wait_s) if wait_s <= self._policy.deadline_s else None
