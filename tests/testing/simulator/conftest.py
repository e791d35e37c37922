"""A vendor that is asked in HTTP, and clients of TCP that say whatever they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import pytest

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.simulator.http_vendor import HttpVendor, answer_json
from voicebridge.testing.simulator.profile import INSTANT, Profile
from voicebridge.testing.simulator.turn_log import TurnRecord
from voicebridge.testing.simulator.wire import HttpRequest, Reply


class TalkingVendor(HttpVendor):
    """`/tokens` streams five events; `/hang` one, and then waits; `/whole` tells what was asked; the rest is odd."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self.tidied = 0

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        key = request.headers.get("authorization", "nobody")
        with self._callers.turn(key, cause=request.path, connection=reply.number, at=request.at) as turn:
            await turn.wait("answer")
            match request.path:
                case "/tokens":
                    await self._stream(reply, 5)
                case "/flood":
                    await reply.start(200, {"Content-Type": "audio/pcm"})
                    for _ in range(2000):
                        await reply.send("audio", bytes(100_000))
                case "/hang":
                    await self._stream(reply, 1)
                    await self._for_ever()
                case "/deaf":
                    await self._for_ever()
                case "/bug":
                    raise RuntimeError("a bug of the vendor")
                case "/late-bug":
                    await self._stream(reply, 1)
                    raise RuntimeError("a bug of the vendor")
                case "/nothing":
                    pass
                case "/none":
                    await reply.start(204)
                case _:
                    told = {"method": request.method, "query": request.pairs, "bytes": len(request.body)}
                    await answer_json(reply, told, headers={"X-Number": str(reply.number)})

    async def _stream(self, reply: Reply, count: int) -> None:
        await reply.start(200, {"Content-Type": "text/event-stream"})
        for n in range(1, count + 1):
            await reply.send(f"token{n}", b"data: %d\n\n" % n)
            await asyncio.sleep(0)

    async def _for_ever(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)  # who tidies up is not disturbed
            self.tidied += 1


class Served(NamedTuple):
    """A server that runs."""

    url: str
    server: SimulatedServer
    vendor: TalkingVendor

    @property
    def records(self) -> list[TurnRecord]:
        """What it did so far."""
        assert self.server.turns is not None
        return list(self.server.turns.turns)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def talking() -> Serve:
    """`async with talking("drop on token2", keep_alive_s=1) as served`."""

    @asynccontextmanager
    async def served(*faults: str, profile: Profile = INSTANT, seed: int = 0, **settings: Any) -> AsyncIterator[Served]:
        callers = Callers(profile, seed)
        vendor = TalkingVendor(callers)
        server = SimulatedServer(
            SimulatorSettings(faults=faults, seed=seed, **settings),
            lambda log: vendor,
            scheme="http",
            callers=callers,
        )
        async with server.serve() as url:
            yield Served(url, server, vendor)

    return served


class Caller:
    """A client of TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, head: str, body: bytes = b"") -> None:
        """Send a request; `head` is its first lines."""
        self.writer.write(head.replace("\n", "\r\n").encode() + b"\r\nHost: here\r\n\r\n" + body)

    async def all(self) -> bytes:
        """What comes until the server ends the connection."""
        return await self.reader.read()

    async def until(self, ending: bytes) -> bytes:
        """What comes until there."""
        return await self.reader.readuntil(ending)


@pytest.fixture
def call() -> Callable[[str], AbstractAsyncContextManager[Caller]]:
    """`async with call(url) as caller`: ends by itself within 10 s."""

    @asynccontextmanager
    async def called(url: str) -> AsyncIterator[Caller]:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            try:
                yield Caller(reader, writer)
            finally:
                writer.close()

    return called


async def eventually(happened: Callable[[], bool]) -> None:
    """Wait until it is so; it never is: the test fails by its time limit."""
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110  # what the server did has no event to wait for
            await asyncio.sleep(0.005)
