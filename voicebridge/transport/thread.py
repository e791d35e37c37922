"""Other people's functions that may block, away from the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

__all__ = ["began_in_thread", "in_thread"]

T = TypeVar("T")
_running: dict[object, tuple[asyncio.AbstractEventLoop, float]] = {}


def began_in_thread(loop: asyncio.AbstractEventLoop) -> float | None:
    """When the youngest function began that runs for this loop, by `time.monotonic`. None: none runs."""
    return max((began for of, began in list(_running.values()) if of is loop), default=None)


async def in_thread(call: Callable[[], T], name: str) -> T:
    """Like `asyncio.to_thread`, in a daemon thread of its own.

    A function that hangs keeps neither the program from ending nor another one from being called. Cancelled, it waits
    no longer; the function runs to its end, and nobody learns what it gave.

    Args:
        name: of the thread.

    Raises:
        Exception: what the function raised. What is no `Exception` (`SystemExit`), and what would look like the end of
            an iterator, comes as a `RuntimeError`.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(settler: Callable[[], None]) -> None:
        if not done.done():  # else nobody waits any more
            settler()

    def work() -> None:
        settler: Callable[[], None]
        try:
            settler = partial(done.set_result, context.run(call))
        except BaseException as raised:
            # SystemExit and the like would otherwise end the thread, and its caller would wait for ever.
            passes = isinstance(raised, Exception) and not isinstance(raised, StopIteration)
            settler = partial(
                done.set_exception, raised if passes else RuntimeError(f"{type(raised).__name__}: {raised}")
            )
        with suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(settle, settler)
        _running.pop(done, None)

    _running[done] = loop, time.monotonic()
    try:
        threading.Thread(target=work, name=name, daemon=True).start()
    except RuntimeError:  # no thread could be had
        del _running[done]
        raise
    return await done
