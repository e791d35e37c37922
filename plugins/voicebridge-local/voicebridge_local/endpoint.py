"""When the user begins and has finished: a pure policy over speech probabilities and levels, clocked by samples.

A model's probability of speech falls only some 100 ms after the last sound, so it can't tell where that was. The level
can, to 20 ms, but takes every stop consonant for an end. Together they do well: the level says since when it has been
quiet, the probability says whether that may be believed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicebridge.contract.stages import TurnSignal

__all__ = ["BLOCK", "RATE", "Endpointer", "Policy"]

RATE = 16_000
"""Samples a second."""
BLOCK = RATE // 100
"""Samples of one level: 10 ms."""
_MS_PER_SAMPLE = 1000 / RATE
_FLOOR_BLOCKS = 150
"""Blocks over which the room's noise is the quietest one."""
_LOOK_BACK = 30
"""Blocks before the probability rose in which the first sound is looked for."""
_PEAK_DECAY = 0.997
"""Of the speaker's level, a block: halved in 2.3 s."""
_AGAIN = 3
"""Blocks with sound that take back an eager end. One or two are a click or a breath."""
_DEAF_FRAMES = 6
"""Frames of sure speech below the level of speech after which the level is what is wrong: the user moved away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What counts as speech, and how long it must last or be gone."""

    silence_ms: float = 200.0
    """After the last sound, until the turn has ended."""
    eager_ms: float = 48.0
    """After the last sound, until it may have ended."""
    speech_ms: float = 64.0
    """Of probable speech, until somebody speaks."""
    start: float = 0.5
    """Probability from which it is speech when nobody spoke."""
    believe_pause: float = 0.9
    """Probability below which quiet may be an end."""
    believe_end: float = 0.5
    """Probability below which silence is an end."""
    doubt: float = 0.3
    """Probability below which sound is noise, also in a turn."""
    share: float = 0.05
    """Of the speaker's level: what lies below is quiet."""
    over_noise: float = 2.0
    """Times the room's noise: what lies below is quiet."""


class Endpointer:
    """Takes blocks and frames in the order of their ends; tells signals as they become known."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        """May be replaced at any time."""
        self._now = 0
        self._blocks: deque[float] = deque(maxlen=_FLOOR_BLOCKS)
        self._probability = 0.0
        self._peak = 0.0
        self._rising = 0
        self._speaking = False
        self._eager = False
        self._last = 0
        self._again = 0
        self._unheard = 0

    @property
    def speaking(self) -> bool:
        """Whether a turn is open."""
        return self._speaking

    def block(self, level: float) -> list[TurnSignal]:
        """Take the level (root mean square, full scale is 1) of the next 10 ms."""
        level = level if level >= 0 else 0.0  # also what is no number
        self._now += BLOCK
        self._blocks.append(level)
        if self._probability > self.policy.believe_end:
            self._peak = max(level, self._peak * _PEAK_DECAY)
        if not self._speaking:
            return []
        if level > self._quiet() and self._probability > self.policy.doubt:
            return self._sound()
        self._again = 0
        return self._silence()

    def frame(self, probability: float, samples: int) -> list[TurnSignal]:
        """Take the probability of speech in the `samples` that end with the last block, or less than one later."""
        self._probability = probability if probability >= 0 else 0.0
        if self._speaking:
            return self._check_level()
        self._rising = self._rising + samples if self._probability >= self.policy.start else 0
        if self._rising * _MS_PER_SAMPLE < self.policy.speech_ms:
            return []
        return self._begin()

    def _quiet(self) -> float:
        """The level below which it is quiet. Never above half of the speaker's, or noise would make them mute."""
        noise = min(self._blocks) * self.policy.over_noise
        return min(max(self.policy.share * self._peak, noise), self._peak / 2)

    def _begin(self) -> list[TurnSignal]:
        recent = list(self._blocks)[-_LOOK_BACK - self._rising // BLOCK :]
        self._peak = max(recent[-self._rising // BLOCK :], default=0.0)
        threshold = self._quiet()
        sounding = 0
        for level in reversed(recent):
            if level <= threshold and sounding * BLOCK >= self._rising:
                break
            sounding += 1
        first = max(self._last, self._now - sounding * BLOCK)
        self._speaking, self._eager, self._again, self._unheard = True, False, 0, 0
        self._last, self._rising = self._now, 0
        return [TurnSignal("speech", first * _MS_PER_SAMPLE, self._probability)]

    def _sound(self) -> list[TurnSignal]:
        self._unheard = 0
        if not self._eager:
            self._last = self._now
            return []
        self._again += 1
        if self._again < _AGAIN:
            return []
        first = self._now - self._again * BLOCK
        self._eager, self._again, self._last = False, 0, self._now
        return [TurnSignal("resumed", first * _MS_PER_SAMPLE, self._probability)]

    def _silence(self) -> list[TurnSignal]:
        policy, quiet_ms = self.policy, (self._now - self._last) * _MS_PER_SAMPLE
        where = self._last * _MS_PER_SAMPLE
        if quiet_ms >= policy.silence_ms and self._probability < policy.believe_end:
            self._speaking = self._eager = False
            return [TurnSignal("end", where, 1 - self._probability)]
        if not self._eager and quiet_ms >= policy.eager_ms and self._probability < policy.believe_pause:
            self._eager = True
            return [TurnSignal("eager_end", where, 1 - self._probability)]
        return []

    def _check_level(self) -> list[TurnSignal]:
        """Sure speech that is too quiet for its level, frame after frame: the level was wrong."""
        if self._last == self._now or self._probability < self.policy.believe_pause:
            self._unheard = 0
            return []
        self._unheard += 1
        if self._unheard < _DEAF_FRAMES:
            return []
        self._peak = max(list(self._blocks)[-_DEAF_FRAMES * 3 :])
        self._unheard = 0
        if not self._eager:
            self._last = self._now
            return []
        self._eager, first, self._last = False, self._last, self._now
        return [TurnSignal("resumed", first * _MS_PER_SAMPLE, self._probability)]
