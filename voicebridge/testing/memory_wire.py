"""A connection without a socket: both ends in one event loop, at virtual or real time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from voicebridge.contract.codec import Closed, Endpoint, Frame
from voicebridge.transport.wire import WireClosed

__all__ = ["MemoryWire"]


class MemoryWire:
    """The client's end is a `Wire`; the test is the server.

        wire = MemoryWire()
        async with open_link(codec, config, dial=wire.dial) as session:
            wire.say(ready_line())

    Args:
        greeting: frames that the server sends as soon as it is dialled.
    """

    def __init__(self, *greeting: Frame) -> None:
        self.written: list[Frame] = []
        """What the client sent."""
        self.pings: list[asyncio.Future[object]] = []
        """The client's pings. Each is answered at once while `answers_pings` holds, else by whoever sets its result."""
        self.answers_pings = True
        self.takes = asyncio.Event()
        """Whether the client's writing gets through; cleared, it waits."""
        self.takes.set()
        self.endpoint: Endpoint | None = None
        self.closed_by_client = self._ended = False
        self.on_frame: Callable[[Frame], None] = lambda _: None
        """Called with each frame that the client sent."""
        self._greeting = greeting
        self._inbox: asyncio.Queue[Frame | Closed] = asyncio.Queue()

    async def dial(self, endpoint: Endpoint) -> MemoryWire:
        """A `Dial`."""
        self.endpoint = endpoint
        self.say(*self._greeting)
        return self

    # The server's end

    def say(self, *frames: Frame) -> None:
        """Send to the client."""
        for frame in frames:
            self._inbox.put_nowait(frame)

    def end(self, closed: Closed | None = None) -> None:
        """End the connection; without more, it is just lost."""
        self._ended = True
        self._inbox.put_nowait(closed or Closed(by="nobody", problem="reset"))

    # The client's end

    async def recv(self) -> Frame:
        """The next frame. Raises `WireClosed` when the server ended the connection."""
        received = await self._inbox.get()
        if isinstance(received, Closed):
            self._inbox.put_nowait(received)
            raise WireClosed(received)
        return received

    async def send(self, frame: Frame) -> None:
        """Write a frame."""
        await self.takes.wait()
        self.written.append(frame)
        self.on_frame(frame)

    @property
    def is_open(self) -> bool:
        """Whether neither side has ended it."""
        return not self._ended and not self.closed_by_client

    def send_now(self, frame: Frame) -> bool:
        """Write a frame, unless that would have to wait."""
        if not self.takes.is_set():
            return False
        self.written.append(frame)
        self.on_frame(frame)
        return True

    async def ping(self) -> Awaitable[object]:
        """Write a ping."""
        await self.takes.wait()
        pong: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.pings.append(pong)
        if self.answers_pings:
            pong.set_result(0.0)
        return pong

    async def close(self) -> None:
        """Let go."""
        self.closed_by_client = True
