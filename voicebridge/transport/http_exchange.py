"""One request and its answer, over a connection of the pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import h11

from voicebridge.contract.codec import Closed
from voicebridge.contract.errors import VoiceBridgeError

from .http_connection import Answer, HttpConnection
from .http_patience import Patience
from .http_pool import HttpPool
from .wire import WireClosed

__all__ = ["HttpExchange"]

T = TypeVar("T")


class HttpExchange:
    """Takes a connection, and gives it back when the answer has been read, or closes it.

    Args:
        connect_s: to get a connection.
    """

    def __init__(self, pool: HttpPool, patience: Patience, connect_s: float) -> None:
        self._pool, self._patience, self._connect_s = pool, patience, connect_s
        self._connection: HttpConnection | None = None
        self._aborted = False

    async def begin(self, request: h11.Request, content: bytes) -> Answer:
        """Send the request, and wait for the head of the answer.

        Raises:
            WireClosed: there was no way, or the connection ended.
            VoiceBridgeError: it took too long.
        """
        connection = await self._connected(self._pool.take)
        try:
            answer = await self._waiting(connection, connection.ask(request, content))
            # 408 on a connection that was kept is how some servers say that they were about to close it.
            if not (connection.waited and answer.status == 408):
                return answer
        except WireClosed as error:
            if not connection.waited or connection.answered or error.closed.problem != "reset":
                raise
        # The peer closed it while it was kept, and has not begun to answer.
        connection.abort()
        self.release()
        connection = await self._connected(self._pool.fresh)
        return await self._waiting(connection, connection.ask(request, content))

    async def piece(self) -> bytes:
        """The next bytes of the answer; empty at its end.

        Raises:
            WireClosed: it was cut off.
            VoiceBridgeError: it took too long.
        """
        connection = self._connection
        if connection is None:
            return b""
        if self._patience.left_s <= 0:  # of what came at once, again and again, nothing was of use
            raise VoiceBridgeError(self._patience.fault())
        piece = await self._waiting(connection, connection.piece())
        if connection.finished:
            self.release()
        return piece

    def abort(self) -> None:
        """Close the connection under it, also one that is still to come."""
        self._aborted = True
        if self._connection is not None:
            self._connection.abort()

    def release(self) -> None:
        """Let go: the connection is kept if the answer was read to its end, else closed. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.put_back(connection)

    async def _connected(self, get: Callable[[float], Awaitable[HttpConnection]]) -> HttpConnection:
        patience = self._patience
        patience.begin()
        try:
            async with asyncio.timeout(min(self._connect_s, patience.left_s)):
                self._connection = await get(self._connect_s)
        except TimeoutError:
            raise WireClosed(Closed(by="nobody", problem="timeout", reason=self._pool.host)) from None
        finally:
            patience.end()
        if self._aborted:
            self._connection.abort()
        return self._connection

    async def _waiting(self, connection: HttpConnection, work: Awaitable[T]) -> T:
        connection.expires_at = self._patience.begin()
        try:
            return await work
        except TimeoutError:
            raise VoiceBridgeError(self._patience.fault()) from None
        finally:
            self._patience.end()
