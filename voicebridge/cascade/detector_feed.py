"""Audio on its way to a turn detector: in its format, and begun so that its frames end where pieces of audio do.

A resampler holds back its last 2 ms, here or at the door. A microphone's frame of 20 ms so gives the detector 18 ms
first, and from then on each of the detector's frames is whole only with the microphone's next one: every end of speech
would be noticed 20 ms late. A little silence before the first sample puts the frames back in step. It costs the
detector nothing, and places are told as if it were not there.
"""

from __future__ import annotations

from dataclasses import replace

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import TurnSignal

__all__ = ["DetectorFeed"]

_STEP_MS = 10
"""Of what microphones and detectors count in, most often."""


class DetectorFeed:
    """Args:
    source: the format of what it takes.
    wanted: the detector's.
    """

    def __init__(self, source: AudioFormat, wanted: AudioFormat) -> None:
        self._converter = None if source == wanted else Converter(source, wanted)
        self._wanted = wanted
        self._lead_ms: float | None = None

    def take(self, pcm: bytes) -> bytes:
        """The next audio, for the detector."""
        converted = self._converter.convert(pcm) if self._converter else pcm
        if self._lead_ms is None and converted:
            lead = -len(converted) % self._wanted.size(_STEP_MS)
            self._lead_ms = self._wanted.ms(lead)
            return bytes(lead) + converted
        return converted

    def place(self, signal: TurnSignal) -> TurnSignal:
        """A signal of the detector, its place counted in what was taken."""
        return replace(signal, audio_ms=max(0.0, signal.audio_ms - self._lead_ms)) if self._lead_ms else signal
