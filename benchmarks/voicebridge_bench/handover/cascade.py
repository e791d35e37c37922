"""The cascade that a call is moved to and from: scripted stages, and a detector that counts what it hears."""

from __future__ import annotations

from collections.abc import Sequence

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.stages import SpeechToTextTraits, TurnSignal
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

from .tagged_audio import TagReader

__all__ = ["counted_cascade"]


class _CountingDetector(EnergyDetector):
    def __init__(self, heard: TagReader) -> None:
        super().__init__(rate=DOOR_FORMAT.rate)
        self._heard = heard

    async def push(self, pcm: bytes, text: str = "") -> Sequence[TurnSignal]:
        """The next piece, which is counted."""
        self._heard.take(pcm)
        return await super().push(pcm, text)


def counted_cascade(heard: TagReader) -> CascadeBackend:
    """A cascade whose stages take no time, and that counts the user's audio.

    Args:
        heard: gets all of it.
    """
    return CascadeBackend(
        stt=lambda: ScriptedRecogniser(["what the user said"], traits=SpeechToTextTraits(format=DOOR_FORMAT)),
        llm=lambda: ScriptedModel(["I can do that for you."]),
        tts=lambda: ScriptedVoice(),
        detector=lambda: _CountingDetector(heard),
    )
