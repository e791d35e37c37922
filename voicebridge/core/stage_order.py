"""Which of a seat's stages does the next piece of work (an answer, its speech, an utterance): the first that is well.

of a stage   input                                   becomes
well         failed, others are there                cooling: 10 s, doubled with each failure in a row, or as long as it
                                                     asked for; 10 min without money
well         failed for good (auth, config)          out, for this session
well         failed, refused for what was said       well: it is not its failure, and nobody else is asked
cooling      its time is over                        well, and preferred again by the next piece of work
any          it did a piece of work to its end       well
slow         it is warm                              well; until then it comes after those that are

of a piece of work                                   next
its stage failed, another was not tried yet          that one, at once; those that are well first
its stage failed, all were tried                     the work has failed
its stage failed, it is alone, nothing had come of
it, and another try may help                         tried again after a short wait, twice at most and within 4 s of the
                                                     question; the wait that it asked for is never undercut
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from voicebridge.contract.fault import Category, Fault

from .retry import RetryPolicy, delays, wait_before_retry

__all__ = ["StageOrder", "Work"]

_COOL_DOWN_S = 10.0
_LONGEST_COOL_DOWN_S = 300.0
_QUOTA_COOL_DOWN_S = 600.0
_FOR_GOOD: frozenset[Category] = frozenset({"auth", "config", "unsupported"})
_ALONE = RetryPolicy(deadline_s=4.0, tries=2, first_s=0.2, longest_s=0.8)
"""For a stage that nobody can take over from. A caller hears silence meanwhile, so it is little."""


@dataclass(slots=True)
class _State:
    cool_until: float = 0.0
    failures: int = 0
    """In a row."""


class StageOrder:
    """The stages of a seat, by their number from 0, the preferred one first.

    Args:
        random: gives numbers from 0 to 1, for the random part of waits.
    """

    def __init__(self, count: int, random: Callable[[], float]) -> None:
        self._states = [_State() for _ in range(count)]
        self._random = random
        self.slow: set[int] = set()
        """Those that are not warm yet."""

    def __len__(self) -> int:
        return len(self._states)

    def best(self, now: float, among: Collection[int] | None = None, tried: Collection[int] = ()) -> int | None:
        """The first that is well, else the first that may be tried all the same; None: all were tried.

        Args:
            among: which of them may do it. None: all.
        """
        able = [i for i in range(len(self)) if i not in tried and (among is None or i in among)]
        well = (i for i in able if self._states[i].cool_until <= now and i not in self.slow)
        hopeful = (i for i in able if math.isfinite(self._states[i].cool_until))
        return next(well, next(hopeful, able[0] if able else None))

    def begin(self, now: float, among: Collection[int] | None = None) -> Work | None:
        """A piece of work. None: none of those may do it."""
        first = self.best(now, among)
        return None if first is None else Work(self, first, now, among)

    def cool(self, stage: int, fault: Fault, now: float) -> None:
        """It failed: leave it alone for a while."""
        state = self._states[stage]
        state.failures = min(state.failures + 1, 6)
        if fault.category in _FOR_GOOD:
            state.cool_until = math.inf
            return
        cool_s = min(_COOL_DOWN_S * 2 ** (state.failures - 1), _LONGEST_COOL_DOWN_S)
        if fault.category == "quota":
            cool_s = _QUOTA_COOL_DOWN_S
        state.cool_until = max(state.cool_until, now + max(cool_s, fault.retry_after_s or 0.0))

    def well(self, stage: int) -> None:
        """It did a piece of work to its end."""
        self._states[stage] = _State()

    def new_delays(self) -> Iterator[float]:
        """Waits of a stage that is alone."""
        return delays(_ALONE, self._random)


class Work:
    """One piece of work, and who does it. Made by `StageOrder.begin`."""

    def __init__(self, order: StageOrder, first: int, now: float, among: Collection[int] | None) -> None:
        self.stage = first
        """Who does it."""
        self._order, self._began, self._among = order, now, among
        self._tried: set[int] = set()
        self._failures = 0
        self._delays = order.new_delays()

    def another(self, now: float) -> bool:
        """Whether somebody could take over."""
        return self._order.best(now, self._among, self._tried | {self.stage}) is not None

    def leave_out(self, stages: Collection[int]) -> None:
        """These can't take over any more."""
        self._tried.update(stages)

    @property
    def repeated(self) -> bool:
        """Whether its stage, which is alone, was asked again and failed again."""
        return len(self._order) == 1 and self._failures > 1

    def failed(self, fault: Fault, now: float, *, begun: bool) -> float | None:
        """Its stage failed. Seconds after which `stage`, which may be another now, shall go on; None: the work failed.

        Args:
            begun: something had come of it.
        """
        self._failures += 1
        if fault.category == "content":
            return None
        if len(self._order) == 1:
            delay_s = next(self._delays, None)
            if begun or delay_s is None:
                return None
            return wait_before_retry(fault, delay_s=delay_s, elapsed_s=now - self._began, policy=_ALONE)
        self._order.cool(self.stage, fault, now)
        self._tried.add(self.stage)
        following = self._order.best(now, self._among, self._tried)
        if following is None:
            return None
        self.stage = following
        return 0.0

    def done(self) -> None:
        """It is done, to its end."""
        self._order.well(self.stage)

    def asked(self, at: float) -> None:
        """When somebody began to wait for it, if that was not the beginning. After a failure, nobody begins anew."""
        if not self._failures:
            self._began = at

    def renew(self, now: float) -> None:
        """A part of it is done: what follows is new work for the same stage."""
        self.done()
        self._began, self._failures, self._delays = now, 0, self._order.new_delays()
        self._tried.clear()
