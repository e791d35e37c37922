"""Sends at the pace of a vendor, on absolute deadlines: what was late once does not make all that follows late.

Times are seconds of the event loop's clock, which is the monotonic clock of the machine (and virtual in tests).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TypeVar

from voicebridge.contract.audio import AudioFormat

__all__ = ["in_pieces", "paced", "paced_audio", "text_tokens", "until"]

T = TypeVar("T")
_TOKENS = re.compile(r"\s*\w{1,8}|\s*[^\w\s]|\s+$")
"""A word with the space before it, a long one in parts, or a sign: about what tokens of a language model are."""


async def until(due: float) -> None:
    """Sleep until then. What is past passes at once."""
    if (left := due - asyncio.get_running_loop().time()) > 0:
        await asyncio.sleep(left)


def text_tokens(text: str) -> list[str]:
    """A text in pieces of about a token each. Joined they are the text."""
    return _TOKENS.findall(text)


async def paced(
    pieces: Iterable[T] | AsyncIterable[T], per_s: float, *, since: float | None = None
) -> AsyncIterator[T]:
    """The first piece at `since` (now, where None), the others evenly behind it.

    Args:
        per_s: pieces a second. 0: as fast as they come.
    """
    began = asyncio.get_running_loop().time() if since is None else since
    number = 0
    async for piece in _stream(pieces):
        if per_s:
            await until(began + number / per_s)
        number += 1
        yield piece


async def paced_audio(
    audio: Iterable[bytes] | AsyncIterable[bytes], source: AudioFormat, pace: float, *, since: float | None = None
) -> AsyncIterator[bytes]:
    """Each piece when all audio before it could have been played, `pace` times faster than it plays.

    Args:
        source: the format of the audio.
        pace: 1 is real time. 0: as fast as it comes.
        since: when the first piece is due. None: now.
    """
    began = asyncio.get_running_loop().time() if since is None else since
    size = 0
    async for piece in _stream(audio):
        if pace:
            await until(began + source.ms(size) / 1000 / pace)
        size += len(piece)
        yield piece


async def in_pieces(audio: Iterable[bytes] | AsyncIterable[bytes], size: int) -> AsyncIterator[bytes]:
    """The same audio in pieces of `size` bytes; the last one is what is left."""
    held = bytearray()
    async for piece in _stream(audio):
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


async def _stream(pieces: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
    if isinstance(pieces, AsyncIterable):
        async for piece in pieces:
            yield piece
    else:
        for piece in pieces:
            yield piece
