"""What a plugin implements to simulate a vendor, and what the engine gives it.

A `Vendor` is made once for a server and lets clients in; a `Wire` is one client's session on a websocket. A vendor
that also `Converses` answers plain HTTP piece by piece. The engine owns sockets, faults and the log; a vendor only
takes frames and requests, and sends frames and pieces, so that it can be tested without a socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

__all__ = ["Converses", "HttpAnswer", "HttpRequest", "Link", "Reply", "Vendor", "Wire"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A handshake, or a plain request to the same port."""

    method: str
    path: str
    """Without the query."""
    query: Mapping[str, str] = field(default_factory=dict)
    """The last value of each name."""
    pairs: tuple[tuple[str, str], ...] = ()
    """All of the query, in its order: names may come several times."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = b""
    at: float = 0.0
    """Seconds of the monotonic clock when its last byte had come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An answer in HTTP: to a plain request, or to refuse a handshake."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Link(Protocol):
    """A wire's way to its client."""

    number: int
    """Of this connection on this server, from 1."""

    async def send(self, kind: str, frame: str | bytes) -> None:
        """Send a frame; `kind` is the name by which fault scripts mean it.

        Waits while a slow client has too much unread. Does nothing after the end.
        """

    async def close(self, code: int, reason: str) -> None:
        """End the connection."""


class Reply(Protocol):
    """The answer to one request, piece by piece.

    Without a Content-Length in its headers the body goes out in chunks. An answer to HEAD goes out without its body.
    Where a client is gone, nothing that is sent raises: `converse` is cancelled.
    """

    number: int
    """Of this request on this server, from 1: what `connection N` of a fault script means."""

    async def start(self, status: int = 200, headers: Mapping[str, str] = {}, *, kind: str = "response") -> None:
        """Send the head; `kind` is the name by which fault scripts mean it."""

    async def send(self, kind: str, data: bytes) -> None:
        """Send a piece of the body; `kind` is the name by which fault scripts mean it.

        Waits while a slow client has too much unread.
        """

    async def end(self) -> None:
        """The body is whole. Also called by the engine when `converse` returns."""


class Wire(Protocol):
    """One client's session."""

    async def opened(self) -> None:
        """The client is there: greet it."""

    async def received(self, frame: str | bytes) -> None:
        """Take a frame. The next one is read when this returns. Must not raise, whatever the frame holds."""

    async def aclose(self) -> None:
        """The client is gone: stop what still runs."""


class Vendor(Protocol):
    """All that one server shares between its clients."""

    subprotocols: tuple[str, ...]
    """Offered in the handshake."""
    largest_frame: int
    """Bytes. A client that sends more is closed with 1009."""

    async def warm(self) -> None:
        """Load what sessions need, before the first client comes."""

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """Why a client may not open a websocket; None: it may."""

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request that is no handshake, where the vendor does not converse."""

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        """Begin a session."""


@runtime_checkable
class Converses(Protocol):
    """A vendor that answers plain requests piece by piece: it is asked here instead of by `Vendor.answer`."""

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """Answer a request that is no handshake. Cancelled when its client goes away."""
