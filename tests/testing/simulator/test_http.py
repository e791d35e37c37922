"""The server in HTTP: connections that are kept, bodies of every kind, clients that leave, the end of it all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.callers import Callers
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.simulator.http_connection import HttpConnection
from voicebridge.testing.simulator.profile import INSTANT
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link

from .conftest import Caller, Serve, Served, TalkingVendor, eventually

Call = Callable[[str], AbstractAsyncContextManager[Caller]]
TOKENS = "".join(f"data: {n}\n\n" for n in range(1, 6))


async def test_a_connection_is_kept(talking: Serve) -> None:
    async with talking() as served, httpx.AsyncClient(base_url=served.url) as http:
        ends = set()
        for number in (1, 2, 3):
            answer = await http.get("/whole?a=1&a=2&b=")
            assert answer.json() == {"method": "GET", "query": [["a", "1"], ["a", "2"], ["b", ""]], "bytes": 0}
            assert answer.headers["x-number"] == str(number)
            ends.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
            assert (await http.post("/tokens", content=b"x")).text == TOKENS
            assert (await http.get("/none")).status_code == 204
            served.server.connections -= 2
        assert len(ends) == 1
        assert served.server.turns is not None


async def test_bodies_in_chunks_both_ways(talking: Serve) -> None:
    async def chunks() -> object:
        for _ in range(300):
            yield b"y" * 1000

    async with talking() as served, httpx.AsyncClient(base_url=served.url) as http:
        assert (await http.post("/whole", content=chunks())).json()["bytes"] == 300_000  # type: ignore[arg-type]  # bytes
        answer = await http.post("/tokens")
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.text == TOKENS


@pytest.mark.parametrize(("size", "status"), [(25 << 20, 200), ((25 << 20) + 1, 413)], ids=["fits", "too large"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_the_largest_request(talking: Serve, call: Call, size: int, status: int, chunked: bool) -> None:
    body = b"%x\r\n" % size + bytes(size) + b"\r\n0\r\n\r\n" if chunked else bytes(size)
    told = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    async with talking() as served, call(served.url) as caller:
        caller.say(f"POST /whole HTTP/1.1\nConnection: close\n{told}", body)
        assert (await caller.all()).startswith(f"HTTP/1.1 {status} ".encode())
        assert served.server.connections == (1 if status == 200 else 0)


async def test_a_client_that_asks_first_is_told_to_go_on(talking: Serve, call: Call) -> None:
    async with talking() as served:
        async with call(served.url) as caller:
            caller.say("POST /whole HTTP/1.1\nExpect: 100-continue\nContent-Length: 3\nConnection: close")
            assert await caller.until(b"\r\n\r\n") == b"HTTP/1.1 100 \r\n\r\n"
            caller.writer.write(b"abc")
            assert (await caller.all()).endswith(b'"bytes":3}')
        async with call(served.url) as caller:
            caller.say("POST /whole HTTP/1.1\nExpect: 100-continue\nContent-Length: 99999999")
            assert (await caller.until(b"\r\n")).startswith(b"HTTP/1.1 413 ")


async def test_head_has_no_body(talking: Serve) -> None:
    async with talking() as served, httpx.AsyncClient(base_url=served.url) as http:
        for _ in (1, 2):
            answer = await http.head("/whole")
            assert (answer.content, answer.headers["content-length"]) == (
                b"",
                str(len(b'{"method":"HEAD","query":[],"bytes":0}')),
            )
            assert (await http.head("/tokens")).content == b""
        assert (await http.get("/whole")).json()["method"] == "GET"


async def test_requests_that_come_early_wait(talking: Serve, call: Call) -> None:
    async with talking() as served, call(served.url) as caller:
        for path in ("/tokens", "/whole?n=2", "/tokens"):
            caller.say(f"GET {path} HTTP/1.1")
        caller.say("GET /whole?n=4 HTTP/1.1\nConnection: close")
        came = (await caller.all()).decode()
        assert came.count("HTTP/1.1 200") == 4
        assert came.index('["n","2"]') < came.index('["n","4"]')


async def test_a_request_may_come_in_any_parts(talking: Serve, call: Call) -> None:
    body = "5\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n"
    post = f"POST /whole HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n{body}".encode()
    get = b"GET /whole HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
    async with talking() as served:
        for request in (post, get):
            for place in range(1, len(request)):
                async with call(served.url) as caller:
                    caller.writer.write(request[:place])
                    await asyncio.sleep(0)
                    caller.writer.write(request[place:])
                    await caller.until(b'"bytes":')
                    assert await caller.until(b"}") == (b"6}" if request is post else b"0}"), place


async def test_a_flood_of_early_requests_is_left_in_the_socket(talking: Serve, call: Call) -> None:
    async with talking() as served, call(served.url) as caller:
        caller.say("GET /hang HTTP/1.1")
        await caller.until(b"data: 1")
        caller.writer.write(b"x" * (64 << 20))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.writer.drain(), 0.3)
        caller.writer.transport.abort()


async def test_an_old_client(talking: Serve, call: Call) -> None:
    async with talking() as served, call(served.url) as caller:
        caller.say("GET /tokens HTTP/1.0")
        head, _, body = (await caller.all()).partition(b"\r\n\r\n")
        assert body.decode() == TOKENS
        assert b"chunked" not in head.lower()


@pytest.mark.parametrize("path", ["/hang", "/deaf"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_goes_away_cancels(talking: Serve, call: Call, path: str, how: str) -> None:
    async with talking() as served:
        async with call(served.url) as caller:
            caller.say(f"GET {path} HTTP/1.1")
            if path == "/hang":
                await caller.until(b"data: 1\n\n")
            else:
                await eventually(lambda: served.server.connections == 1)
            if how == "reset":
                caller.writer.transport.abort()
        await eventually(lambda: len(served.records) == 1)
        [record] = served.records
        assert record.status == "cancelled"
        assert record.stamps["requested"] <= record.stamps["cancelled"]
        assert "done" not in record.stamps
        assert served.vendor.tidied == 1


async def test_a_client_that_goes_away_in_mid_request_leaves_no_trace(
    talking: Serve, call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking() as served:
        for first in (b"P", b"POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", b"GET /whole HT"):
            async with call(served.url) as caller:
                caller.writer.write(first)
                await asyncio.sleep(0.01)
        async with call(served.url) as caller:
            caller.say("GET /whole HTTP/1.1\nConnection: close")
            assert b" 200 " in await caller.all()
        assert served.server.connections == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("said", ["HTTP/1.1\nConnection: close", "HTTP/1.0"], ids=["close", "old"])
async def test_a_client_that_has_said_all_still_listens(talking: Serve, call: Call, said: str) -> None:
    async with talking() as served, call(served.url) as caller:
        caller.say(f"GET /tokens {said}")
        caller.writer.write_eof()
        assert b"data: 5" in await caller.all()
        assert [record.status for record in served.records] == ["completed"]


async def test_a_client_that_leaves_without_reading_cancels(talking: Serve, call: Call) -> None:
    async with talking() as served, call(served.url) as caller:
        caller.say("GET /flood HTTP/1.1")
        await caller.until(b"\r\n\r\n")
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of every transport that reads
        caller.writer.write_eof()
        await eventually(lambda: [record.status for record in served.records] == ["cancelled"])


async def test_a_body_that_breaks_off_is_refused(talking: Serve, call: Call) -> None:
    async with talking() as served, call(served.url) as caller:
        caller.say("POST /whole HTTP/1.1\nContent-Length: 10", b"abc")
        caller.writer.write_eof()
        assert (await caller.all()).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_does_not_read_is_waited_for(talking: Serve) -> None:
    async with talking() as served:
        other = httpx.AsyncClient(base_url=served.url)
        async with other, other.stream("GET", "/flood") as flood:
            pieces = flood.aiter_raw()
            await anext(pieces)
            assert (await other.get("/whole")).status_code == 200
            assert [record.cause for record in served.records] == ["/whole"]  # 200 MB are not in its buffers
        await eventually(lambda: len(served.records) == 2)
        assert served.records[1].status == "cancelled"


async def test_a_silent_client_is_refused(talking: Serve, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "silence_s", 0.05)
    async with talking() as served, call(served.url) as caller:
        caller.say("POST /whole HTTP/1.1\nContent-Length: 10", b"abc")
        assert (await caller.all()).startswith(b"HTTP/1.1 408 ")


HOSTILE = {
    "no HTTP": b"\x00\x01\x02\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a bad name": b"POST / HTTP/1.1\r\nHost: a\r\nbad name: 1\r\n\r\n",
    "folded nothing": b"POST / HTTP/1.1\r\n Host: a\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n",
    "huge chunk": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 30 + b"\r\n",
    "no path": b"POST  HTTP/1.1\r\nHost: a\r\n\r\n",
    "many headers": b"POST / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"h%d: x\r\n" % n for n in range(20_000)),
    "another version": b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an upgrade by POST": b"POST / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bad address": b"GET //[ HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
async def test_what_is_no_request_is_refused(
    talking: Serve, call: Call, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    async with talking() as served, call(served.url) as caller:
        caller.writer.write(HOSTILE[what])
        head, _, body = (await caller.all()).partition(b"\r\n\r\n")
        assert head.split()[1] in (b"400", b"413", b"431", b"505"), head
        assert json.loads(body)["error"]["message"]
        assert served.records == []
    assert caplog.records == []


@pytest.mark.parametrize(("path", "status"), [("/bug", 500), ("/nothing", 500), ("/late-bug", 200)])
async def test_a_bug_of_the_vendor_hangs_nobody(
    talking: Serve, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    async with talking() as served, httpx.AsyncClient(base_url=served.url) as http:
        async with http.stream("GET", path) as answer:
            assert answer.status_code == status
            if status == 200:
                with pytest.raises(httpx.RemoteProtocolError):
                    await answer.aread()
            else:
                assert "The simulator failed" in json.loads(await answer.aread())["error"]["message"]
        assert (await http.get("/whole")).status_code == 200
    assert f"GET {path} failed" in caplog.text


async def test_an_idle_connection_is_closed(talking: Serve, call: Call) -> None:
    async with talking(keep_alive_s=0.05) as served, call(served.url) as caller:
        caller.say("GET /none HTTP/1.1")
        assert (await caller.all()).startswith(b"HTTP/1.1 204 ")


async def test_a_connection_that_is_used_in_time_is_not(talking: Serve, call: Call) -> None:
    async with talking(keep_alive_s=5) as served, call(served.url) as caller:
        for _ in range(3):
            caller.say("GET /none HTTP/1.1")
            assert (await caller.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")


async def test_a_stale_connection_ends_as_its_next_request_comes(talking: Serve, call: Call) -> None:
    async with talking(keep_alive_s=0.0, stale=True) as served, call(served.url) as caller:
        caller.say("GET /none HTTP/1.1")
        await caller.until(b"\r\n\r\n")
        caller.say("GET /simulator/turns HTTP/1.1")
        await caller.until(b"\r\n\r\n")
        caller.say("POST /whole HTTP/1.1\nContent-Length: 3", b"abc")
        assert b"HTTP" not in (await caller.all()), "not a byte of an answer"
        assert served.server.connections == 1


def _has_come(served: Served, number: int) -> bool:
    return served.server.connections >= number


async def test_the_server_ends_whatever_clients_do(talking: Serve, call: Call) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as clients:
        async with talking("half-open on token1 connection 2") as served:
            callers = [await clients.enter_async_context(call(served.url)) for _ in range(6)]
            for caller, path in zip(callers, ("/hang", "/tokens", "/flood", "/deaf", "/none"), strict=False):
                caller.say(f"GET {path} HTTP/1.1")
                await eventually(partial(_has_come, served, callers.index(caller) + 1))
            leaving = loop.time()
        assert loop.time() - leaving < 2, "this is the promise"
        for caller in callers:
            with suppress(ConnectionResetError):
                await caller.all()
    assert sorted((record.cause, record.status) for record in served.records) == [
        ("/deaf", "cancelled"),
        ("/flood", "cancelled"),
        ("/hang", "cancelled"),
        ("/none", "completed"),
        ("/tokens", "completed"),
    ]
    assert served.vendor.tidied == 2


async def test_a_vendor_that_does_not_end_is_left_behind(
    talking: Serve, call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("voicebridge.testing.simulator.engine._CUT_OFF_WITHIN_S", 0.05)
    let_go = asyncio.Event()

    async def stuck(vendor: TalkingVendor) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await let_go.wait()

    monkeypatch.setattr(TalkingVendor, "_for_ever", stuck)
    async with AsyncExitStack() as clients:
        async with talking() as served:
            caller = await clients.enter_async_context(call(served.url))
            caller.say("GET /deaf HTTP/1.1")
            await eventually(lambda: served.server.connections == 1)
        assert "did not end" in caplog.text
        let_go.set()
        await eventually(lambda: len(served.records) == 1)


async def test_a_vendor_of_http_alone_speaks_no_websocket(talking: Serve) -> None:
    async with talking() as served:
        with pytest.raises(InvalidStatus) as refused:
            await connect(served.url.replace("http", "ws", 1))
        assert refused.value.response.status_code == 404
        assert served.server.connections == 1


async def test_one_port_speaks_both() -> None:
    class Echo:
        def __init__(self, link: Link) -> None:
            self._link = link

        async def opened(self) -> None: ...

        async def received(self, frame: str | bytes) -> None:
            await self._link.send("echo", frame)

        async def aclose(self) -> None: ...

    class Both(TalkingVendor):
        def refusal(self, request: HttpRequest) -> HttpAnswer | None:
            return None

        def wire(self, link: Link, request: HttpRequest) -> Echo:
            return Echo(link)

    vendor = Both(Callers(INSTANT, 0))
    server = SimulatedServer(SimulatorSettings(faults=("handshake 503 connection 3",)), lambda log: vendor)
    async with server.serve() as url, httpx.AsyncClient() as http, connect(url) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        tokens = url.replace("ws", "http", 1) + "/tokens"
        assert (await http.get(tokens)).text == TOKENS
        assert (await http.get(tokens)).status_code == 503, "handshakes and requests are counted together"
