"""A text as chunks of audio and the times of its words, at the pace of the vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pybase64

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.pacing import in_pieces, paced_audio, until
from voicebridge.testing.simulator.voice import Voice

from .options import WireOptions

__all__ = ["Clock", "spoken"]


class Clock:
    """How much audio a context has had: times of words count from its beginning."""

    def __init__(self) -> None:
        self.ms = 0.0


async def spoken(
    voice: Voice,
    text: str,
    audio: AudioFormat,
    options: WireOptions,
    *,
    speed: float,
    due: float,
    clock: Clock,
    raw: bool = False,
) -> AsyncGenerator[tuple[str, Any], None]:
    """`("chunk", audio in base64)` and `("timestamps", three lists)`, the first one when it is due: until then it is
    made ready.

    Args:
        due: seconds of the loop's clock.
        raw: chunks are bytes.
    """
    words: list[tuple[str, float, float]] = []
    place = clock.ms

    async def pcm() -> AsyncGenerator[bytes, None]:
        nonlocal place
        async with aclosing(voice.speak(text, audio, speed)) as pieces:
            async for piece, said in pieces:
                length = audio.ms(len(piece))
                if said.strip():
                    words.append((said.strip(), place, place + length))
                elif words:
                    words[-1] = (words[-1][0], words[-1][1], place + length)
                place += length
                yield piece

    frames = paced_audio(in_pieces(pcm(), audio.size(options.chunk_ms)), audio, options.pace, since=due)
    async for frame in frames:
        await until(due)
        if words:
            yield "timestamps", _stamps(words)
            words.clear()
        clock.ms += audio.ms(len(frame))
        yield "chunk", frame if raw else pybase64.b64encode(frame).decode()
        await asyncio.sleep(0)
    if words:
        yield "timestamps", _stamps(words)


def _stamps(words: list[tuple[str, float, float]]) -> dict[str, Any]:
    return {
        "words": [word for word, _, _ in words],
        "start": [round(start / 1000, 3) for _, start, _ in words],
        "end": [round(end / 1000, 3) for _, _, end in words],
    }
