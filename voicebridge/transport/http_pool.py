"""Connections that are kept for the next request, and opened ahead of it. One pool an event loop and origin."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from .http_connection import HttpConnection
from .wire import WireClosed

__all__ = ["Dialling", "HttpPool", "shared_pool"]

Dialling = Callable[[], Coroutine[Any, Any, HttpConnection]]
"""Opens one. Raises `WireClosed`."""


class HttpPool:
    """Connections to one origin, for all stages of an event loop that use it.

    Args:
        host: for errors.
        dial: opens one.
        idle_s: one that was unused for longer is never used again.
    """

    def __init__(self, host: str, dial: Dialling, idle_s: float) -> None:
        self.host, self._dial, self._idle_s = host, dial, idle_s
        self._loop = asyncio.get_running_loop()
        self._idle: deque[HttpConnection] = deque()
        """In the order in which they have waited, the longest first."""
        self._ahead: deque[asyncio.Task[HttpConnection]] = deque()
        """Being opened, and asked for by nobody."""
        self._tasks: set[asyncio.Task[HttpConnection]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._expecting: WeakSet[object] = WeakSet()
        """Who will ask soon."""
        self.users: WeakSet[object] = WeakSet()
        """Who may ask. One that was dropped, and not closed, does not count either."""

    async def take(self, connect_s: float) -> HttpConnection:
        """A connection that waits, or one that is being opened, or a new one.

        Raises:
            WireClosed: there was no way.
            TimeoutError: not in so many seconds.
        """
        self._throw_away()
        if self._idle:
            return self._best()
        if self._ahead:
            with suppress(WireClosed, TimeoutError):  # it began earlier, so that its time runs out before ours
                return await self._claimed(self._ahead.popleft())
        return await self._claimed(self._begin(connect_s))

    async def fresh(self, connect_s: float) -> HttpConnection:
        """A new one, whatever waits. As `take`."""
        return await self._claimed(self._begin(connect_s))

    def _best(self) -> HttpConnection:
        """Of those that wait, the one that served last; where none has, the one that was opened first: what was opened
        a moment ago may not have come through to the vendor yet."""
        served = next((one for one in reversed(self._idle) if one.has_served), None)
        if served is None:
            return self._idle.popleft()
        self._idle.remove(served)
        return served

    def _begin(self, connect_s: float) -> asyncio.Task[HttpConnection]:
        opening = asyncio.ensure_future(self._in_time(connect_s))
        self._tasks.add(opening)
        opening.add_done_callback(self._opened)
        return opening

    async def _in_time(self, connect_s: float) -> HttpConnection:
        async with asyncio.timeout(connect_s):
            return await self._dial()

    async def _claimed(self, opening: asyncio.Task[HttpConnection]) -> HttpConnection:
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # It is not needed after all, and waits for the next: what is asked on a guess is often asked again.
            self._ahead.append(opening)
            if opening.done():
                self._opened(opening)
            raise

    def put_back(self, connection: HttpConnection) -> None:
        """Keep it for the next request if it can be used again; else close it."""
        if not connection.put_by(self._loop.time()):
            return
        if self.users:
            self._idle.append(connection)
            self._look_later()
        else:
            connection.abort()

    async def get_ready(self, who: object, connect_s: float) -> None:
        """Have a connection for each of those who said so and have not asked since. Failures are not told."""
        self._expecting.add(who)
        self._throw_away()
        if len(self._idle) + len(self._ahead) < len(self._expecting):
            opening = self._begin(connect_s)
            self._ahead.append(opening)
            await asyncio.wait([opening])
        elif self._ahead and not self._idle:
            await asyncio.wait(tuple(self._ahead))

    @property
    def is_here(self) -> bool:
        """Whether it is the running loop's."""
        return asyncio.get_running_loop() is self._loop

    @property
    def is_unused(self) -> bool:
        """Whether it has neither users nor connections."""
        return not (self.users or self._idle or self._ahead)

    async def leave(self, who: object) -> None:
        """One user less. With the last one it is closed."""
        self.begins(who)
        self.users.discard(who)
        if not self.users:
            await self.aclose()

    def begins(self, who: object) -> None:
        """That one asks now."""
        self._expecting.discard(who)

    def _opened(self, opening: asyncio.Task[HttpConnection]) -> None:
        self._tasks.discard(opening)
        failed = opening.cancelled() or opening.exception() is not None
        if opening in self._ahead:
            self._ahead.remove(opening)
            if not failed:
                self.put_back(opening.result())

    def _throw_away(self) -> None:
        """Close those that waited for too long, and forget those that the peer has closed."""
        now = self._loop.time()
        while self._idle and (self._idle[0].idle_since + self._idle_s <= now or not self._idle[0].is_open):
            self._idle.popleft().abort()
        for closed in [one for one in self._idle if not one.is_open]:
            self._idle.remove(closed)

    def _look_later(self) -> None:
        """Close the one that waits longest when its time is up, though nobody asks."""
        if self._timer is None and self._idle:
            self._timer = self._loop.call_at(self._idle[0].idle_since + self._idle_s, self._look)

    def _look(self) -> None:
        self._timer = None
        self._throw_away()
        self._look_later()

    async def aclose(self) -> None:
        """Close what waits, and stop opening. What is in use is closed when it is put back."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        while self._idle:
            self._idle.pop().abort()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the next round of the loop


_pools: dict[asyncio.AbstractEventLoop, dict[object, HttpPool]] = {}


def shared_pool(key: object, make: Callable[[], HttpPool]) -> HttpPool:
    """The running loop's pool of that key. Made where there is none."""
    for loop in tuple(_pools):
        if loop.is_closed():  # and what was open in it with it
            _pools.pop(loop, None)
    pools = _pools.setdefault(asyncio.get_running_loop(), {})
    for unused in [other for other, pool in pools.items() if pool.is_unused]:
        del pools[unused]
    if key not in pools:
        pools[key] = make()
    return pools[key]
