"""The speaker of a call, as time alone: when each piece of the agent's voice would have been heard. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Answer", "Player"]

_RATE = 24_000
_AUDIBLE = 104
"""-50 dB of full scale."""


@dataclass(slots=True)
class Answer:
    """One response, as it is heard. Times are seconds of the loop's clock."""

    response_id: str
    starts_at: float
    """When its first piece was played."""
    ends_at: float
    """When the last one that has come will have been played."""
    arrived_at: float
    """When that last one came."""
    audible_at: float | None = None
    """Its first audible sample."""
    silence_s: float = 0.0
    """The longest silence inside of it: the player had nothing, and more came."""


class Player:
    """Plays what comes at once and in real time, one piece after the other."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.ends_at = 0.0
        """When all that has come will have been played."""
        self.last: Answer | None = None
        """The one that the latest piece is of."""
        self.late = 0
        """Pieces of a response that came after another one had begun."""

    def take(self, response_id: str, pcm: bytes, now: float) -> Answer:
        """A piece of a response comes."""
        starts_at = max(now, self.ends_at)
        answer = self.answers.get(response_id)
        if answer is None:
            answer = self.answers[response_id] = Answer(response_id, starts_at, starts_at, now)
        else:
            answer.silence_s = max(answer.silence_s, starts_at - answer.ends_at)
            self.late += answer is not self.last
        if answer.audible_at is None:
            loud = np.flatnonzero(np.abs(np.frombuffer(pcm, dtype="<i2").astype(np.int32)) > _AUDIBLE)
            answer.audible_at = starts_at + int(loud[0]) / _RATE if loud.size else None
        self.ends_at = answer.ends_at = starts_at + len(pcm) / 2 / _RATE
        answer.arrived_at, self.last = now, answer
        return answer
