"""When to try again. Deadline first: a caller waits seconds, so tries are few and their waits short and random.

Two pieces that know nothing of one another: a generator of delays, and one function that decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from voicebridge.contract.fault import Fault

__all__ = ["RetryPolicy", "delays", "wait_before_retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How much patience a call has."""

    deadline_s: float = 8.0
    """Seconds from the first failure after which nothing is tried any more."""
    tries: int = 4
    first_s: float = 0.1
    """The longest first wait, in seconds. The bound doubles from try to try."""
    longest_s: float = 1.5
    """The bound never passes so many seconds."""


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
