"""One opened connection, kept ready for the next utterance."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from voicebridge.contract.errors import VoiceBridgeError

__all__ = ["Connection", "Spare"]


class Connection(Protocol):
    """What a spare can be: such as a `StageSocket`."""

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""

    async def aclose(self) -> None:
        """Let go of it."""


T = TypeVar("T", bound=Connection)


class Spare(Generic[T]):
    """Opens a connection before it is needed, and hands it out once.

    Args:
        open: makes one.
        idle_s: one that has waited for longer is closed and never handed out.
    """

    def __init__(self, open: Callable[[], Awaitable[T]], *, idle_s: float) -> None:
        self._open, self._idle_s = open, idle_s
        self._opening: asyncio.Task[tuple[T, float]] | None = None
        """The spare one, and when it was opened: it waits, or is on its way."""
        self._timer: asyncio.TimerHandle | None = None
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._closed = False

    async def get_ready(self) -> None:
        """Begin to open one in the background, unless a fresh one waits or is on its way. Failures are not told."""
        if self._closed or self._fits():
            return
        self._drop()
        self._opening = asyncio.ensure_future(self._opened())
        self._opening.add_done_callback(self._came)

    async def take(self) -> T:
        """The ready one, also where it is still being opened; else a new one.

        Raises:
            VoiceBridgeError: none can be opened.
        """
        if not self._fits():
            self._drop()
            return await self._open()
        opening, self._opening = self._opening, None
        assert opening is not None, "it fits"
        self._stop_timer()
        try:
            return (await asyncio.shield(opening))[0]
        except asyncio.CancelledError:
            # The taker gave up: it waits for the next one, unless there is a next one already.
            if self._opening is None and not self._closed:
                self._opening = opening
                if opening.done():
                    self._came(opening)
            else:
                self._bury(opening)
            raise

    async def aclose(self) -> None:
        """Close the one that waits. May be called again."""
        self._closed = True
        self._drop()
        if self._goodbyes:
            await asyncio.wait(tuple(self._goodbyes))

    async def _opened(self) -> tuple[T, float]:
        return await self._open(), asyncio.get_running_loop().time()

    def _came(self, opening: asyncio.Task[tuple[T, float]]) -> None:
        """It is open, or failed, of which nothing is told here."""
        failed = opening.cancelled() or opening.exception() is not None
        if not failed and opening is self._opening and self._timer is None:
            self._timer = opening.get_loop().call_at(opening.result()[1] + self._idle_s, self._drop)

    def _fits(self) -> bool:
        """Whether there is one that may be handed out."""
        opening = self._opening
        if opening is None or not opening.done():
            return opening is not None
        if opening.cancelled() or opening.exception() is not None:
            return False
        connection, opened_at = opening.result()
        return connection.is_open and asyncio.get_running_loop().time() < opened_at + self._idle_s

    def _drop(self) -> None:
        """There is none any more."""
        self._stop_timer()
        opening, self._opening = self._opening, None
        if opening is not None:
            self._bury(opening)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _bury(self, opening: asyncio.Task[tuple[T, float]]) -> None:
        """Close it, or stop opening it; nobody waits for that."""
        goodbye = asyncio.ensure_future(_discarded(opening))
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)


async def _discarded(opening: asyncio.Task[tuple[T, float]]) -> None:
    if not opening.done():
        opening.cancel()
        await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        with suppress(VoiceBridgeError, OSError):
            await opening.result()[0].aclose()
