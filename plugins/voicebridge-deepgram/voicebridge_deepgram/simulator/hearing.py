"""What the simulated vendor understands: a script, or a recogniser that really listens."""

from __future__ import annotations

from typing import Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.ears import Recogniser

from .options import WireOptions

__all__ = ["Hearing", "spread"]


class Hearing:
    """The texts of one connection's utterances."""

    def __init__(self, options: WireOptions) -> None:
        self._texts = options.transcripts
        self._recogniser = Recogniser(options.recogniser) if options.recogniser is not None else None
        self._next = 0

    @property
    def scripted(self) -> str | None:
        """The text of the utterance that is being spoken. None: it is not known before it has been heard."""
        return None if self._recogniser else self._texts[min(self._next, len(self._texts) - 1)]

    async def text(self, audio: bytes, source: AudioFormat) -> str:
        """The whole text of the utterance."""
        return self.scripted or (await self._recogniser.transcribe(audio, source) if self._recogniser else "")

    def turn_over(self) -> None:
        """Another utterance begins."""
        self._next += 1

    async def aclose(self) -> None:
        """Release the recogniser."""
        if self._recogniser is not None:
            await self._recogniser.aclose()


def spread(text: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
    """The words of a text, each in its share of the time."""
    words = text.split()
    step = max(end_s - start_s, 0.0) / max(len(words), 1)
    return [
        {"word": word, "start": round(start_s + step * n, 3), "end": round(start_s + step * (n + 1), 3)}
        for n, word in enumerate(words)
    ]
