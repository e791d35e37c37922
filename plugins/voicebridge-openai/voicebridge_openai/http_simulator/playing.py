"""Sends the pieces of an answer when their time has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from voicebridge.testing.simulator.wire import Reply

from .piece import Piece

__all__ = ["cut", "play", "play_as_made", "until"]


async def until(due: float) -> None:
    """Sleep until then, monotonic seconds."""
    if (left := due - time.monotonic()) > 0:
        await asyncio.sleep(left)


async def play(reply: Reply, pieces: Iterable[Piece], since: float, unit_s: float) -> None:
    """Send each piece when `after` units have passed since then. Late, it makes up for it: times do not drift.

    Args:
        since: monotonic seconds.
        unit_s: seconds of one unit of `Piece.after`; 0: all at once.
    """
    for kind, data, after in pieces:
        if unit_s:
            await until(since + after * unit_s)
        await reply.send(kind, data)


async def play_as_made(reply: Reply, pieces: AsyncIterable[Piece], since: float, unit_s: float) -> None:
    """The same for pieces that are still being made."""
    async for kind, data, after in pieces:
        if unit_s:
            await until(since + after * unit_s)
        await reply.send(kind, data)


async def cut(audio: AsyncIterator[tuple[bytes, str]], size: int) -> AsyncIterator[bytes]:
    """Audio in pieces of `size` bytes; the last one is what is left."""
    held = bytearray()
    async for pcm, _ in audio:
        held += pcm
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
