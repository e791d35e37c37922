"""What was said: a script, or what an installed recogniser hears."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.ears import Recogniser

from .options import WireOptions

__all__ = ["Hearing"]

_QUIET = 60.0
"""Root mean square of samples that nobody would call speech."""
_WORDS_A_SECOND = 2.5


class Hearing:
    """Understands one utterance after the other of each caller."""

    def __init__(self, options: WireOptions) -> None:
        self._script = options.transcripts
        self._heard: Counter[str] = Counter()
        """Utterances by caller."""
        self._recogniser = Recogniser(options.recogniser) if options.recogniser else None
        self._one_at_a_time = asyncio.Lock()

    def so_far(self, caller: str, pcm: bytes, source: AudioFormat) -> str:
        """The words of the script that fit into that audio. Nothing, where a recogniser listens."""
        if self._recogniser is not None or _is_silent(pcm):
            return ""
        words = self._scripted(caller).split()
        return " ".join(words[: int(source.ms(len(pcm)) / 1000 * _WORDS_A_SECOND)])

    async def understand(self, caller: str, pcm: bytes, source: AudioFormat) -> str:
        """The words of an utterance. Silence says nothing, and is none."""
        if _is_silent(pcm):
            return ""
        if self._recogniser is not None:
            async with self._one_at_a_time:
                return await self._recogniser.transcribe(pcm, source)
        text = self._scripted(caller)
        self._heard[caller] += 1
        return text or f"{source.ms(len(pcm)) / 1000:.1f} seconds of speech"

    async def warm(self) -> None:
        """Load the recogniser: the first utterance would wait for it."""
        if self._recogniser is not None:
            await self._recogniser.transcribe(bytes(16_000), AudioFormat(rate=16_000))

    def _scripted(self, caller: str) -> str:
        return self._script[min(self._heard[caller], len(self._script) - 1)] if self._script else ""


def _is_silent(pcm: bytes) -> bool:
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float64)
    return not len(samples) or float(np.sqrt(np.mean(samples**2))) < _QUIET
