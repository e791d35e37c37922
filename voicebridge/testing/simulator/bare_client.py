"""A client with no cleverness: a bare websocket that sends JSON, keeps all that comes, and waits for what you name.

    async with bare_client(f"{url}/realtime?model=some-model", {"Authorization": "Bearer key"}) as client:
        await client.send("response.create")
        done = await client.until("response.done")

For tests of a simulator, and as the floor against which clients are measured.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

__all__ = ["BareClient", "bare_client", "tone"]

Frame = dict[str, Any]


class BareClient:
    """See above. `frames` holds all events that were read, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[Frame] = []
        self._next = 0
        """The first frame that `until` has not passed."""

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event of that type."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str, *, within_s: float = 10.0, **fields: Any) -> Frame:
        """The next event of that type, and with these fields. What lies before it is passed over, but kept.

        Raises:
            AssertionError: it did not come in time; names what came instead.
            ConnectionClosed: the connection ended first.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    while self._next < len(self.frames):
                        frame = self.frames[self._next]
                        self._next += 1
                        if frame.get("type") == kind and all(frame.get(name) == fields[name] for name in fields):
                            return frame
                    await self._read()
        except TimeoutError:
            came = [frame.get("type") for frame in self.frames[-8:]]
            raise AssertionError(f"{kind} did not come within {within_s} s; the last that came: {came}") from None

    async def quiet(self, seconds: float = 0.1) -> list[Frame]:
        """Read until nothing has come for so long. Gives all that `until` has not passed."""
        try:
            while True:
                async with asyncio.timeout(seconds):
                    await self._read()
        except TimeoutError:
            return self.frames[self._next :]

    async def ended(self, *, within_s: float = 10.0) -> tuple[int | None, str]:
        """Read until the connection ends: the code and the reason of its close frame; None and nothing without one.

        Raises:
            TimeoutError: it did not end.
        """
        try:
            async with asyncio.timeout(within_s):
                while True:
                    await self._read()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (None, "")

    def kinds(self) -> list[str]:
        """The types of all frames, a run of the same type told once."""
        runs: list[str] = []
        for frame in self.frames:
            if not runs or runs[-1] != frame.get("type"):
                runs.append(str(frame.get("type")))
        return runs

    async def _read(self) -> None:
        frame = await self.socket.recv()
        try:
            self.frames.append(json.loads(frame))
        except ValueError:
            self.frames.append({"type": "garbage", "garbage": frame})


@asynccontextmanager
async def bare_client(url: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[BareClient]:
    """Connect to a URL. Raises what `websockets` raises."""
    socket = await connect(
        url, additional_headers=headers, compression=None, max_size=None, ping_interval=None, close_timeout=1
    )
    try:
        yield BareClient(socket)
    finally:
        with suppress(AttributeError):  # asyncio aborts a transport that the server has reset already
            await socket.close()


def tone(ms: float, *, rate: int = 24_000, hz: float = 200.0) -> bytes:
    """PCM16 that a level meter takes for speech."""
    return (np.sin(2 * np.pi * hz * np.arange(round(ms * rate / 1000)) / rate) * 8000).astype("<i2").tobytes()
