"""A bad network on this machine: a TCP proxy between any client and server that delays, cuts, corrupts and goes silent.

    async with ChaosProxy("ws://127.0.0.1:8800/v1") as proxy:
        async with voicebridge.connect("vendor/model", base_url=proxy.url) as session:
            proxy.up.latency_s = proxy.down.latency_s = 0.025
            ...
            proxy.blackhole()                    # half open: both ends believe in it, nothing arrives
            ...
            proxy.reset()                        # RST, now

`up` is from the client to the server, `down` is back. What is set holds at once, for open connections and later ones.
Positions count the bytes of one connection and direction, from 0.

| resource | acquired | released |
|---|---|---|
| the listening socket | `async with`, `accept` | the end of it, `refuse` |
| a task for each connection, and its sockets | a client connects | both ends closed, a cut, the end of `async with` |
| two tasks for each direction | the server is reached | with their connection |
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from voicebridge.contract.errors import ConfigError

from .toxics import CHUNK, Toxics

__all__ = ["ChaosProxy"]

_LAST_BYTES_S = 0.5
"""Between our FIN and the peer's: whoever goes on sending for longer gets an RST."""
Cut = Literal["reset", "close"]


class ChaosProxy:
    """A TCP proxy on 127.0.0.1. An async context manager.

    Args:
        target: a port of this machine, `host:port`, or the URL of a server.
        seed: the same seed draws the same jitter, for each connection and direction in turn.
        buffer_bytes: asked of the system for each socket's buffers, so that a stall is felt early. None: its own size.

    Raises:
        ConfigError: the target is none.
    """

    def __init__(self, target: int | str, *, seed: int = 0, buffer_bytes: int | None = None) -> None:
        self._target = _Target.of(target)
        self._seed, self._buffer_bytes = seed, buffer_bytes
        self.up = Toxics()
        """From the client to the server."""
        self.down = Toxics()
        """From the server to the client."""
        self.reset_after_s: float | None = None
        """Seconds after which a connection that is accepted from now on is reset."""
        self.close_after_s: float | None = None
        """Seconds, as `reset_after_s`: closed."""
        self.handshake_s = 0.0
        """Seconds until the first byte passes on a connection that is accepted from now on: what a TCP handshake takes
        on a real network. It is over before a proxy learns of it, so the time is added behind it."""
        self.accepted = 0
        """Connections so far."""
        self.port = 0
        """Where it listens."""
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}

    @property
    def url(self) -> str:
        """What the client is given in place of the target."""
        return self._target.through(self.port)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def __aenter__(self) -> ChaosProxy:
        self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.refuse()
        for task in (open_ones := list(self._connections)):
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)

    def accept(self) -> None:
        """Take connections, again, at the same port."""
        if self._listener is not None:
            return
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._size_buffers(self._listener)
        self._listener.setblocking(False)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(self._listener), name="chaos: accept")

    async def refuse(self) -> None:
        """Refuse new connections, as where nobody listens. Open ones stay."""
        if self._listener is None or self._accepting is None:
            return
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listener.close()
        self._listener = self._accepting = None

    def reset(self) -> None:
        """Reset every open connection: both sides get an RST."""
        self._cut("reset")

    def close(self) -> None:
        """Close every open connection: both sides get a FIN, whatever was on its way is lost.

        What they send after that is taken for up to half a second, then answered by an RST.
        """
        self._cut("close")

    def blackhole(self, on: bool = True) -> None:
        """Both directions at once: a cable that was pulled."""
        self.up.blackhole = self.down.blackhole = on

    def _cut(self, how: Cut) -> None:
        for connection in self._connections.values():
            connection.cut(how)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            client.setblocking(False)
            connection = _Connection(self, client, self.accepted)
            self.accepted += 1
            task = asyncio.create_task(self._carry(connection), name="chaos: connection")
            self._connections[task] = connection
            task.add_done_callback(self._connections.pop)

    async def _carry(self, connection: _Connection) -> None:
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._size_buffers(server)
        server.setblocking(False)
        await connection.run(server, self._target.address)

    def _size_buffers(self, one: socket.socket) -> None:
        if self._buffer_bytes is not None:
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                one.setsockopt(socket.SOL_SOCKET, buffer, self._buffer_bytes)


