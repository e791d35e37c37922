"""A client's connection that speaks HTTP/1.1: requests come out whole, answers go in piece by piece.

Kept alive between requests. A client that sends FIN while it is answered is taken for gone, as proxies take it, unless
its request said `Connection: close`: that one only has nothing more to say, and gets its answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Protocol

import h11

from .callers import is_control
from .server_socket import read_url, reset
from .wire import HttpRequest

__all__ = ["HttpConnection", "HttpDoor", "reason_of"]

_LARGEST_HEAD = 1 << 16
_LARGEST_BODY = 25 << 20
"""Bytes of a request."""
_LARGEST_AHEAD = 1 << 18
"""Bytes that a client may send behind a request that is not answered yet; then its socket is left alone."""
_LINGER_S = 1.0
"""A client that is refused in the middle of its request may go on so long, so that it reads why."""


class HttpDoor(Protocol):
    """What a connection leads to."""

    keep_alive_s: float | None
    """See `SimulatorSettings.keep_alive_s`."""
    stale: bool
    """See `SimulatorSettings.stale`."""

    def made(self, connection: HttpConnection) -> None:
        """A client has connected."""

    def lost(self, connection: HttpConnection) -> None:
        """The connection is over."""

    async def respond(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answer a request. Cancelled when the client goes away."""


