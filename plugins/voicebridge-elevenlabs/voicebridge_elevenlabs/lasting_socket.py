"""A connection that may end while nothing is lost with it, and is opened again when there is something to send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.transport.spare import Spare
from voicebridge.transport.stage_socket import StageSocket

from .scribe_live import ScribeLive

__all__ = ["LastingSocket"]


class LastingSocket:
    """Is the `Socket` of a `Duplex`: one connection after the other.

    Args:
        half: whose frames they are.
        spare: gives the next one.
        idle_s: seconds without a frame of ours after which one is given up.
        let_go: closes one without waiting for its goodbye.
    """

    def __init__(
        self,
        half: ScribeLive,
        spare: Spare[StageSocket],
        *,
        idle_s: float,
        let_go: Callable[[StageSocket], None],
    ) -> None:
        self._half, self._spare, self._idle_s, self._let_go = half, spare, idle_s, let_go
        self._clock = asyncio.get_running_loop().time
        self._socket: StageSocket | None = None
        self._used = 0.0
        self._opened = asyncio.Event()

    @property
    def lasts(self) -> bool:
        """Whether one is open that the next utterance can use."""
        fresh = self._clock() - self._used < self._idle_s
        return self._socket is not None and self._socket.is_open and fresh and not self._half.worn

    async def send(self, frame: Frame) -> None:
        """Send it. What begins an utterance goes out on another connection where the last one may be spent.

        Raises:
            VoiceBridgeError: there is no connection, or no more.
        """
        begins, self._half.begins = self._half.begins, False
        if self._socket is None or (begins and not self.lasts):
            self.close()
            self._socket, self._half.worn = await self._spare.take(), False
            self._opened.set()
        self._used = self._clock()
        await self._socket.send(frame)

    async def receive(self) -> Frame:
        """The next frame of whichever connection is open.

        Raises:
            VoiceBridgeError: it ended, and the vendor had something of ours.
        """
        while True:
            while (socket := self._socket) is None:
                self._opened.clear()
                await self._opened.wait()
            try:
                return await socket.receive()
            except VoiceBridgeError:
                if socket is self._socket:
                    if not self._half.idle:
                        raise
                    self.close()

    async def ping(self) -> Awaitable[object]:
        """Ask whether the peer is there, where it has something of ours. What this gives ends with the connection."""
        socket = self._socket
        return _pong(await socket.ping()) if socket is not None and not self._half.idle else _nothing()

    def renew(self, spare: Spare[StageSocket]) -> None:
        """The next utterance wants a connection of that kind."""
        self._spare, self._half.worn = spare, True

    def close(self) -> None:
        """Let go of the connection that is open."""
        socket, self._socket = self._socket, None
        if socket is not None:
            self._let_go(socket)


async def _pong(pong: Awaitable[object]) -> None:
    with suppress(Exception):  # how a connection ended is told by `receive`
        await pong


async def _nothing() -> None:
    """There is nobody to ask."""
