"""From "how likely is this frame speech" to turn signals: the policy under every detector that counts silence.

    state       frames                                         becomes     signal
    quiet       speech for `min_speech_ms`                     speaking    speech, at the first of those frames
    speaking    silence for `eager_ms`                         paused      eager_end, at the last speech frame
    speaking    silence for `silence_ms`                       quiet       end, at the last speech frame
    paused      speech for `min_resume_ms`                     speaking    resumed, at the first of those frames
    paused      silence for `silence_ms` since the last speech quiet       end, at the last speech frame

A frame is speech from `start` on and silence below `stop`; between them it is what the frame before was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from voicebridge.contract.stages import TurnSignal

__all__ = ["GateSettings", "SpeechGate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What counts as speech, and how long things must last."""

    frame_ms: float
    """Milliseconds of one frame."""
    start: float = 0.5
    """Probability from which a frame is speech."""
    stop: float = 0.35
    """Probability below which a frame is silence."""
    min_speech_ms: float = 90.0
    """Shorter noises (milliseconds) open no turn."""
    min_resume_ms: float = 0.0
    """Shorter noises (milliseconds) in a pause do not end the pause; 0: one frame is enough."""
    eager_ms: float = 30.0
    """Milliseconds of silence after which the turn may have ended. At least one frame."""
    silence_ms: float = 200.0
    """Milliseconds of silence after which the turn has ended."""


class SpeechGate:
    """See the table above. Takes frames of a fixed length, one probability each."""

    def __init__(self, settings: GateSettings) -> None:
        self.settings = settings
        self._frames = 0
        self._is_speech = False
        self._speaking = False
        self._paused = False
        self._run = 0
        """Frames in a row that speak against the state."""
        self._last_speech = 0
        """The frame after the last one of speech."""

    @property
    def speaking(self) -> bool:
        """Whether a turn is open."""
        return self._speaking

    def push(self, probability: float) -> TurnSignal | None:
        """Take the next frame's probability. Not a number counts as silence."""
        self._frames += 1
        if math.isnan(probability) or probability < self.settings.stop:
            self._is_speech = False
        elif probability >= self.settings.start:
            self._is_speech = True
        if not self._speaking:
            return self._quiet(probability)
        return self._in_pause() if self._paused else self._in_speech()

    def _quiet(self, probability: float) -> TurnSignal | None:
        self._run = self._run + 1 if self._is_speech else 0
        if self._run == 0 or self._run * self.settings.frame_ms < self.settings.min_speech_ms:
            return None
        first = self._frames - self._run
        self._speaking, self._run, self._last_speech = True, 0, self._frames
        return self._signal("speech", first, probability)

    def _in_speech(self) -> TurnSignal | None:
        if self._is_speech:
            self._last_speech = self._frames
            return None
        silence_ms = self._silence_ms()
        if silence_ms >= self.settings.silence_ms:
            return self._end()
        if silence_ms >= self.settings.eager_ms:
            self._paused, self._run = True, 0
            return self._signal("eager_end", self._last_speech)
        return None

    def _in_pause(self) -> TurnSignal | None:
        self._run = self._run + 1 if self._is_speech else 0
        if self._run and self._run * self.settings.frame_ms >= self.settings.min_resume_ms:
            first = self._frames - self._run
            self._paused, self._run, self._last_speech = False, 0, self._frames
            return self._signal("resumed", first)
        return self._end() if self._silence_ms() >= self.settings.silence_ms else None

    def _silence_ms(self) -> float:
        return (self._frames - self._last_speech) * self.settings.frame_ms

    def _end(self) -> TurnSignal:
        self._speaking = self._paused = False  # the run stays: what was too short to resume may open the next turn
        return self._signal("end", self._last_speech)

    def _signal(self, phase: str, frame: int, confidence: float = 1.0) -> TurnSignal:
        return TurnSignal(phase, frame * self.settings.frame_ms, confidence)  # type: ignore[arg-type]  # one of the four phases
