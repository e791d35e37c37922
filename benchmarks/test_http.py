"""A hosted stage's own cost: reading server-sent events, and a request on a connection that waits.

The figures of requests hold the work of the server as well, which is a few lines in the same event loop. The rows by
`httpx` are the same request over its client and pool, with so many unused connections in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import httpx
import pytest

from voicebridge.transport.body import SseBody
from voicebridge.transport.http import HttpApi, HttpCall
from voicebridge.transport.sse import SseEvent, SseParser

EVENT = (
    b'data: {"id":"x","object":"chunk","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
EVENTS = 20
BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "word " * 200}]}
IDLE = [1, 100]


class Server(asyncio.Protocol):
    """Answers each request by a stream of events in one piece."""

    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(EVENT), EVENT) for _ in range(EVENTS))
        + b"0\r\n\r\n"
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"}"):  # of the request's JSON
            self.transport.write(self.answer)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def url(runner: asyncio.Runner) -> Iterator[str]:
    server = runner.run(runner.get_loop().create_server(Server, "127.0.0.1", 0))
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    server.close()


async def _at_once(many: int, ask: Callable[[], Awaitable[int]]) -> None:
    await asyncio.gather(*(ask() for _ in range(many)))


@pytest.mark.parametrize("size", [len(EVENT), 1400, 64], ids=["whole events", "packets", "64 bytes"])
def test_parse_events(benchmark, size: int) -> None:
    """A hundred events, in pieces of so many bytes."""
    text = EVENT * 100
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    def parse() -> list[SseEvent]:
        feed = SseParser().feed
        return [event for piece in pieces for event in feed(piece)]

    assert len(parse()) == 100
    benchmark(parse)


@pytest.mark.parametrize("idle", IDLE)
def test_a_request(benchmark, runner: asyncio.Runner, url: str, idle: int) -> None:
    """A request and its twenty events."""
    api = HttpApi(url, headers={"Authorization": "Bearer " + "k" * 40}, idle_s=300)

    async def ask() -> int:
        body = SseBody(lambda event: [event.data])
        return len([one async for one in api.ask(HttpCall(path="/chat/completions", json=BODY), body)])

    runner.run(_at_once(idle, ask))
    assert runner.run(ask()) == EVENTS
    benchmark(lambda: runner.run(ask()))
    runner.run(api.aclose())


@pytest.mark.parametrize("idle", IDLE)
def test_a_request_by_httpx(benchmark, runner: asyncio.Runner, url: str, idle: int) -> None:
    """The same, its lines taken as they come."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=300)
    client = httpx.AsyncClient(limits=limits, headers={"Authorization": "Bearer " + "k" * 40})
    stream = partial(client.stream, "POST", f"{url}/chat/completions", json=BODY)

    async def ask() -> int:
        async with stream() as answer:
            return len([line async for line in answer.aiter_lines() if line])

    runner.run(_at_once(idle, ask))
    assert runner.run(ask()) == EVENTS
    benchmark(lambda: runner.run(ask()))
    runner.run(client.aclose())
