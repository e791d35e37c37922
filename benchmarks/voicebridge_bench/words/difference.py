"""Differences between rates that hang together, with intervals that draw whole speakers. Pure.

Utterances of one speaker are alike: drawing them one by one would make every interval too narrow. Two recognisers that
heard the same speech are compared pair by pair, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voicebridge_bench.intervals import RESAMPLES

__all__ = ["Difference", "Drawn", "gap", "paired"]

_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with the interval that a bootstrap gives it."""

    value: float
    low: float | None
    high: float | None
    """None where there is too little to draw from."""
    clusters: int
    seed: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One rate minus another, both over the same words."""

    first: str
    second: str
    value: float
    """In shares: 0.01 is one error more in a hundred words, of `first`."""
    low: float | None
    high: float | None
    words: float
    clusters: int
    drawn_by: str
    """`speaker` or `utterance`."""
    seed: int

    @property
    def apart(self) -> bool:
        """The interval does not hold 0: the two can be told apart on this set."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def paired(clusters: Mapping[str, tuple[float, float, float]], seed: int) -> Drawn | None:
    """The difference of two pooled rates over the same words.

    Args:
        clusters: errors of the one, errors of the other, words; by what is drawn together.
        seed: of the drawing.

    Returns:
        None where there are no words.
    """
    import numpy as np

    rows = np.array(list(clusters.values()), dtype=np.float64).reshape(-1, 3)
    first, second, words = rows.sum(axis=0).tolist()
    if not words:
        return None
    low = high = None
    if len(rows) > 1:
        drawn = np.random.default_rng(seed).integers(0, len(rows), size=(RESAMPLES, len(rows)))
        sums = rows[drawn].sum(axis=1)
        sums = sums[sums[:, 2] > 0]
        low, high = np.quantile((sums[:, 0] - sums[:, 1]) / sums[:, 2], [_TAIL, 1 - _TAIL]).tolist()
    return Drawn((first - second) / words, low, high, len(rows), seed)


def gap(worst: Mapping[str, tuple[float, float]], best: Mapping[str, tuple[float, float]], seed: int) -> Drawn | None:
    """The difference of two pooled rates of different speakers, each group drawn for itself.

    Args:
        worst: errors and words of a group's speakers, by speaker.
        best: the same of the other group.
        seed: of the drawing.

    Returns:
        None where one of them has no words.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    rates, drawn = [], []
    for group in (worst, best):
        rows = np.array(list(group.values()), dtype=np.float64).reshape(-1, 2)
        errors, words = rows.sum(axis=0).tolist()
        if not words:
            return None
        rates.append(errors / words)
        sums = rows[random.integers(0, len(rows), size=(RESAMPLES, len(rows)))].sum(axis=1)
        drawn.append(sums[:, 0] / np.maximum(sums[:, 1], 1))
    few = min(len(worst), len(best)) < 2
    low, high = (None, None) if few else np.quantile(drawn[0] - drawn[1], [_TAIL, 1 - _TAIL]).tolist()
    return Drawn(rates[0] - rates[1], low, high, len(worst) + len(best), seed)
