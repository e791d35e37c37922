"""The user's turns of a scripted session: by loudness, or by hand. Pure: audio in, phases of turns out."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Literal

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import TurnPolicy
from voicebridge.contract.events import UserTurn
from voicebridge.core.speech_gate import GateSettings, SpeechGate

__all__ = ["ScriptedTurns"]

_FRAME_MS = 20.0
_LOUD = 1000
"""A frame with a sample beyond this is speech."""
_PHASES: dict[str, Literal["speech", "pause"]] = {"speech": "speech", "resumed": "speech", "eager_end": "pause"}


class ScriptedTurns:
    """Follows the user's audio.

    Args:
        format: PCM16 of one channel.
    """

    def __init__(self, format: AudioFormat, policy: TurnPolicy) -> None:
        self._format = format
        self._frame = format.size(_FRAME_MS)
        self._gate = SpeechGate(GateSettings(frame_ms=_FRAME_MS))
        self._taken = bytearray()
        """Audio that is no whole frame yet, or in push-to-talk no whole sample."""
        self._bytes = self._count = 0
        self.turn_id: str | None = None
        """Of the turn that is open."""
        self._last_ms = 0.0
        self.policy = policy
        self.configure(policy)

    @property
    def heard_ms(self) -> float:
        """Milliseconds of audio so far."""
        return self._format.ms(self._bytes)

    def configure(self, policy: TurnPolicy) -> None:
        """Find turns in another way from here on. An open one has to be discarded before."""
        silence_ms = 200.0 if policy.silence_ms is None else float(policy.silence_ms)
        self._gate.settings = replace(self._gate.settings, silence_ms=silence_ms)
        self.policy = policy

    def feed(self, pcm: bytes) -> list[UserTurn]:
        """The phases that begin in this audio; a turn that ends is told as `committed`."""
        self._taken += pcm
        size = 2 if self.policy.mode == "manual" else self._frame
        whole = bytes(self._taken[: len(self._taken) // size * size])
        del self._taken[: len(whole)]
        self._bytes += len(whole)
        if self.policy.mode == "manual":
            opens = whole and self.turn_id is None
            return [self._told("speech", self._format.ms(self._bytes - len(whole)))] if opens else []
        return [turn for start in range(0, len(whole), size) for turn in self._judged(whole[start : start + size])]

    def _judged(self, frame: bytes) -> list[UserTurn]:
        loud = max(map(abs, array("h", frame))) > _LOUD
        signal = self._gate.push(1.0 if loud else 0.0)
        if signal is None:
            return []
        if phase := _PHASES.get(signal.phase):
            # A turn that was closed by hand in the middle of speech goes on as another one.
            opens = self.turn_id is None and phase == "pause"
            return [] if opens else [self._told(phase, signal.audio_ms)]
        return [self.close("committed", signal.audio_ms)] if self.turn_id else []

    def close(self, phase: Literal["committed", "discarded"], audio_ms: float | None = None) -> UserTurn:
        """End the open turn; without a place, here."""
        told = self._told(phase, self.heard_ms if audio_ms is None else audio_ms)
        self.turn_id = None
        return told

    def _told(self, phase: Literal["speech", "pause", "committed", "discarded"], audio_ms: float) -> UserTurn:
        if self.turn_id is None:
            self._count += 1
            self.turn_id, self._last_ms = f"t{self._count}", 0.0
        self._last_ms = max(self._last_ms, audio_ms)
        source: Literal["client", "server"] = "client" if self.policy.mode == "manual" else "server"
        return UserTurn(turn_id=self.turn_id, phase=phase, audio_ms=self._last_ms, source=source)
