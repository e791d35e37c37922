"""Connections that serve one conversation after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from .spare import Connection, Spare

__all__ = ["Shelf"]

T = TypeVar("T", bound=Connection)


class Shelf(Generic[T]):
    """Lends connections, and keeps one that came back for whoever asks next.

    Args:
        open: makes one.
        idle_s: one that was unused for longer is never lent: below what the vendor closes it after.
    """

    def __init__(self, open: Callable[[], Awaitable[T]], *, idle_s: float) -> None:
        self._spare = Spare(open, idle_s=idle_s)
        self._idle_s = idle_s
        self._kept: T | None = None
        self._kept_at = 0.0
        self._closed = False
        self._goodbyes: set[asyncio.Task[None]] = set()

    async def get_ready(self) -> None:
        """Begin to open one in the background, unless one waits."""
        if self._closed or self._is_fresh():
            return
        await self._spare.get_ready()

    async def take(self) -> T:
        """One that waits, else a new one.

        Raises:
            VoiceBridgeError: none can be opened.
        """
        kept, fresh, self._kept = self._kept, self._is_fresh(), None
        if kept is not None and fresh:
            return kept
        if kept is not None:
            self.discard(kept)
        return await self._spare.take()

    def put_back(self, connection: T) -> None:
        """It is in order, and nobody waits for what it still receives."""
        if self._closed or not connection.is_open:
            self.discard(connection)
            return
        if self._kept is not None:
            self.discard(self._kept)
        self._kept, self._kept_at = connection, asyncio.get_running_loop().time()

    def discard(self, connection: T) -> None:
        """Close it. Nobody waits for its goodbye but `aclose`."""
        task = asyncio.get_running_loop().create_task(connection.aclose(), name="shelf: goodbye")
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    async def aclose(self) -> None:
        """Close what waits. What is lent is closed when it comes back. May be called again."""
        self._closed = True
        kept, self._kept = self._kept, None
        if kept is not None:
            self.discard(kept)
        await self._spare.aclose()
        await asyncio.gather(*self._goodbyes, return_exceptions=True)

    def _is_fresh(self) -> bool:
        if self._kept is None or not self._kept.is_open:
            return False
        return asyncio.get_running_loop().time() - self._kept_at < self._idle_s
