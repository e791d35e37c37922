"""When a call moves: losses, ends, wishes and voices in any order."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicebridge.contract.fault import Fault
from voicebridge.core.handover_effects import Moment

from .handover_driver import AGENT, BUSY, DROP, END, NO_MONEY, PLAYING, QUIET, USER, Driver


class AnyOrder(RuleBasedStateMachine):
    """A call in which anything happens at any time."""

    d: Driver

    @initialize(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        self.d = Driver(*"abc"[:count])

    @precondition(lambda self: self.d.unready() and not self.d.over)
    @rule(which=st.integers(0, 3))
    def ready(self, which: int) -> None:
        unready = self.d.unready()
        self.d.is_ready(unready[which % len(unready)])

    @precondition(lambda self: self.d.open and not self.d.over)
    @rule(which=st.integers(0, 3), fault=st.sampled_from([DROP, DROP, DROP, END, BUSY, NO_MONEY]))
    def fail(self, which: int, fault: Fault) -> None:
        attempts = list(self.d.open)
        self.d.fails(attempts[which % len(attempts)], fault)

    @precondition(lambda self: not self.d.over)
    @rule(candidate=st.sampled_from("abcxy"), reason=st.sampled_from(["swap", "reconfigure"]))
    def want(self, candidate: str, reason: str) -> None:
        self.d.want(candidate, reason)

    @precondition(lambda self: self.d.serving is not None)
    @rule(in_s=st.sampled_from([0.5, 3.0, 10.0, 50.0, 600.0]))
    def expires(self, in_s: float) -> None:
        self.d.expires(in_s)

    @rule(moment=st.sampled_from([QUIET, QUIET, USER, AGENT, PLAYING]))
    def moved(self, moment: Moment) -> None:
        self.d.hears(moment)

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0, 12.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.d.passes(seconds)

    @rule(fits=st.booleans())
    def fits(self, fits: bool) -> None:
        self.d.fits = fits

    @invariant()
    def one_carries_it_or_is_on_its_way(self) -> None:
        d = self.d
        assert d.handover.serving == (None if d.serving is None else d.open[d.serving])
        assert len(d.open) <= 2, "never two moves at once"
        if d.over is None:
            assert d.serving is not None or d.open or d.handover.due_at() is not None, "a dead end"
            wish = d.handover.wish
            if d.asked is not None:
                assert wish is not None
                assert (wish.candidate, wish.reason) == d.asked, "somebody waits, and nobody remembers"
            elif wish is not None:
                assert wish.reason in ("expiry", "failover")

    def teardown(self) -> None:
        if not hasattr(self, "d"):
            return
        d = self.d
        d.fits = True
        d.hears(QUIET)
        for _ in range(60):
            for attempt in d.unready():
                if attempt in d.open:
                    d.is_ready(attempt)
            d.passes(1.0)
        assert d.over is not None or d.serving is not None, "who may be reached is reached"
        assert d.asked is None, "nobody waits for ever"


AnyOrder.TestCase.settings = settings(
    max_examples=400, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestAnyOrder = AnyOrder.TestCase
