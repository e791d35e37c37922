"""What a wire does for one client beside reading its frames: work in order, and a watch over its silence."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from .wire import Link

__all__ = ["ClientWork"]

Work = Coroutine[Any, Any, None]


class ClientWork:
    """Begins with `begin`.

    Args:
        idle_s: seconds without a sign of life after which the connection is closed. None: never.
        idle_close: code and reason of that close.
    """

    def __init__(self, link: Link, *, idle_s: float | None = None, idle_close: tuple[int, str] = (1000, "")) -> None:
        self._link, self._idle_s, self._idle_close = link, idle_s, idle_close
        self._clock = asyncio.get_running_loop().time
        self._alive_at = self._clock()
        self._waiting: asyncio.Queue[Work] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Work, and watch."""
        self._worker = self._start(self._work())
        if self._idle_s is not None:
            self._start(self._watch(self._idle_s))

    def alive(self) -> None:
        """The client gave a sign of life."""
        self._alive_at = self._clock()

    def then(self, work: Work) -> None:
        """Do that after what was asked for before."""
        self._waiting.put_nowait(work)

    def beside(self, work: Work) -> asyncio.Task[None]:
        """Do that at once, whatever else is done."""
        return self._start(work)

    def drop(self) -> None:
        """Stop what is being done in order, and forget what waits."""
        self._forget()
        if self._worker is not None:
            self._worker.cancel()
        self._worker = self._start(self._work())

    async def aclose(self) -> None:
        """Stop all of it."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._forget()

    def _forget(self) -> None:
        while not self._waiting.empty():
            self._waiting.get_nowait().close()  # a coroutine that never ran would be warned of

    def _start(self, work: Work) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name="simulator: client work")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _work(self) -> None:
        while True:
            await (await self._waiting.get())

    async def _watch(self, idle_s: float) -> None:
        while True:
            left = self._alive_at + idle_s - self._clock()
            if left <= 0:
                break
            await asyncio.sleep(left)
        await self._link.close(*self._idle_close)
