"""Clauses that are asked for one by one and heard in their order, the next already on its way while one comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

__all__ = ["ClauseLine"]

T = TypeVar("T")


class ClauseLine(Generic[T]):
    """Runs a request for each clause.

    Args:
        ask: what a clause becomes.
        at_once: requests that may run at the same time.
    """

    def __init__(self, ask: Callable[[str], AsyncGenerator[T]], at_once: int) -> None:
        self._ask = ask
        self._room = asyncio.Semaphore(at_once)
        self._line: asyncio.Queue[asyncio.Queue[T | asyncio.Task[None]] | asyncio.Task[None]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, clauses: AsyncIterable[str]) -> AsyncGenerator[T]:
        """The outputs of all clauses. Closed or cancelled, it ends every request."""
        taking = asyncio.create_task(self._take(clauses), name="voice: clauses")
        taking.add_done_callback(self._line.put_nowait)
        try:
            while not isinstance(one := await self._line.get(), asyncio.Task):
                while not isinstance(output := await one.get(), asyncio.Task):
                    yield output
                output.result()
                self._room.release()
            one.result()
        finally:
            tasks = [taking, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, clauses: AsyncIterable[str]) -> None:
        async for clause in clauses:
            await self._room.acquire()
            outputs: asyncio.Queue[T | asyncio.Task[None]] = asyncio.Queue()
            task = asyncio.create_task(self._run(clause, outputs), name="voice: clause")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(outputs.put_nowait)
            self._line.put_nowait(outputs)

    async def _run(self, clause: str, outputs: asyncio.Queue[T | asyncio.Task[None]]) -> None:
        async with aclosing(self._ask(clause)) as answers:
            async for answer in answers:
                outputs.put_nowait(answer)
