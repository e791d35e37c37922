"""A websocket of the server, and what the protocol has no words for: resets, cuts, silence, and plain HTTP requests."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection

from .wire import HttpAnswer, HttpRequest

__all__ = ["ServerSocket", "read_url"]

_LARGEST_REQUEST = 1 << 20
"""Bytes of a plain HTTP request, head and body."""
_logger = logging.getLogger("voicebridge.simulator")


class ServerSocket(ServerConnection):
    """Answers a POST by itself: the websocket protocol knows only GET."""

    answer_http: Callable[[HttpRequest], HttpAnswer] | None = None
    half_open = False
    """Nothing is read or written any more."""
    made: Callable[[ServerSocket], None] | None = None
    """Told when a client has connected."""
    lost: Callable[[ServerSocket], None] | None = None
    """Told when the connection is over."""
    handshake_s = 10.0
    """Seconds in which a client must have sent its whole request, and taken the answer to a plain one."""
    _limit: asyncio.TimerHandle | None = None
    _first = b""
    _plain: bool | None = None
    """Whether this is a plain request; None: not known yet."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        self._limit = self.loop.call_later(self.handshake_s, self.transport.abort)
        if self.made is not None:
            self.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self.request_came()
        if self.lost is not None:
            self.lost(self)
        super().connection_lost(exc)

    def request_came(self) -> None:
        """The client has done its part: from here on the handshake may take as long as the server likes."""
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.half_open:
            return
        if self._plain is False:
            super().data_received(data)
            return
        self._first += data
        if len(self._first) < 5 and b"POST "[: len(self._first)] == self._first:
            return
        if self._plain is None and not self._first.startswith(b"POST "):
            self._plain, data, self._first = False, self._first, b""
            super().data_received(data)
            return
        self._plain = True
        self._read_plain()

    def reset(self) -> None:
        """End the connection at once with RST."""
        if raw := self.transport.get_extra_info("socket"):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def cut(self) -> None:
        """End the connection with FIN, without a close frame, after what has been written."""
        self.transport.close()

    def go_half_open(self) -> None:
        """Fall silent without a word: the client can't know."""
        self.half_open = True

    def send_data(self) -> None:
        """Write what the protocol has ready."""
        if self.half_open:
            self.protocol.data_to_send()
            return
        super().send_data()

    def write_part(self, frame: str | bytes, size: int) -> None:
        """Write the first `size` bytes of the frame, header included."""
        if isinstance(frame, str):
            self.protocol.send_text(frame.encode())
        else:
            self.protocol.send_binary(frame)
        self.transport.write(b"".join(self.protocol.data_to_send())[:size])

    def write_text_bytes(self, data: bytes) -> None:
        """Send a text frame of these bytes. Where they are no UTF-8, its reader must close with 1007."""
        self.protocol.send_text(data)
        self.send_data()

    def write_raw(self, data: bytes) -> None:
        """Write bytes past the protocol."""
        self.transport.write(data)

    def _read_plain(self) -> None:
        if len(self._first) > _LARGEST_REQUEST:
            self._refuse(413, "The request is larger than 1 MiB.")
            return
        head, end, body = self._first.partition(b"\r\n\r\n")
        if not end:
            return
        try:
            method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
            lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]]
            headers = {name.strip().lower(): value.strip() for name, _, value in lines}
            length = _length(headers.get("content-length", "0"))
            path, query = read_url(target)
        except ValueError:
            self._refuse(400, "This is no HTTP/1.1 request.")
            return
        if "transfer-encoding" in headers:
            self._refuse(411, "A body in chunks is not read: send it whole, with its Content-Length.")
        elif len(head) + length > _LARGEST_REQUEST:
            self._refuse(413, "The request is larger than 1 MiB.")
        elif len(body) >= length:
            self._pass_on(HttpRequest(method=method, path=path, query=query, headers=headers, body=body[:length]))

    def _pass_on(self, request: HttpRequest) -> None:
        try:
            answer = self.answer_http(request) if self.answer_http else HttpAnswer(status=404)
        except Exception as error:  # whatever it is, a client gets an answer
            _logger.exception("A plain request failed.")
            self._refuse(500, f"The simulator failed: {error}")
        else:
            self._answer(answer)

    def _refuse(self, status: int, message: str) -> None:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"message": message, "type": kind, "param": None, "code": None}
        self._answer(HttpAnswer(status=status, body=json.dumps({"error": error}).encode()))

    def _answer(self, answer: HttpAnswer) -> None:
        headers: dict[str, Any] = {"Content-Type": "application/json", **answer.headers}
        headers |= {"Content-Length": len(answer.body), "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        try:
            reason = HTTPStatus(answer.status).phrase
        except ValueError:
            reason = "Error"
        self.transport.write(f"HTTP/1.1 {answer.status} {reason}\r\n{lines}\r\n".encode("latin-1") + answer.body)
        self.transport.close()


def _length(told: str) -> int:
    if not told.isdecimal():
        raise ValueError(f"{told!r} is no length.")
    return int(told)


def read_url(target: str) -> tuple[str, dict[str, str]]:
    """The path and the query of a request's target."""
    parts = urlsplit(target)
    return parts.path, dict(parse_qsl(parts.query, keep_blank_values=True))
