"""A server that answers as a test tells it, over real sockets, for what no well-behaved simulator does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)


@dataclass
class Answer:
    """What to send."""

    pieces: list[bytes] = field(default_factory=list)
    status: int = 200
    kind: str = "text/event-stream"
    then: str = "end"
    """`end`, `hang` (the answer never ends) or `drop` (the connection breaks)."""
    pause_s: float = 0.0
    """Before each piece."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Server:
    """One that listens. `answers` are given in turn, the last one again and again."""

    url: str
    answers: list[Answer]
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    """That were ever opened."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """A client has closed a connection on which an answer hangs."""

    came: asyncio.Event = field(default_factory=asyncio.Event)
    """A request has come since the last look."""

    async def until(self, requests: int = 0, *, connections: int = 0) -> None:
        """Wait until that many have come."""
        async with asyncio.timeout(5):
            while len(self.asked) < requests or self.connections < connections:
                self.came.clear()
                await self.came.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.came.set()
        try:
            while (request := await _request(reader)) is not None:
                self.asked.append(request)
                self.came.set()
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not await self._give(answer, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _give(self, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = [f"HTTP/1.1 {answer.status} X", f"Content-Type: {answer.kind}", "Transfer-Encoding: chunked"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        for piece in answer.pieces:
            await asyncio.sleep(answer.pause_s)
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        if answer.then == "hang":
            await reader.read()
            self.gone.set()
        if answer.then != "end":
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines if line}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body)


@asynccontextmanager
async def serving(*answers: Answer) -> AsyncIterator[Server]:
    """`async with serving(Answer(...), ...) as server`: its address is `server.url`."""
    server = Server("", list(answers))
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        await server.serve(reader, writer)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    try:
        yield server
    finally:
        listening.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def sse(*events: Any) -> bytes:
    """Events as bytes: objects as JSON, texts as they are."""
    texts = [one if isinstance(one, str) else orjson.dumps(one).decode() for one in events]
    return "".join(f"data: {text}\n\n" for text in texts).encode()
