"""An event loop with exact timers: those of asyncio on Linux come up to a millisecond late, and a turn has a dozen.

`epoll` waits for whole milliseconds, rounded up; `select` does not round. An epoll object can itself be waited for, so
one `select` on it is all that is needed.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from typing import Any

__all__ = ["precise_loop"]

_HIGHEST = 1024
"""`select` takes no file descriptor from here on."""


def precise_loop() -> asyncio.AbstractEventLoop:
    """A loop, to be passed as `loop_factory` to `asyncio.Runner`. Where there is no epoll, the usual one."""
    if not hasattr(selectors, "EpollSelector"):
        return asyncio.SelectorEventLoop()
    selector = _PreciseSelector()
    return asyncio.SelectorEventLoop(selector if selector.fileno() < _HIGHEST else None)


if hasattr(selectors, "EpollSelector"):

    class _PreciseSelector(selectors.EpollSelector):
        def select(self, timeout: float | None = None) -> Any:
            if timeout is None or timeout <= 0:
                return super().select(timeout)
            select.select((self.fileno(),), (), (), timeout)
            return super().select(0)
