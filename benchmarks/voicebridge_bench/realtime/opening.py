"""Many sessions are opened, a few at a time, and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

__all__ = ["opened"]

_OPENING = 16
"""Sessions that are being opened at the same time."""
T = TypeVar("T")


async def opened(stack: AsyncExitStack, dials: Sequence[Callable[[], AbstractAsyncContextManager[T]]]) -> list[T]:
    """What the contexts give, in their order; they are left with the stack.

    Each is entered and left in one task: some clients insist on it.

    Raises:
        Exception: what the first one raised that could not be opened.
    """
    free = asyncio.Semaphore(_OPENING)
    leaving = asyncio.Event()
    lines: list[asyncio.Task[None]] = []

    async def hold(dial: Callable[[], AbstractAsyncContextManager[T]], ready: asyncio.Future[T]) -> None:
        try:
            async with free:
                line = dial()
                call = await line.__aenter__()
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(call)
        await leaving.wait()
        await line.__aexit__(None, None, None)

    async def hang_up() -> None:
        leaving.set()
        for line in await asyncio.gather(*lines, return_exceptions=True):
            if isinstance(line, BaseException) and not isinstance(line, asyncio.CancelledError | Exception):
                raise line

    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[T]] = [loop.create_future() for _ in dials]
    lines += [asyncio.create_task(hold(*pair)) for pair in zip(dials, answers, strict=True)]
    stack.push_async_callback(hang_up)
    return list(await asyncio.gather(*answers))
