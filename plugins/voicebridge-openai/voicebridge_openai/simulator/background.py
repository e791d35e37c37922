"""What a session does while it listens: tasks that end with it, and whose failures are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from voicebridge.contract.errors import VoiceBridgeError

__all__ = ["Background"]

T = TypeVar("T")
_logger = logging.getLogger("voicebridge.simulator")


class Background:
    """The tasks of one session."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do it, until it is done or the session is over."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # A recogniser's failure is told by whoever waits for it.
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, VoiceBridgeError):
            _logger.error("A session failed.", exc_info=error)

    async def aclose(self) -> None:
        """Cancel what still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
