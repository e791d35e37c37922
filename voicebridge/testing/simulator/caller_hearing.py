"""What a simulated vendor understands of uploads: a script for each caller, or a recogniser that really listens."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import numpy as np

from voicebridge.contract.audio import AudioFormat

from .ears import Recogniser

__all__ = ["CallerHearing", "is_silent"]

_QUIET = 60.0
"""Root mean square of samples that nobody would call speech."""


class CallerHearing:
    """Understands one utterance after the other of each caller.

    Args:
        transcripts: one an utterance; the last one repeats. None: how long it was.
        recogniser: `installed`, or a speech-to-text stage by its name. None: the transcripts.

    Raises:
        ConfigError: there is no such stage.
    """

    def __init__(self, transcripts: Sequence[str], recogniser: str | None) -> None:
        self._script = transcripts
        self._heard: Counter[str] = Counter()
        """Utterances by caller."""
        self._recogniser = Recogniser(recogniser) if recogniser is not None else None
        self._one_at_a_time = asyncio.Lock()

    async def warm(self) -> None:
        """Load the recogniser: the first utterance would wait for it."""
        if self._recogniser is not None:
            await self._recogniser.transcribe(bytes(16_000), AudioFormat(rate=16_000))

    def upcoming(self, caller: str) -> str | None:
        """What the caller's next utterance will say, where that is known before it is over."""
        if self._recogniser is not None or not self._script:
            return None
        return self._script[min(self._heard[caller], len(self._script) - 1)]

    async def understand(self, caller: str, pcm: bytes, source: AudioFormat) -> str:
        """The words of an utterance. Silence says nothing, and is none."""
        if is_silent(pcm):
            return ""
        if self._recogniser is not None:
            async with self._one_at_a_time:
                return await self._recogniser.transcribe(pcm, source)
        text = self.upcoming(caller)
        self._heard[caller] += 1
        return f"{source.ms(len(pcm)) / 1000:.1f} seconds of speech" if text is None else text


def is_silent(pcm: bytes) -> bool:
    """Whether there is no speech in PCM16."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float64)
    return not len(samples) or float(np.sqrt(np.mean(samples**2))) < _QUIET