class _Connection:
    """One client, and the server it wants to reach."""

    def __init__(self, proxy: ChaosProxy, client: socket.socket, number: int) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
        self._ended: asyncio.Future[Cut] = loop.create_future()
        self._timers = [
            loop.call_later(after_s, self.cut, how)
            for after_s, how in ((proxy.reset_after_s, "reset"), (proxy.close_after_s, "close"))
            if after_s is not None
        ]
        self._handshake_s = proxy.handshake_s
        self._toxics = {"up": proxy.up, "down": proxy.down}
        self._random = {name: random.Random(f"{proxy._seed} {number} {name}") for name in self._toxics}

    def cut(self, how: Any) -> None:
        """End it, however it stands."""
        if not self._ended.done():
            self._ended.set_result(how)

    async def run(self, server: socket.socket, address: tuple[str, int]) -> None:
        """Carry bytes both ways until it ends."""
        how: Cut = "reset"
        try:
            if await self._reached(server, address):
                if self._handshake_s:
                    await asyncio.wait((self._ended,), timeout=self._handshake_s)
                how = await self._between(server)
        finally:
            for timer in self._timers:
                timer.cancel()
            try:
                if how == "close":
                    await asyncio.gather(_finished(self._client), _finished(server))
            finally:
                self._close(server, how)

    def _close(self, server: socket.socket, how: Cut) -> None:
        for one in (self._client, server):
            if how == "reset":
                with suppress(OSError):  # it may be gone already
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()

    async def _reached(self, server: socket.socket, address: tuple[str, int]) -> bool:
        reaching = asyncio.create_task(asyncio.get_running_loop().sock_connect(server, address))
        try:
            await asyncio.wait((reaching, self._ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reaching.cancel()
            [problem] = await asyncio.gather(reaching, return_exceptions=True)
        if problem is not None:
            return False
        for one in (self._client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return True

    async def _between(self, server: socket.socket) -> Cut:
        ways = [
            _Way(self._client, server, self._toxics["up"], self._random["up"], self.cut),
            _Way(server, self._client, self._toxics["down"], self._random["down"], self.cut),
        ]
        tasks = [asyncio.create_task(work(), name="chaos: bytes") for way in ways for work in (way.read, way.write)]
        both = asyncio.gather(*tasks)
        try:
            await asyncio.wait((both, self._ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            both.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with suppress(asyncio.CancelledError, OSError):
                await both
        return self._ended.result() if self._ended.done() else "close"


async def _finished(one: socket.socket) -> None:
    """Send a FIN, and take what still comes until the peer's: a socket closed with bytes unread sends an RST."""
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError):
        one.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LAST_BYTES_S):
            while await loop.sock_recv(one, CHUNK):
                pass


class _Way:
    """One direction of a connection."""

    def __init__(
        self, source: socket.socket, sink: socket.socket, toxics: Toxics, chance: random.Random, cut: Any
    ) -> None:
        self._source, self._sink, self._toxics, self._chance, self._cut = source, sink, toxics, chance, cut
        self._loop = asyncio.get_running_loop()
        self._held: deque[tuple[float, bytes]] = deque()
        """What is on its way, and when it is due. Nothing at all is the end."""
        self._held_bytes = 0
        self._buffer_bytes: int | None = None
        self._moved = asyncio.Event()
        self._read = 0
        self._due = self._free_at = 0.0

    async def read(self) -> None:
        """Take bytes in, and decide when each piece is due."""
        while True:
            while self._toxics.stalled:
                await self._toxics.change()
            while (room := self._toxics.held_bytes() - self._held_bytes) <= 0:
                await self._move()
            self._size_buffers()
            try:
                data = await self._loop.sock_recv(self._source, min(CHUNK, room))
            except OSError:
                data = None
            while self._toxics.stalled:
                await self._toxics.change()
            if self._toxics.blackhole:
                self._toxics.dropped += len(data or b"")
                if not data:
                    await self._loop.create_future()  # the other side never learns of it
                continue
            if data is None:
                self._cut("reset")
                return
            self._hold(self._corrupted(data))
            if not data:
                return

    def _size_buffers(self) -> None:
        """What the system holds before and behind a narrow line is small, too."""
        size = self._toxics.buffer_bytes()
        if size is not None and size != self._buffer_bytes:
            self._buffer_bytes = size
            with suppress(OSError):  # one of them has gone
                self._source.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
                self._sink.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    async def write(self) -> None:
        """Pass on what is due, piece by piece."""
        sent = 0
        while True:
            while not self._held:
                await self._move()
            due, data = self._held[0]
            await asyncio.sleep(due - self._loop.time())
            if not data:
                if self._toxics.blackhole:  # set while it was on its way
                    await self._loop.create_future()
                with suppress(OSError):  # it has gone first
                    self._sink.shutdown(socket.SHUT_WR)
                return
            rest = memoryview(data)
            while rest:
                size = min(len(rest), self._toxics.piece_bytes())
                how, size = self._limited(sent, size)
                if size and not await self._send(rest[:size]):
                    return
                sent, rest = sent + size, rest[size:]
                if how is not None:
                    self._cut(how)
                    return
            self._held.popleft()
            self._held_bytes -= len(data)
            self._moved.set()

    def _limited(self, sent: int, size: int) -> tuple[Cut | None, int]:
        """Whether the line is cut within the next bytes, and how many of them still pass."""
        for how, at in (("reset", self._toxics.reset_at), ("close", self._toxics.close_at)):
            if at is not None and sent + size >= at:
                return ("reset" if how == "reset" else "close"), max(0, at - sent)
        return None, size

    async def _send(self, piece: memoryview) -> bool:
        if self._toxics.blackhole:  # set while this was on its way
            self._toxics.dropped += len(piece)
            return True
        width = self._toxics.bytes_per_s
        if width is not None:
            self._free_at = max(self._free_at, self._loop.time()) + len(piece) / width
            await asyncio.sleep(self._free_at - self._loop.time())
        try:
            await self._loop.sock_sendall(self._sink, piece)
        except OSError:
            self._cut("reset")
            return False
        self._toxics.passed += len(piece)
        if self._toxics.slice_bytes is not None:
            await asyncio.sleep(0)  # let it be read before the next one comes
        return True

    def _hold(self, data: bytes) -> None:
        toxics = self._toxics
        delay = toxics.latency_s + (self._chance.random() * toxics.jitter_s if toxics.jitter_s else 0.0)
        self._due = max(self._due, self._loop.time() + delay)
        self._held.append((self._due, data))
        self._held_bytes += len(data)
        self._moved.set()

    def _corrupted(self, data: bytes) -> bytes:
        at = self._toxics.corrupt_at
        first, self._read = self._read, self._read + len(data)
        if at is None or not first <= at < self._read:
            return data
        changed = bytearray(data)
        changed[at - first] ^= 0xFF
        return bytes(changed)

    async def _move(self) -> None:
        self._moved.clear()
        await self._moved.wait()


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the proxy leads to."""

    address: tuple[str, int]
    scheme: str = "tcp"
    rest: tuple[str, str, str] = ("", "", "")
    """Path, query and fragment."""

    @classmethod
    def of(cls, target: int | str) -> _Target:
        if isinstance(target, int):
            return cls(("127.0.0.1", target))
        parts = urlsplit(target if "://" in target else f"tcp://{target}")
        if parts.scheme in ("wss", "https"):
            raise ConfigError(
                f"{target!r} wants TLS, whose certificate would not fit the proxy's address. Let the server speak "
                "without TLS on this machine (ws:// or http://), or give host:port and let the client skip the check.",
                code="bad_target",
            )
        try:
            port = parts.port or {"ws": 80, "http": 80}.get(parts.scheme)
        except ValueError:
            port = None
        if not parts.hostname or not port:
            raise ConfigError(f"{target!r} leads nowhere: give a port, host:port or a URL.", code="bad_target")
        if ":" in parts.hostname:
            raise ConfigError(f"{target!r} is an IPv6 address: the proxy knows IPv4 alone.", code="bad_target")
        return cls((parts.hostname, port), parts.scheme, (parts.path, parts.query, parts.fragment))

    def through(self, port: int) -> str:
        """The same, with the proxy in place of host and port."""
        return urlunsplit((self.scheme, f"127.0.0.1:{port}", *self.rest))
