"""Percentiles and rates with the interval that their number of measurements allows.

A percentile's interval is exact for independent measurements: two order statistics that hold it with 95 % confidence,
whatever the distribution. Turns of a run are not quite independent, since the same utterances are spoken again in each
round: the interval is about this corpus on this machine, and somewhat too narrow for anything wider.

Where there are too few measurements for one (fewer than 6 for a median, 36 for p90, 72 for p95, 368 for p99), there is
no percentile either. A rate's interval is a bootstrap over clusters: what hangs together is drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["RESAMPLES", "Quantile", "Rate", "order_ranks", "quantile", "rate"]

_TAIL = 0.025
RESAMPLES = 10_000
"""Draws of a bootstrap."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """A percentile of measurements, in their unit."""

    p: float
    """Between 0 and 1: 0.9 is p90."""
    value: float
    low: float
    high: float
    """`low` to `high` holds the true one with 95 % confidence."""
    n: int
    """How many measurements there are."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, between 0 and 1 (a rate of errors may be above)."""

    value: float
    low: float | None
    high: float | None
    """None where there are too few clusters to draw from."""
    count: float
    of: float
    """`value` is `count` / `of`."""
    clusters: int
    """What was drawn from."""
    seed: int
    """Of the drawing."""


def order_ranks(n: int, p: float) -> tuple[int, int] | None:
    """The ranks, from 1, of the two of `n` ordered values between which the p-quantile lies; None if n is too small."""
    below = 0.0
    low = high = None
    for k in range(n + 1):
        if below <= _TAIL:
            low = k
        if high is None and below >= 1 - _TAIL:
            high = k
        below += _binomial(n, k, p)
    return (low, high) if low and high else None


def _binomial(n: int, k: int, p: float) -> float:
    logs = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(logs + k * math.log(p) + (n - k) * math.log(1 - p))


def quantile(values: Sequence[float], p: float) -> Quantile | None:
    """The p-quantile (linear between neighbours) with its interval; None where there are too few values."""
    ranks = order_ranks(len(values), p)
    if ranks is None:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * p
    lower = ordered[math.floor(place)]
    value = lower + (ordered[math.ceil(place)] - lower) * (place % 1)
    return Quantile(p, value, ordered[ranks[0] - 1], ordered[ranks[1] - 1], len(ordered))


def rate(clusters: Mapping[str, tuple[float, float]], seed: int) -> Rate | None:
    """The pooled rate of (count, of) pairs, and its interval over resampled clusters; None where `of` sums to 0."""
    import numpy as np

    pairs = np.array(list(clusters.values()), dtype=np.float64).reshape(-1, 2)
    count, of = pairs.sum(axis=0).tolist()
    if not of:
        return None
    low = high = None
    if len(pairs) > 1:
        drawn = np.random.default_rng(seed).integers(0, len(pairs), size=(RESAMPLES, len(pairs)))
        sums = pairs[drawn].sum(axis=1)
        rates = sums[sums[:, 1] > 0]
        low, high = np.quantile(rates[:, 0] / rates[:, 1], [_TAIL, 1 - _TAIL]).tolist()
    return Rate(count / of, low, high, count, of, len(pairs), seed)
