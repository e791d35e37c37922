"""When a call moves to another connection. One mechanism for all reasons, make before break.

state       input                        becomes     effect
-           start                        opening     Dial
opening     ready                        serving     Flip to it; Close the others
opening     failed, another is well      opening     Dial that
opening     failed, none is well         waiting     (a dial, after a wait)
opening     failed, no patience left     over        GiveUp
opening     slow, another is well        opening     Dial that as well: the first that is ready carries the call
opening     nothing comes of it for 30 s over        GiveUp
opening     very slow, another cools     opening     Dial that as well
waiting     due                          opening     Dial
serving     failed                       opening     Dial, or wait, or GiveUp; a planned one that is open takes over
serving     a wish (expiry, swap,
            reconfigure, return)         moving      Dial, while the old one serves on
moving      ready, the moment is right   serving     Flip; Close the old one
moving      ready, the moment is not     moving      (it waits for `moved`, at most until the wish's deadline)
moving      the moment is right, and it
            knows too little by now      moving      Close it; Dial again, a few times
serving     nothing arrives there        moving      Dial, while it is hoped for; Flip as soon as that is ready
moving      it arrives after all         serving     Close the one that was dialled for that
moving      it failed, or takes too long serving     Refuse (swap, reconfigure); or again later (expiry, return)

The right moment is a turn boundary: nobody speaks. A swap does not wait for the user, whose voice the next one hears
from the beginning of the turn; an expiry waits for nobody any more when time is short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from voicebridge.contract.fault import Fault

from .candidates import Candidates, Choice
from .handover_effects import Close, Dial, Effect, Flip, GiveUp, Moment, Reason, Refuse, Wish
from .retry import RetryPolicy

__all__ = ["Handover"]

_C = TypeVar("_C", bound=Hashable)

_TOO_LATE = Fault(category="network", code="timeout", message="No connection was ready in time.", retryable=True)
_NEVER_READY = Fault(
    category="network",
    code="timeout",
    message="The backend neither failed nor got ready within 30 s. Look whether it can be reached.",
    retryable=True,
)
_LEAD_S = 60.0
"""So long before a known end the next connection is made, where the whole time is long enough."""
_SHORTEST_LEAD_S = 5.0
_MARGIN_S = 2.0
"""So long before a known end nobody is waited for any more."""
_SWAP_PATIENCE_S = 10.0
"""So long a swap waits for an answer that is being given."""
_OPEN_WITHIN_S = 30.0
"""So long a planned connection may take, or the first one where nothing fails. Backends have time-outs of their own,
and shorter ones."""
_VERY_SLOW_S = 2.0
"""A dial that is not ready by then gets a rival that is only cooling, where nobody is well."""
_STALE_TRIES = 3
_ASKED_FOR: frozenset[Reason] = frozenset({"swap", "reconfigure"})
"""Somebody waits to be told whether it could be done."""


@dataclass(slots=True)
class _Attempt(Generic[_C]):
    candidate: _C
    began_at: float
    planned: bool
    """Another one served when it was begun."""
    ready_at: float | None = None


@dataclass(slots=True)
class _Trouble(Generic[_C]):
    """Nothing carries the call, since something failed."""

    candidate: _C
    fault: Fault
    since: float
    retry: _C | None = None
    retry_at: float = math.inf


class Handover(Generic[_C]):
    """Decides; the caller carries out the effects, and tells what comes of them. Seconds are monotonic.

    Args:
        candidates: whom to dial.
        fits: whether a connection knows, or can be told, what was said since it was opened.
        slow_after_s: a dial that is not ready by then gets a rival, where there is one.
    """

    def __init__(
        self,
        candidates: Candidates[_C],
        fits: Callable[[int], bool] = lambda attempt: True,
        slow_after_s: float = RetryPolicy().slow_after_s,
    ) -> None:
        self.candidates, self.fits, self.slow_after_s = candidates, fits, slow_after_s
        self.moment = Moment()
        self.wish: Wish | None = None
        self._attempts: dict[int, _Attempt[_C]] = {}
        self._serving: int | None = None
        self._trouble: _Trouble[_C] | None = None
        self._last = 0
        """The number of the last attempt."""
        self._stale = 0
        """How many connections of this wish knew too little."""
        self._renew_at = self._expires_at = self._wish_again_at = math.inf
        self._hurried = -math.inf
        """Up to when the limits of the wish have been acted upon."""
        self._stall: Wish | None = None
        """The wish that is there since nothing arrives at the one that serves."""
        self._hopeless_at = math.inf
        """When the first connection is waited for no more, though nothing failed."""
        self._over = False

    @property
    def serving(self) -> _C | None:
        """Who carries the call."""
        return None if self._serving is None else self._attempts[self._serving].candidate

    def another(self, now: float) -> _C | None:
        """Whom the call could go to, if the one that serves were not there."""
        serving = self.serving
        return None if serving is None else self.candidates.other((serving,), now)

    # What happens

    def start(self, now: float) -> list[Effect[_C]]:
        """The call begins."""
        self._hopeless_at = now + _OPEN_WITHIN_S
        return [self._dial(self.candidates.preferred, now)]

    def ready(self, attempt: int, now: float) -> list[Effect[_C]]:
        """A connection can be spoken to."""
        one = self._attempts.get(attempt)
        if one is None or self._over:
            return [Close(attempt)]
        one.ready_at = now
        return self._take_over(attempt, now) if self._serving is None else self._flip_if_right(now)

    def failed(self, attempt: int, fault: Fault, now: float, *, well_until: float | None = None) -> list[Effect[_C]]:
        """A connection ended, or never came to be.

        Args:
            well_until: until when it was well, if that was not until now.
        """
        one = self._attempts.pop(attempt, None)
        if one is None or self._over:
            return []
        lasted_s = None if one.ready_at is None else (now if well_until is None else well_until) - one.ready_at
        fault = self.candidates.meaning(one.candidate, fault, lasted_s=lasted_s)
        if attempt == self._serving:
            self._serving = None
            self._renew_at = self._expires_at = math.inf
            return self._lost(one, fault, lasted_s, now)
        if self._serving is not None:
            return self._plan_failed(one, fault, now)
        return [*self._wish_failed(one, fault), *self._replace(one, fault, lasted_s, now)]

    def expires(self, in_s: float, now: float) -> None:
        """The connection that serves will end then."""
        self._expires_at = now + in_s
        self._renew_at = max(now, self._expires_at - min(_LEAD_S, max(_SHORTEST_LEAD_S, in_s / 10)))
        if in_s <= _LEAD_S and self._attempts_age(now) > _SHORTEST_LEAD_S:  # it says goodbye
            self._renew_at = now
        if self.wish is not None:
            self.wish = replace(self.wish, deadline=min(self.wish.deadline, self._last_moment(now)))

    def want(self, candidate: _C, reason: Reason, now: float) -> list[Effect[_C]]:
        """Move the call to this candidate, when the moment is right. An earlier wish is forgotten."""
        self.wish = Wish(candidate, reason, deadline=min(now + _SWAP_PATIENCE_S, self._last_moment(now)))
        return self._begin_move(now)

    def moved(self, moment: Moment, now: float) -> list[Effect[_C]]:
        """Somebody begins or ends to speak."""
        self.moment = moment
        return [] if self.wish is None else self._flip_if_right(now)

    def stalled(self, now: float) -> list[Effect[_C]]:
        """Nothing that is sent arrives at the one that serves. It may be over soon, and it may not."""
        serving = self.serving
        if serving is None or self._over:
            return []
        if self.wish is None:
            candidate = self.candidates.other((), now) or serving
            reason: Reason = "drop" if candidate == serving else "failover"
            self.wish = self._stall = Wish(candidate, reason, deadline=now)
            return self._begin_move(now)
        if self.wish is not self._stall:  # who is on the way comes as soon as it is ready
            self.wish = replace(self.wish, deadline=min(self.wish.deadline, now))
            return self._flip_if_right(now)
        return []

    def recovered(self) -> list[Effect[_C]]:
        """It does arrive."""
        stall, self._stall = self._stall, None
        if stall is None or self.wish is not stall:
            return []
        self.wish = None
        others = [number for number in self._attempts if number != self._serving]
        for number in others:
            del self._attempts[number]
        return [*map(Close, others)]

    # Time

    def due_at(self) -> float | None:
        """When `due` should be called next."""
        times = [self._rival_at()]
        if self._serving is not None and self.wish is None:
            times += [self._renew_at, self._wish_again_at]
        if self._trouble is not None:
            times += [self._trouble.retry_at, self._give_up_at()]
        elif self._serving is None:
            times.append(self._hopeless_at)
        times.append(self._overdue_at())
        if self.wish is not None:
            times += [at for at in (self.wish.relaxed_at, self.wish.deadline) if at > self._hurried]
        soonest = min(times)
        return soonest if math.isfinite(soonest) else None

    def due(self, now: float) -> list[Effect[_C]]:
        """Time has passed."""
        if self._over:
            return []
        if self._trouble is not None and now >= self._give_up_at():
            return self._give_up(_TOO_LATE)
        if self._trouble is None and self._serving is None and now >= self._hopeless_at:
            return self._give_up(_NEVER_READY)
        effects: list[Effect[_C]] = []
        if self._trouble is not None and now >= self._trouble.retry_at and self._trouble.retry is not None:
            candidate, self._trouble.retry, self._trouble.retry_at = self._trouble.retry, None, math.inf
            effects.append(self._dial(candidate, now))
        if now >= self._rival_at():
            effects += self._rival(now)
        if now >= self._overdue_at():
            effects += self._overdue(now)
        if self.wish is not None:
            self._hurried = now
            effects += self._flip_if_right(now)
        if self._serving is not None and self.wish is None and now >= min(self._renew_at, self._wish_again_at):
            effects += self._wish_by_itself(now)
        return effects

    # Within

    def _dial(self, candidate: _C, now: float) -> Dial[_C]:
        self._last += 1
        self._attempts[self._last] = _Attempt(candidate, now, planned=self._serving is not None)
        return Dial(self._last, candidate)

    def _attempts_age(self, now: float) -> float:
        return math.inf if self._serving is None else now - self._attempts[self._serving].began_at

    def _flip(self, attempt: int, now: float) -> list[Effect[_C]]:
        one = self._attempts[attempt]
        reason = self._reason(one)
        wish = self.wish
        others = [number for number in self._attempts if number != attempt]
        for number in others:
            del self._attempts[number]
        self._serving, self.wish, self._trouble, self._stale = attempt, None, None, 0
        self._renew_at = self._expires_at = math.inf
        self.candidates.well(one.candidate)
        returns_at = self.candidates.returns_at(one.candidate)
        self._wish_again_at = math.inf if returns_at is None else max(returns_at, now + _SHORTEST_LEAD_S)
        effects: list[Effect[_C]] = [Flip(attempt, reason), *map(Close, others)]
        if wish is not None and wish.reason in _ASKED_FOR and wish.candidate != one.candidate:
            # Somebody still waits for that. The one that was opened for it may have had the call: it knows too much.
            self.wish = wish
            effects += self._begin_move(now)
        return effects

    def _is_wished(self, one: _Attempt[_C]) -> bool:
        return self.wish is not None and self.wish.candidate == one.candidate

    def _reason(self, one: _Attempt[_C]) -> Reason:
        if self.wish is not None and self._is_wished(one) and (not self._trouble or self.wish.reason in _ASKED_FOR):
            return self.wish.reason
        if self._trouble is None or self._trouble.candidate != one.candidate:
            return "failover"
        return "expiry" if self._trouble.fault.category == "planned_end" else "drop"

    def _flip_if_right(self, now: float) -> list[Effect[_C]]:
        ready = next((n for n, one in self._attempts.items() if n != self._serving and one.ready_at is not None), None)
        if ready is None or not self._is_right(now):
            return []
        if self._stale < _STALE_TRIES and not self.fits(ready):
            self._stale += 1
            return [Close(ready), self._dial(self._attempts.pop(ready).candidate, now)]
        return self._flip(ready, now)

    def _is_right(self, now: float) -> bool:
        wish, moment = self.wish, self.moment
        if wish is None or now >= wish.deadline:
            return True
        if wish.reason in _ASKED_FOR or now >= wish.relaxed_at:
            return not moment.responding
        return not (moment.responding or moment.speaking or moment.playing)

    def _lost(self, one: _Attempt[_C], fault: Fault, lasted_s: float | None, now: float) -> list[Effect[_C]]:
        """What carried the call is gone. A planned one that is being opened takes its place."""
        self._trouble = _Trouble(one.candidate, fault, now)
        if not self._attempts:
            return self._replace(one, fault, lasted_s, now)
        self.candidates.after(one.candidate, fault, lasted_s=lasted_s, now=now)
        ready = next((number for number, other in self._attempts.items() if other.ready_at is not None), None)
        return [] if ready is None else self._take_over(ready, now)

    def _take_over(self, attempt: int, now: float) -> list[Effect[_C]]:
        """Nobody serves, and this one is ready. What it does not know it could only be told by a new beginning."""
        one = self._attempts[attempt]
        if one.planned and self._stale < _STALE_TRIES and not self.fits(attempt):
            self._stale += 1
            del self._attempts[attempt]
            return [Close(attempt), self._dial(one.candidate, now)]
        return self._flip(attempt, now)

    def _replace(self, one: _Attempt[_C], fault: Fault, lasted_s: float | None, now: float) -> list[Effect[_C]]:
        choice = self.candidates.after(one.candidate, fault, lasted_s=lasted_s, now=now)
        if self._trouble is None:
            self._trouble = _Trouble(one.candidate, fault, now)
        self._trouble.fault = fault
        if self._attempts:  # a rival goes on
            return []
        if choice is None:
            return self._give_up(fault)
        return self._try(choice, now)

    def _try(self, choice: Choice[_C], now: float) -> list[Effect[_C]]:
        assert self._trouble is not None
        if choice.wait_s > 0:
            self._trouble.retry, self._trouble.retry_at = choice.candidate, now + choice.wait_s
            return []
        return [self._dial(choice.candidate, now)]

    def _give_up(self, fault: Fault) -> list[Effect[_C]]:
        self._over = True
        attempts, self._attempts, self._trouble, self._serving = [*self._attempts], {}, None, None
        return [*map(Close, attempts), GiveUp(fault)]

    def _give_up_at(self) -> float:
        assert self._trouble is not None
        return self.candidates.give_up_at(self._trouble.since)

    def _last_moment(self, now: float) -> float:
        """When nobody is waited for any more, since the one that serves will end; infinity: that is not known."""
        return max(now, self._expires_at - min(_MARGIN_S, (self._expires_at - now) / 2))

    def _plan_failed(self, one: _Attempt[_C], fault: Fault, now: float) -> list[Effect[_C]]:
        """The call goes on as it is. What is planned without being asked for is tried again."""
        asked_for = self.wish is not None and self.wish.reason in _ASKED_FOR
        if not asked_for:
            self.candidates.cool(one.candidate, fault, now)
        refused = self._wish_failed(one, fault)
        serving = self.serving
        assert serving is not None
        returns_at = self.candidates.returns_at(serving)
        self._wish_again_at = math.inf if returns_at is None else max(returns_at, now + _SHORTEST_LEAD_S)
        if self._expires_at < math.inf and self._renew_at == math.inf:
            self._renew_at = now if asked_for else now + min(_SHORTEST_LEAD_S, max(0.0, self._expires_at - now) / 2)
        return refused

    def _wish_failed(self, one: _Attempt[_C], fault: Fault) -> list[Effect[_C]]:
        wish = self.wish
        if wish is None or not self._is_wished(one):
            return []
        self.wish = None
        return [Refuse(wish, fault)] if wish.reason in _ASKED_FOR else []

    def _wish_by_itself(self, now: float) -> list[Effect[_C]]:
        """The time of the one that serves is nearly over, or the preferred one may be well again."""
        serving = self.serving
        assert serving is not None
        if now >= self._renew_at:
            candidate = self.candidates.other((), now) or serving
            half_s = max(0.0, self._expires_at - now) / 2
            self.wish = Wish(candidate, "expiry", deadline=self._last_moment(now), relaxed_at=now + half_s)
            self._renew_at = math.inf
            return self._begin_move(now)
        self._wish_again_at = math.inf
        if serving == self.candidates.preferred:  # they were replaced by others meanwhile
            return []
        self.wish = Wish(self.candidates.preferred, "failover", deadline=self._last_moment(now))
        return self._begin_move(now)

    def _begin_move(self, now: float) -> list[Effect[_C]]:
        assert self.wish is not None
        effects: list[Effect[_C]] = [Close(number) for number in self._attempts if number != self._serving]
        for effect in effects:
            del self._attempts[effect.attempt]  # type: ignore[union-attr]  # all of them are Close
        self._stale = 0
        if self._trouble is not None:
            self._trouble.retry, self._trouble.retry_at = None, math.inf
        candidate: _C = self.wish.candidate  # type: ignore[assignment]  # a _C, kept as Hashable
        return [*effects, self._dial(candidate, now)]

    def _overdue_at(self) -> float:
        """When a planned connection that is not ready is given up."""
        if self._serving is None:
            return math.inf
        waiting = (one.began_at for one in self._attempts.values() if one.ready_at is None)
        return min(waiting, default=math.inf) + _OPEN_WITHIN_S

    def _overdue(self, now: float) -> list[Effect[_C]]:
        late = [n for n, one in self._attempts.items() if one.ready_at is None and now >= one.began_at + _OPEN_WITHIN_S]
        effects: list[Effect[_C]] = [Close(number) for number in late]
        for number in late:
            effects += self._plan_failed(self._attempts.pop(number), _TOO_LATE, now)
        return effects

    def _rival_at(self) -> float:
        if self._serving is not None or not self._attempts or len(self._attempts) >= 2:
            return math.inf
        (one,) = self._attempts.values()
        rival_at = one.began_at + self.slow_after_s
        if self.candidates.other((one.candidate,), rival_at) is not None:
            return rival_at
        rival_at = one.began_at + max(self.slow_after_s, _VERY_SLOW_S)
        return rival_at if self.candidates.spare((one.candidate,), rival_at) is not None else math.inf

    def _rival(self, now: float) -> list[Effect[_C]]:
        busy = [one.candidate for one in self._attempts.values()]
        rival = self.candidates.other(busy, now)
        if rival is None:
            rival = self.candidates.spare(busy, now)
        return [] if rival is None else [self._dial(rival, now)]