class HttpConnection(asyncio.Protocol):
    """One connection; one request at a time, those that come early wait."""

    silence_s = 10.0
    """A client that sends nothing for so long in the middle of a request is refused."""

    def __init__(self, door: HttpDoor) -> None:
        self.transport: Any = None
        self.half_open = False
        """Nothing is read or written any more."""
        self.over = asyncio.Event()
        """The connection is lost."""
        self.task: asyncio.Task[None] | None = None
        """Answers the request that has come."""
        self._door = door
        self._machine = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._ahead = 0
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        self._idle_s: float | None = None
        """How long it was idle before the request that comes. None: that is its first."""
        self._eof = False
        self._cancelled = False
        self._loop = asyncio.get_running_loop()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client's first bytes are about to come."""
        self.transport = transport
        self._door.made(self)
        self._wait(self.silence_s, self._silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._wait(None)
        self.over.set()
        self._writable.set()
        self._cancel()
        self._door.lost(self)

    def pause_writing(self) -> None:
        """The client has too much unread."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.half_open or self._refused:
            return
        if self._idle_since is not None:
            self._idle_s, self._idle_since = self._loop.time() - self._idle_since, None
        self._machine.receive_data(data)
        if self.task is None:
            self._wait(self.silence_s, self._silent)
            self._read()
        else:
            self._ahead += len(data)
            if self._ahead > _LARGEST_AHEAD:
                self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The client sends nothing more. Gives whether the connection stays."""
        self._eof = True
        if self.half_open or self._refused:
            return False
        if self.task is not None:
            if not self._says_close():
                self._cancel()
            return self._says_close()
        self._machine.receive_data(b"")
        self._read()
        return self._refused

    def write(self, data: bytes) -> None:
        """Write bytes past the protocol."""
        if not (self.over.is_set() or self.half_open):
            self.transport.write(data)

    async def send(self, event: h11.Event) -> None:
        """Write a part of the answer. Waits while the client has too much unread."""
        self.write(self.encoded(event))
        await self._writable.wait()

    def encoded(self, event: h11.Event) -> bytes:
        """The bytes of a part of the answer, which count as sent. Raises `h11.LocalProtocolError`."""
        return self._machine.send(event) or b""

    def reset(self) -> None:
        """End the connection at once with RST."""
        if not self.over.is_set():
            reset(self.transport)

    def cut(self) -> None:
        """End the connection with FIN, after what has been written."""
        self.transport.close()

    def abort(self) -> None:
        """End the connection at once, and what is answered on it."""
        self._cancel()
        self.transport.abort()

    def go_half_open(self) -> None:
        """Fall silent without a word: the client can't know."""
        self.half_open = True

    def _read(self) -> None:
        """Take what has come, until a request is whole or more must come."""
        try:
            while self.task is None and not self._refused:
                event = self._machine.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return
                self._take(event)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, f"{error}.")
        except ValueError:
            self._refuse(400, "This is no HTTP/1.1 request.")

    def _take(self, event: Any) -> None:
        if isinstance(event, h11.Request):
            self._head, self._body = event, bytearray()
            read_url(event.target.decode("latin-1"))
            told = dict(event.headers).get(b"content-length", b"0")
            if event.http_version not in (b"1.0", b"1.1"):
                self._refuse(505, "This server speaks HTTP/1.1.")
            elif int(told) > _LARGEST_BODY:
                self._too_large()
            elif self._machine.they_are_waiting_for_100_continue:
                self.write(self.encoded(h11.InformationalResponse(status_code=100, headers=[])))
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > _LARGEST_BODY:
                self._too_large()
        elif isinstance(event, h11.EndOfMessage):
            self._begin()
        elif isinstance(event, h11.ConnectionClosed):
            self.cut()
            self._refused = True

    def _begin(self) -> None:
        assert self._head is not None
        self._wait(None)
        path, pairs = read_url(self._head.target.decode("latin-1"))
        headers: dict[str, str] = {}
        for raw, value in self._head.headers:
            name = raw.decode("latin-1")
            text = value.decode("latin-1")
            headers[name] = f"{headers[name]}, {text}" if name in headers else text
        request = HttpRequest(
            method=self._head.method.decode("ascii"),
            path=path,
            query=dict(pairs),
            pairs=pairs,
            headers=headers,
            body=bytes(self._body),
            at=self._loop.time(),
        )
        self._body = bytearray()
        if self._is_stale(path):
            self.cut()
            self._refused = True
        else:
            self.task = self._loop.create_task(self._answer(request))

    def _is_stale(self, path: str) -> bool:
        limit = self._door.keep_alive_s if self._door.stale else None
        return limit is not None and self._idle_s is not None and self._idle_s >= limit and not is_control(path)

    def _cancel(self) -> None:
        """The client is gone. Once: a second cancel would disturb what tidies up after the first."""
        if self.task is not None and not self._cancelled:
            self._cancelled = True
            self.task.cancel()

    async def _answer(self, request: HttpRequest) -> None:
        try:
            await self._door.respond(request, self)
        except asyncio.CancelledError:
            self.transport.abort()
        finally:
            self.task = None
        if self.half_open or self.over.is_set() or self.transport.is_closing():
            return
        if self._machine.our_state is not h11.DONE or self._machine.their_state is not h11.DONE:
            self._leave()
            return
        self._machine.start_next_cycle()
        self._head = None
        self._ahead = 0
        self.transport.resume_reading()
        self._rest()
        self._read()

    def _rest(self) -> None:
        self._idle_since = self._loop.time()
        if self._door.keep_alive_s is not None and not self._door.stale:
            self._wait(self._door.keep_alive_s, self.cut)

    def _too_large(self) -> None:
        self._refuse(413, f"The request is larger than {_LARGEST_BODY >> 20} MiB.")

    def _silent(self) -> None:
        self._refuse(408, "The rest of the request did not come.")

    def _refuse(self, status: int, message: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        body = json.dumps({"error": error}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
        if self._machine.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            response = h11.Response(status_code=status, reason=reason_of(status), headers=headers)
            for event in (response, h11.Data(data=body), h11.EndOfMessage()):
                self.write(self.encoded(event))
        self._leave()

    def _leave(self) -> None:
        """End the connection, and let the client read the answer first: unread bytes would make it a reset."""
        self._refused = True
        if self.transport.is_closing():
            return
        if self._eof:
            self.cut()
            return
        if self.transport.can_write_eof():
            with suppress(OSError):  # the client has reset it, and nobody has told us yet
                self.transport.write_eof()
        self._wait(_LINGER_S, self.transport.abort)

    def _says_close(self) -> bool:
        assert self._head is not None
        values = b",".join(_values(self._head.headers, b"connection")).lower()
        return b"close" in values or self._head.http_version < b"1.1"

    def _wait(self, seconds: float | None, then: Any = None) -> None:
        """Do something when so long nothing has come; one such thing at a time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, then)


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for one, value in headers if one == name]


def reason_of(status: int) -> bytes:
    """The words of a status."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Error"
