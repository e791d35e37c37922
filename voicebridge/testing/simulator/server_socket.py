"""A websocket of the server, and what the protocol has no words for: resets, cuts, silence."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection

__all__ = ["ServerSocket", "read_url", "reset"]

_NO_TEXT = b"\xff\xfe\xfa"
"""No UTF-8."""


class ServerSocket(ServerConnection):
    """Is an `Outlet`."""

    half_open = False
    """Nothing is read or written any more."""
    made: Callable[[ServerSocket], None] | None = None
    """Told when a client has connected."""
    lost: Callable[[ServerSocket], None] | None = None
    """Told when the connection is over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(transport)
        if self.made is not None:
            self.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        if self.lost is not None:
            self.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if not self.half_open:
            super().data_received(data)

    def reset(self) -> None:
        """End the connection at once with RST."""
        reset(self.transport)

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

    def write_no_text(self) -> int:
        """Send a text frame that is no UTF-8: its reader must close with 1007."""
        self.protocol.send_text(_NO_TEXT)
        self.send_data()
        return self.wire_size(_NO_TEXT)

    def wire_size(self, frame: str | bytes) -> int:
        """Bytes of a frame with its header, as a server sends it: not masked."""
        size = len(frame.encode() if isinstance(frame, str) else frame)
        return size + (2 if size < 126 else 4 if size < 65536 else 10)

    def garbage(self, kind: str, frame: str | bytes) -> str | bytes | None:
        """See `Outlet.garbage`."""
        if kind == "truncated":
            return frame[: len(frame) // 2]
        if kind == "utf8":
            return None
        return bytes(range(256)) if kind == "binary" else "}{ this is no JSON"

    def unheard_of(self, frame: str | bytes) -> str:
        """A message as this one, of a type that nobody knows; where messages have no type, one of nothing else."""
        try:
            fields = json.loads(frame)
        except ValueError:
            fields = None
        typed = fields if isinstance(fields, dict) and "type" in fields else {}
        return json.dumps({**typed, "type": "unheard_of.event", "unheard_of": {"since": 2099, "why": None}})

    def write_raw(self, data: bytes) -> None:
        """Write bytes past the protocol."""
        self.transport.write(data)


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection at once with RST."""
    if raw := transport.get_extra_info("socket"):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def read_url(target: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The path and the query of a request's target.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(target)
    return parts.path, tuple(parse_qsl(parts.query, keep_blank_values=True))
