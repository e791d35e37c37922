"""Silence that is waited for longer after "um, and" than after a whole sentence, around any detector that counts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from voicebridge.contract.stages import DetectorTraits, TurnDetector, TurnSignal
from voicebridge.core.completeness import TurnPatience

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["PatientDetector"]


class PatientDetector:
    """A `TurnDetector` around another one. With `turns.mode` `semantic` it holds an end back until the silence is long
    enough for what was said; with any other it changes nothing.

    Args:
        detector: tells speech, eager ends and ends; it is told to count the shortest silence that may end a turn.
    """

    def __init__(self, detector: TurnDetector, patience: TurnPatience | None = None) -> None:
        self.detector = detector
        self._own = self._patience = patience or TurnPatience()
        self._patient = False
        self._language: str | None = None
        self._heard_bytes = 0
        self._held: TurnSignal | None = None
        """An end of which it is not known yet whether it is one."""

    @property
    def traits(self) -> DetectorTraits:
        """Those of the detector."""
        return self.detector.traits

    def configure(self, config: SessionConfig) -> None:
        """Take `turns.silence_ms` as the usual silence. Raises what the detector does."""
        self._patient = config.turns.mode == "semantic" and not self.detector.traits.semantic
        self._language = config.language
        if self._patient:
            asked = config.turns.silence_ms
            self._patience = self._own if asked is None else replace(self._own, usual_ms=float(asked))
            turns = config.turns.model_copy(update={"silence_ms": round(self._patience.least_ms)})
            config = config.model_copy(update={"turns": turns})  # options that know who read them stay the same object
        self.detector.configure(config)

    async def warm(self) -> None:
        """Warm the detector."""
        await self.detector.warm()

    async def aclose(self) -> None:
        """Close the detector."""
        await self.detector.aclose()

    async def push(self, pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
        """Take the next audio, and what was written of the speech before the pause; empty: not known yet."""
        signals = await self.detector.push(pcm, text)
        self._heard_bytes += len(pcm)
        if not self._patient:
            held, self._held = self._held, None
            return [held, *signals] if held else signals
        told = [kept for signal in signals if (kept := self._hold(signal)) is not None]
        if self._held and self._silence_ms(self._held) >= self._patience.wait_ms(text, self._language):
            told.append(self._held)
            self._held = None
        return told

    def _hold(self, signal: TurnSignal) -> TurnSignal | None:
        """The signal as it is to be told now; an end is not."""
        if signal.phase == "end":
            self._held = signal
            return None
        if self._held and signal.phase == "speech":
            self._held = None
            return replace(signal, phase="resumed")
        return signal

    def _silence_ms(self, end: TurnSignal) -> float:
        return self.traits.format.ms(self._heard_bytes) - end.audio_ms
