"""What meets a client first: it looks at the head of a request, and hands the connection to a websocket or to HTTP."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from typing import Any

from .http_connection import HttpConnection
from .server_socket import ServerSocket

__all__ = ["Doorman"]

_LARGEST_HEAD = 1 << 16
"""Bytes. A head that goes on is for HTTP to refuse."""
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_UPGRADE = re.compile(rb"\n[ \t]*upgrade[ \t]*:[^\n]*websocket", re.IGNORECASE)


class Doorman(asyncio.Protocol):
    """Stands before one connection, until it is known what the client speaks."""

    head_s = 10.0
    """Seconds in which a client must have said what it wants."""

    def __init__(
        self,
        websocket: ServerSocket,
        http: HttpConnection,
        made: Callable[[Doorman], None],
        gone: Callable[[Doorman], None],
    ) -> None:
        self.transport: Any = None
        self._websocket = websocket
        self._http = http
        self._made = made
        self._gone = gone
        self._first = b""
        self._limit: asyncio.TimerHandle | None = None

    @property
    def protocol(self) -> Any:
        """Of the websocket: `websockets.serve` looks for it on what its factory made."""
        return self._websocket.protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport = transport
        self._limit = asyncio.get_running_loop().call_later(self.head_s, self.transport.abort)
        self._made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It left before it had said what it wants."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._first += data
        if len(self._first) < 4 and b"GET ".startswith(self._first):
            return
        whole = _END_OF_HEAD.search(self._first)
        if self._first.startswith(b"GET ") and whole is None and len(self._first) <= _LARGEST_HEAD:
            return
        upgrade = self._first.startswith(b"GET ") and whole and _UPGRADE.search(self._first, 0, whole.start())
        self._hand_over(self._websocket if upgrade else self._http)

    def _hand_over(self, to: ServerSocket | HttpConnection) -> None:
        self._leave()
        self.transport.set_protocol(to)
        to.connection_made(self.transport)
        to.data_received(self._first)

    def _leave(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        self._gone(self)
