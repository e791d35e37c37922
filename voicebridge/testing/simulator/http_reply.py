"""The answer to one request in HTTP: its pieces go out through the faults of the script."""

from __future__ import annotations

import json
from collections.abc import Mapping

import h11

from .connection import Connection
from .fault_run import FaultRun
from .http_connection import HttpConnection, reason_of
from .wire import HttpRequest

__all__ = ["GARBAGE_HEAD", "HttpReply"]

GARBAGE_HEAD = b"\x00\x01 this is no HTTP\r\n\r\n"
_SSE = "text/event-stream"
_UNHEARD_OF = {"type": "unheard_of.event", "unheard_of": {"since": 2099, "why": None}}


class HttpReply:
    """Is a `Reply`."""

    def __init__(self, connection: HttpConnection, request: HttpRequest, number: int, faults: FaultRun) -> None:
        self.number = number
        self.started = False
        """The head is on its way."""
        self._connection = connection
        self._bodiless = request.method == "HEAD"
        self._body = _Body(connection)
        self._link = Connection(self._body, number, faults)
        self._ended = False
        self._link.opened()

    async def start(self, status: int = 200, headers: Mapping[str, str] = {}, *, kind: str = "response") -> None:
        """See `Reply.start`."""
        if self.started:
            raise RuntimeError("The head of this answer is sent already.")
        self.started = True
        self._bodiless = self._bodiless or status in (204, 304)
        self._body.mime = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
        what = await self._link.happen_to_head(kind)
        if self._link.closed.is_set():
            return
        if what == "drop":
            await self._connection.over.wait()
        elif what == "garbage":
            self._connection.write(GARBAGE_HEAD)
            self._connection.cut()
        else:
            fields = [(name, str(value)) for name, value in headers.items()]
            head = h11.Response(status_code=status, reason=reason_of(status), headers=fields)
            await self._connection.send(head)

    async def send(self, kind: str, data: bytes) -> None:
        """See `Reply.send`."""
        if not self.started:
            raise RuntimeError("An answer begins with its head: call `start` first.")
        if data and not self._bodiless:
            await self._link.send(kind, data)

    async def end(self) -> None:
        """See `Reply.end`."""
        if self._ended:
            return
        self._ended = True
        await self._link.written()
        if self._connection.half_open:
            await self._connection.over.wait()
        elif not self._link.closed.is_set():
            await self._body.finish()

    async def aclose(self) -> None:
        """Stop what waits for the script."""
        await self._link.aclose()


class _Body:
    """Is an `Outlet`: what frames are on a websocket, pieces of the body are here."""

    def __init__(self, connection: HttpConnection) -> None:
        self.mime = ""
        self._connection = connection

    @property
    def half_open(self) -> bool:
        """See `Outlet.half_open`."""
        return self._connection.half_open

    async def send(self, frame: str | bytes) -> None:
        """Write a piece. One that a fault made too much for the Content-Length ends the connection."""
        if self._connection.over.is_set():
            return
        try:
            await self._connection.send(h11.Data(data=_bytes(frame)))
        except h11.LocalProtocolError:
            self._connection.cut()

    async def finish(self) -> None:
        """The body is whole. One that a fault made too short for its Content-Length ends the connection."""
        if self._connection.over.is_set():
            return
        try:
            await self._connection.send(h11.EndOfMessage())
        except h11.LocalProtocolError:
            self._connection.cut()

    async def close(self, code: int, reason: str) -> None:
        """HTTP has no close frame: the connection is cut."""
        self._connection.cut()

    def reset(self) -> None:
        """See `Outlet.reset`."""
        self._connection.reset()

    def cut(self) -> None:
        """See `Outlet.cut`."""
        self._connection.cut()

    def go_half_open(self) -> None:
        """See `Outlet.go_half_open`."""
        self._connection.go_half_open()

    def write_part(self, frame: str | bytes, size: int) -> None:
        """Write the first `size` bytes of a piece, in a chunk that says it is whole."""
        data = _bytes(frame)
        whole = self._connection.encoded(h11.Data(data=data))
        self._connection.write(whole[: whole.index(data) + size])

    def wire_size(self, frame: str | bytes) -> int:
        """Bytes of the body: how they are cut into chunks does not count."""
        return len(_bytes(frame))

    def garbage(self, kind: str, frame: str | bytes) -> bytes:
        """See `Outlet.garbage`. In a stream of events it stands where an event's data would."""
        data = _bytes(frame)
        if kind == "truncated":
            return data[: len(data) // 2]
        if kind == "binary":
            return bytes(range(256))
        garbage = b"\xff\xfe\xfa" if kind == "utf8" else b"}{ this is no JSON"
        return b"data: " + garbage + b"\n\n" if self.mime.startswith(_SSE) else garbage

    def write_no_text(self) -> int:
        """Never asked for: `garbage` has all kinds."""
        return 0

    def unheard_of(self, frame: str | bytes) -> bytes | None:
        """An event or a line of JSON that nobody knows; audio and the like have none."""
        line = json.dumps(_UNHEARD_OF).encode()
        if self.mime.startswith(_SSE):
            return b"event: unheard_of.event\ndata: " + line + b"\n\n"
        return line + b"\n" if "json" in self.mime and self.mime != "application/json" else None


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame
