"""Connections that are being closed: an interruption does not wait for a peer's goodbye."""

from __future__ import annotations

import asyncio

from voicebridge.transport.stage_socket import StageSocket

__all__ = ["Goodbyes"]


class Goodbyes:
    """Owns the tasks in which connections close. Each takes a second at most."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def say(self, socket: StageSocket) -> None:
        """Close it."""
        task = asyncio.ensure_future(socket.aclose())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def said(self) -> None:
        """Wait until all are closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
