"""Virtual time: waits take no time, and everything happens in the same order on every run."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from voicebridge.transport.thread import began_in_thread

__all__ = ["VirtualTimeLoop", "run_in_virtual_time"]

T = TypeVar("T")
_SHORT_S = 0.2
"""Seconds of real time for which the clock waits for a function in a thread."""
_LOOK_S = 0.005


class _Jump(selectors.DefaultSelector):
    """A selector that does not wait: it moves the loop's clock to the next timer instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.began_in_thread: Callable[[], float | None] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        while timeout != 0:
            began = self.began_in_thread()
            if began is None or time.monotonic() - began > _SHORT_S:
                break
            if ready := super().select(_LOOK_S):
                return ready
        if ready := super().select(0):
            return ready
        if timeout is None:
            raise RuntimeError("Nothing is left to happen: every task waits for something that nobody will do.")
        self.now += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time()` starts at 0 and jumps from timer to timer.

    What `in_thread` runs takes no time, if it is done within a fifth of a second of real time. The results of other
    threads arrive at no particular virtual time. Timers of one instant go off in an order that is the same on every
    run, but not always the one in which they were set.
    """

    def __init__(self) -> None:
        self._jump = _Jump()
        self._jump.began_in_thread = partial(began_in_thread, self)
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, in virtual time. An hour of conversation takes milliseconds."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
