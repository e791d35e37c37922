"""A thread of our own for native code, so that the event loop never waits for a model."""

from __future__ import annotations

import asyncio
import atexit
import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = ["Stop", "Stopped", "Worker"]

T = TypeVar("T")
_EXIT_WAIT_S = 10.0


class Stopped(Exception):
    """What a job raises that was told to stop. Nobody sees it."""


class Stop:
    """Tells a running job that nobody wants its result any more."""

    def __init__(self) -> None:
        self._set = False
        self._act: Callable[[], None] | None = None

    @property
    def wanted(self) -> bool:
        """False once the caller is gone."""
        return not self._set

    def on_set(self, act: Callable[[], None] | None) -> None:
        """Call `act` when it is set: how native code that runs is told. None takes that back."""
        self._act = act
        if act is not None and self._set:
            act()

    def set(self) -> None:
        """The caller is gone."""
        self._set = True
        if (act := self._act) is not None:
            act()


@dataclass(order=True)
class _Job(Generic[T]):
    rank: int
    number: int
    run: Callable[[Stop], T] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    result: asyncio.Future[T] = field(compare=False)
    stop: Stop = field(compare=False, default_factory=Stop)


class Worker:
    """Runs jobs one after the other, urgent ones first, in daemon threads that begin with the first job.

    Args:
        name: of the threads.
        threads: how many jobs may run at once.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self._name, self._limit = name, threads
        self._waiting: list[_Job[Any]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    async def run(self, job: Callable[[Stop], T], *, urgent: bool = True) -> T:
        """What `job` returns.

        Cancelled, it returns at once. A job that has not begun then never runs; one that runs is told by its `Stop`.

        Raises:
            Exception: whatever the job raises.
        """
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        entry = _Job(0 if urgent else 1, next(self._numbers), job, loop, result)
        with self._changed:
            if self._closed:
                raise RuntimeError(f"{self._name} is closed")
            heapq.heappush(self._waiting, entry)
            if self._idle < len(self._waiting) and len(self._threads) < self._limit:
                self._begin_thread()
            self._changed.notify()
        try:
            return await result
        finally:
            entry.stop.set()

    def close(self) -> None:
        """Drop what waits, and give what runs ten seconds to end: models that are being loaded can't be stopped."""
        with self._changed:
            self._closed = True
            dropped, self._waiting = self._waiting, []
            self._changed.notify_all()
        for entry in dropped:
            entry.stop.set()
        for thread in self._threads:
            thread.join(_EXIT_WAIT_S)

    def _begin_thread(self) -> None:
        if not self._threads:
            # Native code must not run while the interpreter is taken down around it.
            atexit.register(self.close)
        thread = threading.Thread(target=self._work, name=f"{self._name} {len(self._threads) + 1}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            if entry.stop.wanted:
                self._do(entry)
            del entry

    def _next(self) -> _Job[Any] | None:
        with self._changed:
            self._idle += 1
            while not self._waiting and not self._closed:
                self._changed.wait()
            self._idle -= 1
            return None if self._closed else heapq.heappop(self._waiting)

    def _do(self, entry: _Job[Any]) -> None:
        try:
            value, error = entry.run(entry.stop), None
        except BaseException as caught:
            value, error = None, caught
        try:
            entry.loop.call_soon_threadsafe(_settle, entry.result, value, error)
        except RuntimeError:  # the loop is closed: nobody waits
            return


def _settle(result: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if result.done():
        return
    if error is None:
        result.set_result(value)
    elif isinstance(error, StopIteration):  # a future refuses it
        result.set_exception(RuntimeError(f"a job raised {error!r}"))
    else:
        result.set_exception(error)
