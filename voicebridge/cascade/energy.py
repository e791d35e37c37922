"""Turn detection by loudness alone: needs no model, and is fooled by any noise. For where no other is installed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import PCM_16K, DetectorTraits, TurnSignal
from voicebridge.core.speech_gate import GateSettings, SpeechGate

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["EnergyDetector"]

_DEFAULT_SILENCE_MS = 500.0
_QUIETEST_SPEECH_DB = -60.0
_LOUDEST_SPEECH_DB = -20.0


class EnergyDetector:
    """A frame is speech when its RMS exceeds a threshold, -40 dB of full scale unless `sensitivity` moves it.

    Args:
        rate: samples a second of what it is given, mono PCM16. Loudness is the same at any.
    """

    def __init__(self, *, frame_ms: float = 20.0, eager_ms: float = 60.0, rate: int = PCM_16K.rate) -> None:
        self.traits = DetectorTraits(format=AudioFormat(rate=rate))
        self._frame_bytes = self.traits.format.size(frame_ms)
        self._held = bytearray()
        self._threshold_db = (_QUIETEST_SPEECH_DB + _LOUDEST_SPEECH_DB) / 2
        self._gate = SpeechGate(GateSettings(frame_ms=frame_ms, eager_ms=eager_ms, silence_ms=_DEFAULT_SILENCE_MS))

    def configure(self, config: SessionConfig) -> None:
        """Take `turns.silence_ms` and `turns.sensitivity` (0: -20 dB, 1: -60 dB)."""
        asked = config.turns.silence_ms
        silence_ms = _DEFAULT_SILENCE_MS if asked is None else asked
        self._gate.settings = replace(self._gate.settings, silence_ms=silence_ms)
        sensitivity = 0.5 if config.turns.sensitivity is None else config.turns.sensitivity
        self._threshold_db = _LOUDEST_SPEECH_DB + sensitivity * (_QUIETEST_SPEECH_DB - _LOUDEST_SPEECH_DB)

    async def warm(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def push(self, pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
        """Take the next PCM16 at `rate`."""
        self._held += pcm
        signals = []
        while len(self._held) >= self._frame_bytes:
            frame = np.frombuffer(bytes(self._held[: self._frame_bytes]), dtype="<i2").astype(np.float32)
            del self._held[: self._frame_bytes]
            rms = math.sqrt(float(np.dot(frame, frame)) / len(frame)) / 32768
            loud = rms > 0 and 20 * math.log10(rms) >= self._threshold_db
            if signal := self._gate.push(1.0 if loud else 0.0):
                signals.append(signal)
        return signals
