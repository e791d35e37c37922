"""Sends the pieces of an answer when their time has come."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable

from voicebridge.testing.simulator.pacing import until
from voicebridge.testing.simulator.wire import Reply

from .piece import Piece

__all__ = ["play", "play_as_made"]


async def play(reply: Reply, pieces: Iterable[Piece], since: float = 0.0, unit_s: float = 0.0) -> None:
    """Send each piece when `after` units have passed since then. What was late once makes nothing else late.

    Args:
        since: seconds of the loop's clock.
        unit_s: seconds of one unit of `Piece.after`; 0: all at once.
    """
    for kind, data, after in pieces:
        if unit_s:
            await until(since + after * unit_s)
        await reply.send(kind, data)


async def play_as_made(reply: Reply, pieces: AsyncIterable[Piece], since: float, unit_s: float) -> None:
    """The same for pieces that are still being made."""
    async for piece in pieces:
        await play(reply, (piece,), since, unit_s)
