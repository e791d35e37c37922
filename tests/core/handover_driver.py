"""A call whose handovers are carried out, and checked, by hand."""

from __future__ import annotations

from typing import Any

from voicebridge.contract.fault import Fault
from voicebridge.core.candidates import Candidates
from voicebridge.core.handover import Handover
from voicebridge.core.handover_effects import Close, Dial, Flip, GiveUp, Moment, Refuse
from voicebridge.core.retry import RetryPolicy

__all__ = ["AGENT", "BUSY", "DROP", "END", "NO_KEY", "NO_MONEY", "PLAYING", "POLICY", "QUIET", "USER", "Driver"]

POLICY = RetryPolicy()
DROP = Fault(category="network", code="reset", message="Lost.", retryable=True)
END = Fault(category="planned_end", code="expired", message="Its time is over.", retryable=True)
BUSY = Fault(category="busy", message="Too much to do.", retryable=True)
NO_MONEY = Fault(category="quota", message="No money.")
NO_KEY = Fault(category="auth", message="No such key.")
QUIET, USER, AGENT, PLAYING = Moment(), Moment(speaking=True), Moment(responding=True), Moment(playing=True)


class Driver:
    """Carries out what a handover decides, and checks that it makes sense."""

    def __init__(self, *candidates: str, policy: RetryPolicy = POLICY) -> None:
        self.now = 100.0
        self.candidates = Candidates(candidates, policy, lambda: 0.5)
        self.known = list(candidates)
        self.fits = True
        self.handover: Handover[str] = Handover(self.candidates, lambda attempt: self.fits)
        self.open: dict[int, str] = {}
        """Attempts that were dialled and are neither closed nor failed."""
        self.ready: set[int] = set()
        self.serving: int | None = None
        self.over: GiveUp | None = None
        self.flips: list[tuple[float, str, str]] = []
        """When, to whom, and why."""
        self.refused: list[Fault] = []
        self.asked: tuple[str, str] | None = None
        """The move that somebody waits for."""
        self.troubled_since: float | None = None
        self.do(self.handover.start(self.now))

    def do(self, effects: list[Any]) -> None:
        closed: list[int] = []
        for effect in effects:
            assert self.over is None, "nothing follows the end"
            if isinstance(effect, Dial):
                assert effect.attempt not in self.open
                self.open[effect.attempt] = effect.candidate
            elif isinstance(effect, Flip):
                self._flip(effect)
            elif isinstance(effect, Close):
                closed.append(effect.attempt)
                if effect.attempt in self.open:
                    del self.open[effect.attempt]
                    self.ready.discard(effect.attempt)
            elif isinstance(effect, Refuse):
                assert self.asked == (effect.wish.candidate, effect.wish.reason)
                self.asked = None
                self.refused.append(effect.fault)
            else:
                self._give_up(effect)
        assert len(set(closed)) == len(closed), "a connection is closed once"
        assert self.serving is None or self.serving in self.open, "what carries the call is not closed"

    def _flip(self, flip: Flip) -> None:
        assert flip.attempt in self.ready, "only what is ready carries a call"
        assert flip.attempt != self.serving
        self.serving, self.troubled_since = flip.attempt, None
        candidate = self.open[flip.attempt]
        self.flips.append((self.now, candidate, flip.reason))
        if flip.reason in ("swap", "reconfigure"):
            assert self.asked == (candidate, flip.reason)
            self.asked = None
            self.known = [candidate, *[one for one in self.known if one != candidate]]
            self.candidates.replace(self.known)

    def _give_up(self, effect: GiveUp) -> None:
        assert self.serving is None
        assert not self.open, "all are closed before"
        if self.troubled_since is None:
            assert self.now >= 30, "nothing failed, and nothing came of it"
            assert not self.flips
            self.over, self.asked = effect, None
            return
        if effect.fault.code == "timeout" and len(self.known) > 1:
            assert self.now >= self.troubled_since + POLICY.deadline_s - 1e-6, "there is patience left"
        self.over = effect
        self.asked = None

    # What happens

    def is_ready(self, attempt: int) -> None:
        self.ready.add(attempt)
        self.do(self.handover.ready(attempt, self.now))

    def fails(self, attempt: int, fault: Fault = DROP) -> None:
        del self.open[attempt]
        self.ready.discard(attempt)
        if attempt == self.serving or (self.serving is None and self.troubled_since is None):
            self.troubled_since = self.now
        if attempt == self.serving:
            self.serving = None
        self.do(self.handover.failed(attempt, fault, self.now))

    def want(self, candidate: str, reason: Any = "swap") -> None:
        self.asked = (candidate, reason)
        self.do(self.handover.want(candidate, reason, self.now))

    def expires(self, in_s: float) -> None:
        self.handover.expires(in_s, self.now)

    def hears(self, moment: Moment) -> None:
        self.do(self.handover.moved(moment, self.now))

    def passes(self, seconds: float) -> None:
        """Time passes, and the timer is heeded."""
        end = self.now + seconds
        for _ in range(200):
            due_at = self.handover.due_at()
            if self.over is not None or due_at is None or due_at > end:
                break
            self.now = max(self.now, due_at)
            self.do(self.handover.due(self.now))
        else:
            raise AssertionError("the timer spins")
        self.now = end

    def unready(self) -> list[int]:
        return [attempt for attempt in self.open if attempt not in self.ready]
