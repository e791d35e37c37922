"""When to try again. Deadline first: a caller waits seconds, so tries are few and their waits short and random.

Two pieces that know nothing of one another: a generator of delays, and one function that decides. `Patience` is what
both make of one failure after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.fault import Fault

__all__ = ["Patience", "RetryPolicy", "delays", "wait_before_retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How much patience a call has.

    Raises:
        ConfigError: a field does not fit.
    """

    deadline_s: float = 8.0
    """Seconds from the first failure after which nothing is tried any more, and no dial is waited for."""
    tries: int = 4
    first_s: float = 0.1
    """The longest first wait, in seconds. The bound doubles from try to try."""
    longest_s: float = 1.5
    """The bound never passes so many seconds."""
    slow_after_s: float = 0.6
    """Seconds after which a connection that is not ready gets a rival, where there is another backend. The first that
    is ready carries the call."""
    healthy_after_s: float = 2.0
    """A connection that was ready for so many seconds was a good one: what comes next is a new failure, with patience
    of its own. One that dies earlier is one more try of the same."""
    drops: int = 3
    """A backend that lost the call so many times within `drops_within_s` is left alone for a while, where another one
    is well."""
    drops_within_s: float = 60.0
    """Seconds."""
    most_drops: int = 10
    """One that is alone and lost the call so many times within `most_drops_within_s` is given up."""
    most_drops_within_s: float = 600.0
    """Seconds."""

    def __post_init__(self) -> None:
        for name, least in (("tries", 0), ("drops", 1), ("most_drops", 1)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise _misfit(name, f"is a whole number from {least} on", number)
        for name in (
            "deadline_s",
            "first_s",
            "longest_s",
            "slow_after_s",
            "healthy_after_s",
            "drops_within_s",
            "most_drops_within_s",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise _misfit(name, "is a number of seconds from 0 on", value)
        for name in ("first_s", "longest_s"):
            if math.isinf(getattr(self, name)):
                raise _misfit(name, "is a wait that ends", math.inf)


def _misfit(name: str, wanted: str, given: object) -> ConfigError:
    return ConfigError(f"The retry policy does not fit: {name} {wanted}, not {given!r:.80}.", code="bad_retry")


def delays(policy: RetryPolicy, random: Callable[[], float]) -> Iterator[float]:
    """Seconds to wait before each try: anything from 0 to a bound that doubles (full jitter), so that many clients that
    lost one server don't come back together.

    Args:
        random: gives numbers from 0 to 1.
    """
    bound = policy.first_s
    for _ in range(policy.tries):
        yield random() * bound
        bound = min(bound * 2, policy.longest_s)


def wait_before_retry(fault: Fault, *, delay_s: float, elapsed_s: float, policy: RetryPolicy) -> float | None:
    """Seconds to wait and then try again, or None: give up now.

    Args:
        delay_s: what `delays` gave.
        elapsed_s: since the first failure.

    A server's own word (`retry_after_s`) is never undercut; one that goes beyond the deadline is a no.
    """
    if not fault.retryable:
        return None
    wait_s = max(delay_s, fault.retry_after_s or 0.0)
    return wait_s if elapsed_s + wait_s <= policy.deadline_s else None


class Patience:
    """That of one caller with one server, through any number of connections."""

    def __init__(self, policy: RetryPolicy, random: Callable[[], float]) -> None:
        self._policy, self._random = policy, random
        self._delays: Iterator[float] = iter(())
        self._failing_since: float | None = None
        self._reached = False

    @property
    def deadline(self) -> float | None:
        """When a connection that is not ready is given up. None: nothing has failed, and it has its own time-outs."""
        return None if self._failing_since is None else self._failing_since + self._policy.deadline_s

    def meaning(self, fault: Fault, *, lasted_s: float | None) -> Fault:
        """What the end of a connection means.

        Args:
            lasted_s: since it was ready; None: it never was.

        To a server that was reached before, its name is right: it is the name service that fails.
        """
        self._reached = self._reached or lasted_s is not None
        if self._reached and fault.code == "no_such_host":
            return replace(fault, category="network", retryable=True)
        return fault

    def wait_after(self, fault: Fault, *, lasted_s: float | None, now: float) -> float | None:
        """Seconds to wait before the next connection, or None: give up. See `meaning`."""
        if self._failing_since is None or (lasted_s or 0.0) >= self._policy.healthy_after_s:
            self._failing_since, self._delays = now, delays(self._policy, self._random)
        delay_s = next(self._delays, None)
        if delay_s is None:
            return None
        elapsed_s = now - self._failing_since
        return wait_before_retry(fault, delay_s=delay_s, elapsed_s=elapsed_s, policy=self._policy)
