"""A stream that outlives its readers: what one of them was waiting for, the next one gets."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator
from typing import Generic, TypeVar

__all__ = ["KeptStream"]

T = TypeVar("T")


class KeptStream(Generic[T]):
    """Reads a stream for several readers, one after the other.

    A generator ends where a wait for it is cancelled. It is therefore read in a task of its own; any other iterator is
    taken to lose nothing by that, and read as it is.
    """

    def __init__(self, stream: AsyncIterable[T]) -> None:
        self._stream = aiter(stream)
        self._fragile = inspect.isasyncgen(self._stream)
        self._reading: asyncio.Task[tuple[T, ...]] | None = None
        self.ended = False

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        if self.ended:
            raise StopAsyncIteration
        if not self._fragile:
            try:
                return await anext(self._stream)
            except StopAsyncIteration:
                self.ended = True
                raise
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="kept stream")
        reading = self._reading
        await asyncio.wait((reading,))
        self._reading = None
        if found := reading.result():
            return found[0]
        self.ended = True
        raise StopAsyncIteration

    async def _read(self) -> tuple[T, ...]:
        async for piece in self._stream:
            return (piece,)
        return ()

    async def aclose(self) -> None:
        """Stop reading, and close the stream where it can be closed."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait((self._reading,))
            self._reading = None
        if (aclose := getattr(self._stream, "aclose", None)) is not None:
            await aclose()
