"""The server's half of websocket frames (RFC 6455), as lean as it can be: no extensions, no tasks, no queues.

A general library would cost as much as the clients that are measured, and the server must never be the bottleneck.
"""

from __future__ import annotations

import base64
import hashlib

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "FrameReader", "accept", "frame", "frame_head"]

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
_WIDTHS = {126: 2, 127: 8}
"""Bytes of an extended length, by the short one."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(request: bytes) -> bytes:
    """The answer to an opening handshake. Offers of compression are not taken up; the first subprotocol is.

    Raises:
        ValueError: it is no handshake.
    """
    headers: dict[bytes, bytes] = {}
    for line in request.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    key = headers.get(b"sec-websocket-key")
    if key is None:
        raise ValueError("The request has no Sec-WebSocket-Key.")
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + _GUID).digest()),
    ]
    if offered := headers.get(b"sec-websocket-protocol"):
        lines.append(b"Sec-WebSocket-Protocol: " + offered.split(b",")[0].strip())
    return b"\r\n".join([*lines, b"", b""])


def frame_head(opcode: int, size: int) -> bytes:
    """The bytes before a payload of `size` bytes."""
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole, unmasked message."""
    return frame_head(opcode, len(payload)) + payload


class FrameReader:
    """Takes bytes as they come, gives messages."""

    def __init__(self) -> None:
        self._rest = b""
        self._parts: list[bytes] = []
        self._opcode = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that are complete now, as (opcode, payload).

        Raises:
            ValueError: a client's frame is not masked.
        """
        if self._rest:
            data = self._rest + data
        found: list[tuple[int, bytes]] = []
        at = 0
        while (end := self._end(data, at)) is not None:
            body, last = end
            payload = _unmasked(data[body:last], data[body - 4 : body])
            self._take(data[at], payload, found)
            at = last
        self._rest = data[at:]
        return found

    def _end(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Where the payload of the frame at `at` begins and ends; None if it is not all there."""
        if len(data) - at < 6:
            return None
        if not data[at + 1] & 0x80:
            raise ValueError("A client's frame is not masked.")
        size = data[at + 1] & 0x7F
        wide = _WIDTHS.get(size, 0)
        body = at + 2 + wide + 4
        if wide:
            size = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
        return (body, body + size) if len(data) >= body + size else None

    def _take(self, first: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        opcode, final = first & 0x0F, first & 0x80
        if opcode >= 8 or (final and opcode):
            found.append((opcode, payload))
            return
        if opcode:
            self._opcode, self._parts = opcode, []
        self._parts.append(payload)
        if final:
            found.append((self._opcode, b"".join(self._parts)))


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")
