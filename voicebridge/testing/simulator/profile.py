"""How long the stages of a vendor take. Times are inputs of a simulation, never its results.

A profile is data: a log-normal distribution a stage, with the source of its figures. A wire brings the profiles of its
vendor; `instant` exists everywhere. Times of one's own are written in place of a name, in ms, a range as 90 % of the
draws: `transcription=350,first_token=200-500`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from voicebridge.contract.errors import BadOption

__all__ = ["INSTANT", "Profile", "StageDraws", "StageTime", "profile_named"]

_P95 = 1.645
"""Standard deviations from the median to the 95th percentile of a normal distribution."""
_P75 = 0.6745
"""The same to the 75th."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """A log-normal distribution of milliseconds."""

    median_ms: float
    sigma: float = 0.0
    """Of the logarithm. 0: always the median."""
    source: str = ""
    """Where the figures come from."""

    @classmethod
    def of_percentiles(cls, p50_ms: float, p95_ms: float, source: str) -> StageTime:
        """The distribution with this median and this 95th percentile."""
        return cls(median_ms=p50_ms, sigma=math.log(p95_ms / p50_ms) / _P95, source=source)

    @classmethod
    def of_iqr(cls, p50_ms: float, iqr_ms: float, source: str) -> StageTime:
        """The distribution with this median and this distance between its quartiles."""
        return cls(median_ms=p50_ms, sigma=math.asinh(iqr_ms / (2 * p50_ms)) / _P75, source=source)

    @classmethod
    def of_range(cls, low_ms: float, high_ms: float, source: str) -> StageTime:
        """The distribution that has 90 % of its draws between these: how a stated range is read here."""
        sigma = math.log(high_ms / low_ms) / (2 * _P95)
        return cls(median_ms=math.sqrt(low_ms * high_ms), sigma=sigma, source=source)

    def draw(self, rng: random.Random) -> float:
        """Milliseconds of one turn."""
        return self.median_ms * math.exp(self.sigma * rng.gauss(0, 1)) if self.sigma else self.median_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Stage times by the name of the stage. A stage that is not listed takes no time.

    `first_NAME` holds for the first turn of a session, where a vendor is slower at first.
    """

    name: str
    about: str
    stages: Mapping[str, StageTime] = field(default_factory=dict)

    def draw_ms(self, stage: str, turn: int, key: str) -> float:
        """Milliseconds of a stage in a turn, turns counted from 1. The same key, turn and stage give the same time."""
        time = self.stages.get(f"first_{stage}") if turn == 1 else None
        time = time or self.stages.get(stage)
        return time.draw(random.Random(f"{key}/{turn}/{stage}")) if time else 0.0


INSTANT = Profile(name="instant", about="No stage takes any time: what is measured is the client alone.")


class StageDraws:
    """Draws for one connection. The same seed, connection, turn and stage give the same time, in whatever order."""

    def __init__(self, profile: Profile, seed: int, connection: int) -> None:
        self.profile = profile
        self._key = f"{seed}/{connection}"

    def ms(self, stage: str, turn: int) -> float:
        """Milliseconds of a stage in a turn, turns counted from 1."""
        return self.profile.draw_ms(stage, turn, self._key)


def profile_named(name: str, profiles: Mapping[str, Profile]) -> Profile:
    """The profile of that name, or the one that is written there.

    Raises:
        BadOption: there is none.
    """
    known = {INSTANT.name: INSTANT, **profiles}
    if "=" in name:
        return _written(name, {stage for profile in profiles.values() for stage in profile.stages})
    if name not in known:
        raise BadOption(f"There is no profile {name!r}. There are: {', '.join(known)}.", code="unknown_profile")
    return known[name]


def _written(text: str, stages: Collection[str]) -> Profile:
    """A profile whose times stand in its name."""
    times = {}
    for part in text.split(","):
        stage, _, told = part.strip().partition("=")
        if stage not in stages:
            raise BadOption(
                f"This simulator has no stage {stage!r}. It has: {', '.join(sorted(stages)) or 'none'}.",
                code="unknown_profile",
            )
        times[stage] = _told(stage, told)
    return Profile(name=text, about="Times that were asked for.", stages=times)


def _told(stage: str, told: str) -> StageTime:
    low, dash, high = told.partition("-")
    try:
        least, most = float(low), float(high if dash else low)
    except ValueError:
        least = most = 0.0
    if not 0 < least <= most < math.inf:
        raise BadOption(
            f"{stage}={told!r} is no time: write ms, as in {stage}=350 or {stage}=200-500.", code="unknown_profile"
        )
    return StageTime.of_range(least, most, "asked for") if most > least else StageTime(median_ms=least)
