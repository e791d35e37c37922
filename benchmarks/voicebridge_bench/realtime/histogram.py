"""Many delays in little room: counts in steps of 10 µs, which add up over rounds and lose nothing that matters."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Histogram"]

STEP_NS = 10_000


class Histogram:
    """Counts of delays. A delay below zero, which two honest clocks never give, counts as the one it is."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self.counts: dict[int, int] = dict(counts or {})
        """How many delays began in each step of 10 µs."""

    def add(self, delay_ns: int) -> None:
        """Count one."""
        step = delay_ns // STEP_NS
        self.counts[step] = self.counts.get(step, 0) + 1

    def clear(self) -> None:
        """Forget all."""
        self.counts.clear()

    @property
    def n(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def __add__(self, other: Histogram) -> Histogram:
        both = dict(self.counts)
        for step, count in other.counts.items():
            both[step] = both.get(step, 0) + count
        return Histogram(both)

    def quantile_ms(self, p: float) -> float | None:
        """The delay in ms that a share `p` does not exceed, to 10 µs and rounded up; None of none."""
        below = 0
        wanted = p * self.n
        for step in sorted(self.counts):
            below += self.counts[step]
            if below >= wanted:
                return (step + 1) * STEP_NS / 1e6
        return None

    def to_json(self) -> dict[str, int]:
        """For JSON, whose keys are strings."""
        return {str(step): self.counts[step] for step in sorted(self.counts)}

    @classmethod
    def from_json(cls, counts: Mapping[str, int]) -> Histogram:
        """From what `to_json` gave."""
        return cls({int(step): count for step, count in counts.items()})
