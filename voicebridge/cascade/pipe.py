"""Audio and marks on their way to a recogniser."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from voicebridge.contract.stages import Mark

__all__ = ["Pipe"]


class Pipe:
    """A queue with a bound on audio. Marks are never held up.

    Args:
        limit: bytes of audio that may wait before `room` waits.
    """

    def __init__(self, limit: int) -> None:
        self._queue: deque[bytes | Mark] = deque()
        self._limit = limit
        self._bytes = 0
        self._filled = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()
        self._asked: dict[int, float] = {}
        """When the marks were put whose text is still to come: a reader that reads no more must be noticed too."""
        self._on_asked: Callable[[int], None] | None = None
        self._deadline: asyncio.Timeout | None = None
        self._timeout_s = 0.0

    def put(self, piece: bytes | Mark) -> None:
        """Add audio or a mark."""
        self._queue.append(piece)
        if isinstance(piece, bytes):
            self._bytes += len(piece)
            if self._bytes >= self._limit:
                self._free.clear()
        elif piece.wanted:
            self._asked[piece.n] = asyncio.get_running_loop().time()
            self._reschedule()
            if self._on_asked is not None:
                self._on_asked(piece.n)
        self._filled.set()

    async def room(self) -> None:
        """Wait until there is room for audio."""
        await self._free.wait()

    def clear(self) -> None:
        """Forget what waits: its reader is gone."""
        self._deadline = self._on_asked = None
        self._queue.clear()
        self._asked.clear()
        self._bytes = 0
        self._free.set()

    def read(self, deadline: asyncio.Timeout, timeout_s: float) -> Pipe:
        """What was put, as it comes. `deadline` runs while the text of a mark is awaited, from when it was put.

        A wait that is cancelled loses nothing: the next one gets it. `clear` must follow before the scope of `deadline`
        is left and anything else is put.
        """
        self._deadline, self._timeout_s = deadline, timeout_s
        if self._asked:
            self._reschedule()
        return self

    def tell_asked(self, on_asked: Callable[[int], None]) -> None:
        """The reader is told of each mark whose text is awaited when it is put, before it is read; and of those that
        were put already."""
        self._on_asked = on_asked
        for n in self._asked:
            on_asked(n)

    def __aiter__(self) -> AsyncIterator[bytes | Mark]:
        return self

    async def __anext__(self) -> bytes | Mark:
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        piece = self._queue.popleft()
        if isinstance(piece, bytes):
            self._bytes -= len(piece)
            if self._bytes < self._limit:
                self._free.set()
        return piece

    def answered(self, mark: int) -> None:
        """The text of a mark came. Marks before it are passed over."""
        self._asked = {n: at for n, at in self._asked.items() if n > mark}
        self._reschedule()

    def _reschedule(self) -> None:
        if self._deadline is not None and not self._deadline.expired():
            oldest = min(self._asked.values(), default=None)
            self._deadline.reschedule(None if oldest is None else oldest + self._timeout_s)
