"""What a stage asks of its vendor, with the settings as they are now."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar, runtime_checkable

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.stages import GetsReady

from .http import HttpApi

__all__ = ["Checks", "CurrentRequests", "HasApi"]


class HasApi(Protocol):
    """Makes requests with one choice of settings. It may also be `GetsReady`, where there is more to open than a
    connection, and `Checks`."""

    @property
    def api(self) -> HttpApi:
        """Where they go. Made with the object, closed by the stage."""


@runtime_checkable
class Checks(Protocol):
    """Requests that can find out before the first one whether it would be served."""

    async def check(self) -> None:
        """Ask for something cheap.

        Raises:
            VoiceBridgeError: the key is refused, or a setting does not exist there.
        """


R = TypeVar("R", bound=HasApi)


class CurrentRequests(Generic[R]):
    """The requests of now. Those of earlier settings that are still at work end in peace.

    Args:
        make: makes the requests of a config. Raises `ConfigError` where a setting does not fit.
    """

    def __init__(self, make: Callable[[SessionConfig], R]) -> None:
        self._make = make
        self._now: R | None = None
        self._left: list[R] = []
        self._at_work: Counter[int] = Counter()
        """Requests under way, by the identity of who made them, which is kept in `_now` or `_left` that long."""

    def configure(self, config: SessionConfig) -> None:
        """Those of these settings from now on.

        Raises:
            ConfigError: a setting does not fit. Then everything stays as it was.
        """
        made = self._make(config)
        if self._now is not None:
            self._left.append(self._now)
        self._now = made

    @contextmanager
    def used(self) -> Iterator[R]:
        """Keep those of now open for a request, whatever is configured meanwhile."""
        requests = self._current()
        self._at_work[id(requests)] += 1
        try:
            yield requests
        finally:
            self._at_work[id(requests)] -= 1

    async def warm(self) -> None:
        """Get ready, and find out whether the vendor serves us.

        Raises:
            VoiceBridgeError: it does not.
        """
        requests = self._current()
        if isinstance(requests, Checks):
            await requests.check()
        await self.get_ready()

    async def get_ready(self) -> None:
        """Open what the next request needs."""
        requests = self._current()
        await (requests if isinstance(requests, GetsReady) else requests.api).get_ready()
        done = [one for one in self._left if not self._at_work[id(one)]]
        await self._close(done)

    async def aclose(self) -> None:
        """Close all. May be called again."""
        if self._now is not None:
            self._left.append(self._now)
            self._now = None
        await self._close(list(self._left))

    def _current(self) -> R:
        if self._now is None:
            self.configure(SessionConfig())
            assert self._now is not None
        return self._now

    async def _close(self, done: list[R]) -> None:
        ids = {id(one) for one in done}
        self._left = [one for one in self._left if id(one) not in ids]
        for gone in ids:
            del self._at_work[gone]
        await asyncio.gather(*(one.api.aclose() for one in done))
