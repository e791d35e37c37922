"""One opened connection, kept ready for the next utterance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["Connection", "Spare"]


class Connection(Protocol):
    """What a spare can be: such as a `StageSocket`."""

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""

    async def aclose(self) -> None:
        """Let go of it."""


T = TypeVar("T", bound=Connection)


class Spare(Generic[T]):
    """Opens a connection before it is needed, and hands it out once.

    Args:
        open: makes one.
        idle_s: one that has waited for longer is closed and never handed out.
    """

    def __init__(self, open: Callable[[], Awaitable[T]], *, idle_s: float) -> None:
        self._open, self._idle_s = open, idle_s
        self._opening: asyncio.Task[T] | None = None
        self._opened_at = 0.0
        self._closed = False

    async def get_ready(self) -> None:
        """Begin to open one in the background, unless a fresh one waits or is on its way. Failures are not told."""
        if self._closed or self._fits(self._opening):
            return
        stale, self._opening = self._opening, asyncio.ensure_future(self._opened())
        if stale is not None:
            await _discard(stale)

    async def take(self) -> T:
        """The ready one, also where it is still being opened; else a new one.

        Raises:
            VoiceBridgeError: none can be opened.
        """
        opening, self._opening = self._opening, None
        if opening is None:
            return await self._open()
        if not self._fits(opening):
            await _discard(opening)
            return await self._open()
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            await _discard(opening)
            raise

    async def aclose(self) -> None:
        """Close the one that waits. May be called again."""
        self._closed = True
        opening, self._opening = self._opening, None
        if opening is not None:
            await _discard(opening)

    async def _opened(self) -> T:
        connection = await self._open()
        self._opened_at = asyncio.get_running_loop().time()
        return connection

    def _fits(self, opening: asyncio.Task[T] | None) -> bool:
        """Whether it may be handed out."""
        if opening is None or not opening.done():
            return opening is not None
        if opening.cancelled() or opening.exception() is not None:
            return False
        fresh = asyncio.get_running_loop().time() - self._opened_at < self._idle_s
        return fresh and opening.result().is_open


async def _discard(opening: asyncio.Task[T]) -> None:
    """Close it, or stop opening it."""
    if not opening.done():
        opening.cancel()
        await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().aclose()
