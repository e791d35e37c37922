"""A web server of a few lines that does what a test says, on this machine's own address."""

from __future__ import annotations

import asyncio
import ssl
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.testing.guards import no_leaked_sockets, no_leaked_tasks
from voicebridge.transport.body import Body
from voicebridge.transport.http import HttpApi, HttpCall, HttpTimeouts

__all__ = [
    "KEY",
    "QUICK",
    "Asked",
    "Handler",
    "Raw",
    "Web",
    "all_of",
    "answering",
    "chunk",
    "chunked",
    "failure",
    "fault",
    "head",
    "in_thread",
    "plain",
    "web",
]

T = TypeVar("T")
KEY = "sk-CANARY-0123456789abcdefghijklmnop"
QUICK = HttpTimeouts(connect_s=2, first_output_s=2, between_outputs_s=2)


@dataclass
class Asked:
    """A request that came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    """The how manieth it came on, from 1."""


@dataclass
class Web:
    """What a server saw."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    opened: int = 0
    ended: list[asyncio.Event] = field(default_factory=list)
    """One for each connection: the client has closed it."""
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """A request came."""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)


Handler = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def web(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[Web]:
    """Calls the handler with each request; what it raises, or closes, ends the connection. Nothing may be left over."""
    with no_leaked_sockets():
        async with no_leaked_tasks(), _serving(handler, tls) as seen:
            yield seen
        await asyncio.sleep(0.02)


@asynccontextmanager
async def _serving(handler: Handler, tls: ssl.SSLContext | None) -> AsyncIterator[Web]:
    seen = Web()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen.opened += 1
        number = seen.opened
        seen.writers.append(writer)
        ended = asyncio.Event()
        seen.ended.append(ended)
        answering: asyncio.Task[None] | None = None
        try:
            while True:
                asked = await _read(reader, number)
                seen.asked.append(asked)
                seen.came.set()
                answering = asyncio.ensure_future(_answer(handler, asked, writer))
                await _either(answering, reader)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            ended.set()
            if answering is not None:
                answering.cancel()
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield seen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def in_thread(handler: Handler) -> Iterator[str]:
    """The same in an event loop of its own; its address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = _serving(handler, None)

    def run(work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(5)

    try:
        yield run(serving.__aenter__()).url
        run(serving.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _answer(handler: Handler, asked: Asked, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        await handler(asked, writer)
        await writer.drain()


async def _either(answering: asyncio.Task[None], reader: asyncio.StreamReader) -> None:
    """Until the answer is written, or the client hangs up."""
    while not answering.done():
        if reader.at_eof() or reader.exception() is not None:
            raise asyncio.IncompleteReadError(b"", None)
        await asyncio.wait([answering], timeout=0.01)
    answering.result()


async def _read(reader: asyncio.StreamReader, connection: int) -> Asked:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, target, headers, body, connection)


def head(status: int = 200, **headers: str) -> bytes:
    """The head of an answer, `_` for `-` in its names."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()


def plain(body: bytes = b"{}", status: int = 200, **headers: str) -> bytes:
    """A whole answer that says its length."""
    return head(status, content_length=str(len(body)), **headers) + body


def chunk(data: bytes) -> bytes:
    """A piece of an answer."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(*pieces: bytes, end: bool = True, **headers: str) -> bytes:
    """An answer in pieces."""
    whole = head(200, transfer_encoding="chunked", **headers) + b"".join(map(chunk, pieces))
    return whole + b"0\r\n\r\n" if end else whole


class Raw(Body[bytes]):
    """Bytes as they come."""

    def feed(self, data: bytes) -> tuple[bytes, ...]:
        return (data,)

    def end(self) -> tuple[bytes, ...]:
        return ()


async def all_of(api: HttpApi, call: HttpCall | None = None) -> bytes:
    """The whole body of an answer."""
    return b"".join([piece async for piece in api.ask(call or HttpCall(path="/x"), Raw())])


def answering(answer: bytes) -> Handler:
    async def handler(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return handler


async def failure(url: str, explain: Callable[[int, str], Fault | None] | None = None) -> VoiceBridgeError:
    """How a request fails."""
    one = HttpApi(url, headers={"Authorization": f"Bearer {KEY}"}, idle_s=30, timeouts=QUICK, explain=explain)
    with pytest.raises(VoiceBridgeError) as caught:
        await all_of(one)
    await one.aclose()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.fault)
    assert KEY[3:15] not in shown
    return caught.value


async def fault(url: str, explain: Callable[[int, str], Fault | None] | None = None) -> Fault:
    return (await failure(url, explain)).fault
