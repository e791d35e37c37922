"""When to try again: bounds, a server's own wish, and the deadline above all."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.fault import Fault
from voicebridge.core.retry import Patience, RetryPolicy, delays, wait_before_retry

SECONDS = st.floats(0, 100)
POLICIES = st.builds(
    RetryPolicy, deadline_s=SECONDS, tries=st.integers(0, 8), first_s=st.floats(0, 5), longest_s=st.floats(0, 5)
)


def fault(retryable: bool = True, after_s: float | None = None) -> Fault:
    return Fault(category="network", message="Lost.", retryable=retryable, retry_after_s=after_s)


def test_the_bounds_double_up_to_the_longest() -> None:
    policy = RetryPolicy(tries=6, first_s=0.1, longest_s=1.5)
    assert list(delays(policy, lambda: 1.0)) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.5, 1.5])
    assert list(delays(policy, lambda: 0.0)) == [0.0] * 6, "full jitter starts at none"
    assert list(delays(policy, lambda: 0.5)) == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.75, 0.75])


@given(POLICIES, st.integers())
def test_waits_lie_within_their_bounds(policy: RetryPolicy, seed: int) -> None:
    got = list(delays(policy, random.Random(seed).random))
    assert len(got) == policy.tries
    for number, delay in enumerate(got):
        bound = policy.first_s if number == 0 else min(policy.first_s * 2**number, policy.longest_s)
        assert 0 <= delay <= bound


def test_waits_fill_their_bounds() -> None:
    chance = random.Random(7).random
    firsts = [next(delays(RetryPolicy(first_s=1.0), chance)) for _ in range(2_000)]
    assert min(firsts) < 0.01
    assert max(firsts) > 0.99
    assert sum(firsts) / len(firsts) == pytest.approx(0.5, abs=0.03)


@given(POLICIES, SECONDS, SECONDS, st.none() | st.floats(-10, 1_000))
def test_the_decision(policy: RetryPolicy, delay_s: float, elapsed_s: float, after_s: float | None) -> None:
    wait_s = wait_before_retry(fault(after_s=after_s), delay_s=delay_s, elapsed_s=elapsed_s, policy=policy)
    asked_s = max(delay_s, after_s or 0)
    if wait_s is None:
        assert elapsed_s + asked_s > policy.deadline_s
    else:
        assert wait_s == asked_s, "neither undercut nor stretched"
        assert elapsed_s + wait_s <= policy.deadline_s
    assert wait_before_retry(fault(retryable=False), delay_s=0, elapsed_s=0, policy=policy) is None


@pytest.mark.parametrize(("after_s", "wait_s"), [(float("inf"), None), (float("nan"), 0.5)])
def test_numbers_that_are_none(after_s: float, wait_s: float | None) -> None:
    """For ever is beyond any deadline; what is no number asks for nothing."""
    assert wait_before_retry(fault(after_s=after_s), delay_s=0.5, elapsed_s=0, policy=RetryPolicy()) == wait_s


POLICY = RetryPolicy(deadline_s=8, tries=3, first_s=0.1, longest_s=1, healthy_after_s=2)


def patience() -> Patience:
    return Patience(POLICY, lambda: 1.0)


def test_failures_of_one_kind_share_patience() -> None:
    caller = patience()
    assert caller.deadline is None
    waits = [caller.wait_after(fault(), lasted_s=None, now=now) for now in (10, 11, 12, 13)]
    assert waits == [0.1, 0.2, 0.4, None]
    assert caller.deadline == 18


@pytest.mark.parametrize(("lasted_s", "wait_s"), [(None, 0.2), (0.0, 0.2), (1.9, 0.2), (2.0, 0.1), (60.0, 0.1)])
def test_a_connection_that_lived_begins_anew(lasted_s: float | None, wait_s: float) -> None:
    caller = patience()
    caller.wait_after(fault(), lasted_s=60, now=100)
    assert caller.wait_after(fault(), lasted_s=lasted_s, now=104) == wait_s
    assert caller.deadline == (108 if wait_s == 0.2 else 112)


def test_beyond_the_deadline_there_is_none() -> None:
    caller = patience()
    caller.wait_after(fault(), lasted_s=None, now=100)
    assert caller.wait_after(fault(), lasted_s=1, now=108) is None


def test_a_name_that_was_right_once_is_right() -> None:
    unknown = Fault(category="config", code="no_such_host", message="There is no such host.")
    caller = patience()
    assert caller.meaning(unknown, lasted_s=None) == unknown
    assert caller.meaning(fault(), lasted_s=5) == fault()
    assert caller.meaning(unknown, lasted_s=None) == replace(unknown, category="network", retryable=True)
    refused = Fault(category="auth", code="http_401", message="No.")
    assert caller.meaning(refused, lasted_s=None) == refused


@pytest.mark.parametrize(
    "settings",
    [
        {"deadline_s": "8"},
        {"deadline_s": -1},
        {"deadline_s": math.nan},
        {"tries": "x"},
        {"tries": 2.5},
        {"tries": True},
        {"tries": -1},
        {"first_s": None},
        {"first_s": math.inf},
        {"longest_s": [1]},
        {"slow_after_s": False},
        {"healthy_after_s": "2"},
    ],
    ids=str,
)
def test_a_mistyped_policy_is_told_when_it_is_made(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(ConfigError, match=f"The retry policy does not fit: {name} is a "):
        RetryPolicy(**settings)


def test_patience_without_an_end() -> None:
    assert RetryPolicy(deadline_s=math.inf, slow_after_s=math.inf).tries == 4
