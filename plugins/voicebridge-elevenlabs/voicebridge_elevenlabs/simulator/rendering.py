"""A text as audio with the time of each of its characters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import pybase64

from voicebridge.contract.audio import AudioFormat
from voicebridge.core.char_words import TimedChar
from voicebridge.testing.simulator.pacing import in_pieces, paced_audio
from voicebridge.testing.simulator.voice import Voice

from .account import Refusal
from .options import WireOptions

__all__ = ["Rendered", "encoded", "format_named", "in_seconds", "paced_pieces", "render", "wire_alignment"]

_PAUSE_MS = 30.0
"""Silence at the end of a word that is a tone, or a part of it where the word is short."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Audio, and its characters with times from its first sample."""

    audio: bytes
    chars: tuple[TimedChar, ...]


def format_named(output_format: str) -> AudioFormat:
    """The format of that name.

    Raises:
        Refusal: there is none, or it is not simulated.
    """
    kind, _, rate = output_format.partition("_")
    if kind == "pcm" and rate in ("8000", "16000", "22050", "24000", "44100", "48000"):
        return AudioFormat(rate=int(rate))
    if output_format == "ulaw_8000":
        return AudioFormat(encoding="ulaw", rate=8000)
    if output_format == "alaw_8000":
        return AudioFormat(encoding="alaw", rate=8000)
    raise Refusal(400, "invalid_output_format", f"{output_format} is not simulated: ask for pcm_24000.")


async def render(voice: Voice, text: str, target: AudioFormat, speed: float) -> Rendered:
    """Speak a text. Characters of a word share its time; white space before it takes none."""
    audio, chars = bytearray(), []
    async with aclosing(voice.speak(text, target, speed)) as pieces:
        async for pcm, said in pieces:
            start_ms = target.ms(len(audio))
            audio += pcm
            spoken_ms = max(target.ms(len(pcm)) - _PAUSE_MS, target.ms(len(pcm)) / 2)
            chars += _timed(said, start_ms, spoken_ms)
    return Rendered(bytes(audio), tuple(chars))


def _timed(text: str, start_ms: float, length_ms: float) -> list[TimedChar]:
    letters = sum(not char.isspace() for char in text)
    timed, at = [], 0
    for char in text:
        begin = start_ms + length_ms * at / max(letters, 1)
        at += not char.isspace()
        timed.append(TimedChar(char, begin, start_ms + length_ms * at / max(letters, 1)))
    return timed


def wire_alignment(chars: Sequence[TimedChar], start_ms: float = 0.0) -> dict[str, list[object]]:
    """Times as the websocket has them: whole milliseconds, and how long each takes."""
    starts = [round(char.start_ms - start_ms) for char in chars]
    return {
        "chars": [char.text for char in chars],
        "charStartTimesMs": list(starts),
        "charDurationsMs": [
            max(0, round(char.end_ms - start_ms) - start) for char, start in zip(chars, starts, strict=True)
        ],
    }


def in_seconds(chars: Sequence[TimedChar]) -> dict[str, list[object]]:
    """Times as HTTP has them."""
    return {
        "characters": [char.text for char in chars],
        "character_start_times_seconds": [round(char.start_ms / 1000, 3) for char in chars],
        "character_end_times_seconds": [round(char.end_ms / 1000, 3) for char in chars],
    }


async def paced_pieces(
    rendered: Rendered, target: AudioFormat, options: WireOptions
) -> AsyncIterator[tuple[bytes, float, tuple[TimedChar, ...]]]:
    """Pieces of audio as the network gets them: the bytes, where they begin in ms, and the characters that begin in
    them."""
    size = target.size(options.piece_ms) + options.odd_pieces
    at, told = 0, 0
    async for piece in paced_audio(in_pieces([rendered.audio], size), target, options.pace):
        begin, end = target.ms(at), target.ms(at + len(piece))
        last = at + len(piece) >= len(rendered.audio)
        upto = told
        while upto < len(rendered.chars) and (last or rendered.chars[upto].start_ms < end):
            upto += 1
        yield piece, begin, rendered.chars[told:upto]
        at, told = at + len(piece), upto


def encoded(audio: bytes) -> str:
    """In base64."""
    return pybase64.b64encode(audio).decode()
