"""The ideal critical path of a turn: what no client can beat, given its strategy and the times that the vendors took.

From the last sample of speech to the first of the answer, in ms. Each provider is asked over the network, so each of
them costs a round trip; the connections are open already.

    commit-driven  rest + silence + (round trip + hear) + (round trip + think) + (round trip + speak)
    overlapped     rest + max(silence, guess + round trip + hear) + (round trip + think) + (round trip + speak)
    speculative    rest + max(silence, guess + (round trip + hear) + (round trip + think) + (round trip + speak))

`rest` is what is left of the microphone's frame in which speech ends, `silence` ends a turn, `guess` is the silence at
which a client begins to work on the guess that it may have ended, and `think` lasts until the text to be spoken first
is whole: its first clause, or for a client that waits, all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["STRATEGIES", "Path", "StageTimes", "Strategy", "bound_ms"]

Strategy = Literal["commit-driven", "overlapped", "speculative"]
STRATEGIES: tuple[Strategy, ...] = ("commit-driven", "overlapped", "speculative")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """How long the vendors took in one turn, in ms: from the last byte of a request to the first useful one back."""

    hear_ms: float
    think_ms: float
    """To the first token."""
    speak_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """What a client has to wait for besides, in ms."""

    round_trip_ms: float
    silence_ms: float
    text_ms: float
    """From the first token to the one that shows that there is text to be spoken: a clause, or the whole answer."""
    rest_ms: float = 0.0
    guess_ms: float = 0.0
    """For a client that guesses. Not for `commit-driven`."""


def bound_ms(strategy: Strategy, times: StageTimes, path: Path) -> float:
    """The least ms from the last sample of speech to the first of the answer."""
    hear = path.round_trip_ms + times.hear_ms
    answer = 2 * path.round_trip_ms + times.think_ms + path.text_ms + times.speak_ms
    bounds: Mapping[Strategy, float] = {
        "commit-driven": path.silence_ms + hear + answer,
        "overlapped": max(path.silence_ms, path.guess_ms + hear) + answer,
        "speculative": max(path.silence_ms, path.guess_ms + hear + answer),
    }
    return path.rest_ms + bounds[strategy]
