"""One connection of HTTP/1.1: a request at a time, its answer in pieces, and whether it can be used again.

`h11` speaks the protocol. Nothing here waits for anything but bytes, and letting go takes no waiting at all, so whoever
is cancelled has closed the connection by then.
"""

from __future__ import annotations

import asyncio
import math
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, cast

import h11

from voicebridge.contract.codec import Closed

from .wire import WireClosed

__all__ = ["Answer", "HttpConnection"]

_READ_AHEAD_BYTES = 256 * 1024
"""What may lie unread before the peer is made to wait."""
_MAX_HEAD_BYTES = 64 * 1024
_BEGINNING = b"HTTP/"
_Next = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]


@dataclass(frozen=True, slots=True)
class Answer:
    """The beginning of an answer."""

    status: int
    headers: dict[str, list[str]]
    """By their names in lower case."""


class HttpConnection(asyncio.Protocol):
    """A socket, and where its conversation stands. Made by `create_connection`.

    Args:
        host: for errors.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._received: list[bytes] = []
        self._unread = 0
        self._waiter: asyncio.Future[None] | None = None
        self._lost = self._eof = self._told_eof = self._paused = self._busy = False
        self._failure: Closed | None = None
        self.waited = False
        """Whether it was open before it was needed, so that the peer may have closed it in the meantime."""
        self.answered = False
        """Whether a byte of an answer to the last request has come."""
        self.has_served = False
        """Whether an answer has come over it: its way is known to work, and the network lets it send more at once."""
        self.idle_since = 0.0
        """When it was put by, on the loop's clock."""
        self.expires_at = math.inf
        """When whoever waits for bytes is told `TimeoutError`, on the loop's clock."""

    # What the socket tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError):  # what is no TCP socket has no such option
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if not self._busy:  # nobody has asked for anything: whatever this is, it would be taken for the next answer
            self.abort()
            return
        self.answered = self.has_served = True
        self._received.append(data)
        self._unread += len(data)
        if self._unread > _READ_AHEAD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._eof = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def transport(self) -> asyncio.Transport:
        """To put another protocol upon it."""
        assert self._transport is not None, "it is connected"
        return self._transport

    # A request and its answer

    async def ask(self, request: h11.Request, content: bytes) -> Answer:
        """Write a request, and wait for the head of its answer.

        Raises:
            WireClosed: there will be none, or it is none of HTTP.
        """
        self._busy, self.answered = True, False
        events: list[h11.Event] = [request, h11.EndOfMessage()]
        if content:
            events.insert(1, h11.Data(data=content))
        if not self.is_open or self._transport is None:
            raise self._broken("reset")
        # In one piece: two would be two packets, and a server may answer (413, say) before it has read the second.
        self._transport.write(b"".join(self._h11.send(event) or b"" for event in events))
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                break
        headers: dict[str, list[str]] = {}
        for name, value in event.headers:
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        return Answer(event.status_code, headers)

    async def piece(self) -> bytes:
        """The next bytes of the answer's body, all that are here; empty at its end.

        Raises:
            WireClosed: it was cut off, or is none of HTTP.
        """
        pieces: list[bytes] = []
        while not pieces and not self.finished:
            event: _Next = await self._next_event()
            with suppress(WireClosed):  # after what came before it; the next call raises it again
                while isinstance(event, h11.Data):
                    if event.data:
                        pieces.append(bytes(event.data))
                    event = self._event_here()
        return b"".join(pieces)

    @property
    def finished(self) -> bool:
        """Whether the answer has been read to its end."""
        return self._h11.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)

    def put_by(self, now: float) -> bool:
        """The answer is over, or there was no request yet: whether another request may follow."""
        if self._busy:
            with suppress(WireClosed):
                while isinstance(self._event_here(), h11.Data):
                    pass  # what nobody wanted to read
            done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
            unread = self._received or self._h11.trailing_data[0]
            if not done or unread or self.transport.get_write_buffer_size():
                self.abort()
                return False
            self._h11.start_next_cycle()
            self._busy = False
        self.waited, self.idle_since = True, now
        return self.is_open

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""
        return not (self._lost or self._eof or self._transport is None or self._transport.is_closing())

    def abort(self) -> None:
        """Close it now."""
        if self._transport is not None:
            self._transport.abort()

    # Reading

    async def _next_event(self) -> h11.Event:
        while (event := self._event_here()) is h11.NEED_DATA:
            if self._lost:
                raise self._broken("reset")
            await self._wait()
        if not isinstance(event, h11.Event):  # it changed to another protocol, which nobody asked for
            raise self._broken("garbage")
        if isinstance(event, h11.ConnectionClosed):
            raise self._broken("reset")
        return event

    async def _wait(self) -> None:
        """Until something comes. What came in time is not late, though the loop was busy: events go before timers."""
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_at(self.expires_at, self._expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _expire(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_exception(TimeoutError())

    def _event_here(self) -> _Next:
        """The next event of what has been received; `NEED_DATA` where that is not enough for one."""
        if self._failure is not None:
            raise WireClosed(self._failure)
        try:
            event = self._h11.next_event()
            if event is h11.NEED_DATA and self._hand_over():
                event = self._h11.next_event()
        except h11.RemoteProtocolError:
            raise self._broken("reset" if self._eof or self._lost else "garbage") from None
        return event

    def _hand_over(self) -> bool:
        """Give `h11` what has been received, or the news that there is no more. Whether there was anything."""
        if not self._received:
            if not self._eof or self._told_eof:
                return False
            self._told_eof = True
            self._h11.receive_data(b"")
            return True
        data = b"".join(self._received)
        if self._h11.their_state is h11.SEND_RESPONSE and not self._h11.trailing_data[0]:
            begins = min(len(data), len(_BEGINNING))
            if data[:begins] != _BEGINNING[:begins]:  # h11 would wait for the end of what is no head
                raise self._broken("garbage")
        self._h11.receive_data(data)
        self._received.clear()
        self._unread = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return True

    def _broken(self, problem: Literal["reset", "garbage"]) -> WireClosed:
        self._failure = Closed(by="nobody", problem=problem, reason=self._host)
        self.abort()
        return WireClosed(self._failure)
