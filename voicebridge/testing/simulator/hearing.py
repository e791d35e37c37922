"""What a simulated vendor understands, utterance by utterance: a script, or a recogniser that really listens."""

from __future__ import annotations

from collections.abc import Sequence

from voicebridge.contract.audio import AudioFormat

from .ears import Recogniser

__all__ = ["Hearing", "spread"]

_WORDS_A_SECOND = 3.0


class Hearing:
    """The texts of one connection's utterances.

    Args:
        transcripts: one an utterance; the last one repeats.
        recogniser: `installed`, or a speech-to-text stage by its name. None: the transcripts.

    Raises:
        ConfigError: there is no such stage.
    """

    def __init__(self, transcripts: Sequence[str], recogniser: str | None) -> None:
        self._texts = transcripts
        self._recogniser = Recogniser(recogniser) if recogniser is not None else None
        self._next = 0

    def so_far(self, spoken_ms: float) -> str:
        """The words of the script that fit into that time, never all. Nothing, where a recogniser listens."""
        words = [] if self._recogniser else self._scripted.split()
        return " ".join(words[: min(int(spoken_ms / 1000 * _WORDS_A_SECOND), len(words) - 1)]) if words else ""

    async def text(self, audio: bytes, source: AudioFormat) -> str:
        """The whole text of the utterance."""
        return await self._recogniser.transcribe(audio, source) if self._recogniser else self._scripted

    def turn_over(self) -> None:
        """Another utterance begins."""
        self._next += 1

    async def aclose(self) -> None:
        """Release the recogniser."""
        if self._recogniser is not None:
            await self._recogniser.aclose()

    @property
    def _scripted(self) -> str:
        return self._texts[min(self._next, len(self._texts) - 1)] if self._texts else ""


def spread(text: str, start_s: float, end_s: float) -> list[tuple[str, float, float]]:
    """The words of a text, each with its share of the time: where it starts and ends, in seconds."""
    words = text.split()
    step = max(end_s - start_s, 0.0) / max(len(words), 1)
    return [(word, round(start_s + step * n, 3), round(start_s + step * (n + 1), 3)) for n, word in enumerate(words)]
