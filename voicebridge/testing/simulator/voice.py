"""The voice of a simulated vendor: a tone made by code, or a text-to-speech stage that is installed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from functools import lru_cache
from typing import Protocol, cast

import numpy as np

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.stages import Flush, Speech, TextToSpeech
from voicebridge.registry.registry import registry

from .ears import installed_stage

__all__ = ["StageVoice", "ToneVoice", "Voice", "voice_named"]

_WORD_GAP_MS = 30
_WORDS = re.compile(r"\s*\S+|\s+$")
"""Words with the space before them: joined they are the text."""


class Voice(Protocol):
    """Speaks a text."""

    def speak(self, text: str, target: AudioFormat, speed: float = 1.0) -> AsyncGenerator[tuple[bytes, str], None]:
        """Audio in `target`, piece by piece, each with the text that begins in it. Joined, the texts are `text`."""

    async def aclose(self) -> None:
        """Release what it holds."""


def voice_named(name: str, *, ms_per_char: float) -> Voice:
    """`tone`, `installed` (a tone where no stage is), or a text-to-speech stage by its name.

    Raises:
        ConfigError: there is no such stage.
    """
    chosen = "tone" if name == "tone" else installed_stage("tts", name)
    if chosen in (None, "tone"):
        return ToneVoice(ms_per_char=ms_per_char)
    return StageVoice(chosen)


class ToneVoice:
    """A burst of tone for each word, as long as the word would take. The same text always sounds the same.

    Args:
        ms_per_char: milliseconds that a character takes; 65 is a calm speaker.
    """

    def __init__(self, *, ms_per_char: float = 65.0) -> None:
        self._ms_per_char = ms_per_char

    async def speak(
        self, text: str, target: AudioFormat, speed: float = 1.0
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """See `Voice.speak`. A piece a word."""
        converter = Converter(DOOR_FORMAT, target)
        for word in _WORDS.findall(text):
            pcm = _burst(max(round(len(word) * self._ms_per_char / speed), _WORD_GAP_MS * 2), len(word.strip()))
            yield converter.convert(pcm), word
        if rest := converter.flush():
            yield rest, ""

    async def aclose(self) -> None:
        """Nothing to release."""


@lru_cache(maxsize=256)
def _burst(length_ms: int, letters: int) -> bytes:
    """A tone with soft edges and a gap behind it, PCM16 at 24 kHz; its pitch tells the length of the word."""
    tone_ms = length_ms - _WORD_GAP_MS
    times = np.arange(DOOR_FORMAT.size(tone_ms) // 2) / DOOR_FORMAT.rate
    edge = np.minimum(np.minimum(times, times[::-1]) / 0.005, 1.0)
    wave = np.sin(2 * np.pi * (180 + 20 * (letters % 8)) * times) * edge * 8000
    return wave.astype("<i2").tobytes() + bytes(DOOR_FORMAT.size(length_ms) - DOOR_FORMAT.size(tone_ms))


class StageVoice:
    """A text-to-speech stage. It is warmed by the first text."""

    def __init__(self, name: str) -> None:
        self._stage = cast(TextToSpeech, registry().stage("tts", name))
        self._speed: float | None = None

    async def speak(
        self, text: str, target: AudioFormat, speed: float = 1.0
    ) -> AsyncGenerator[tuple[bytes, str], None]:
        """See `Voice.speak`."""
        if self._speed is None or self._speed != speed:
            self._stage.configure(SessionConfig() if speed == 1 else SessionConfig(speed=speed))
            if self._speed is None:
                await self._stage.warm()
            self._speed = speed
        converter = Converter(self._stage.traits.format, target)
        said = 0

        async def words() -> AsyncIterator[str | Flush]:
            yield text
            yield Flush()

        async for piece in self._stage.speak(words()):
            if isinstance(piece, Speech):
                covered = text[said : said + len(piece.text)]
                said += len(covered)
                for part in _by_words(converter.convert(piece.pcm), covered, target.frame_bytes):
                    yield part
        yield converter.flush(), text[said:]

    async def aclose(self) -> None:
        """Release the stage."""
        await self._stage.aclose()


def _by_words(pcm: bytes, text: str, frame_bytes: int) -> list[tuple[bytes, str]]:
    """A piece cut into its words, each with audio by its length: stages speak whole clauses at once."""
    words = _WORDS.findall(text) or [text]
    parts, place, letters = [], 0, 0
    for index, word in enumerate(words):
        letters += len(word)
        end = len(pcm) * letters // max(len(text), 1) // frame_bytes * frame_bytes
        end = len(pcm) if index == len(words) - 1 else end
        parts.append((pcm[place:end], word))
        place = end
    return parts
