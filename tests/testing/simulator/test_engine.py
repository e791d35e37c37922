"""The server with a wire of three lines: every fault as a client sees it, handshakes, ends, plain requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidHandshake, InvalidMessage, InvalidStatus

from voicebridge.contract.errors import BadOption, ConfigError
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.bare_client import BareClient, bare_client
from voicebridge.testing.simulator.doorman import Doorman
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge.testing.simulator.http_connection import HttpConnection
from voicebridge.testing.simulator.turn_log import TurnLog, TurnRecord
from voicebridge.testing.simulator.wire import HttpAnswer, HttpRequest, Link


class CountingWire:
    """Greets, and answers each frame by three: 1, 2, 3."""

    def __init__(self, link: Link, log: TurnLog) -> None:
        self._link = link
        self._log = log

    async def opened(self) -> None:
        await self._link.send("hello", json.dumps({"type": "hello", "number": self._link.number}))

    async def received(self, frame: str | bytes) -> None:
        if frame == "bye":
            await self._link.close(4001, "as asked")
            return
        if frame == "flood":
            for n in range(2000):
                await self._link.send("flood", json.dumps({"type": "flood", "n": n, "fill": "x" * 100_000}))
        if frame == "deep":
            await self._link.send("deep", "[" * 100_000)
            return
        for n in (1, 2, 3):
            await self._link.send(f"n{n}", json.dumps({"type": f"n{n}"}))

    async def aclose(self) -> None:
        self._log.add(TurnRecord(connection=self._link.number, status="closed"))


class CountingVendor:
    subprotocols: tuple[str, ...] = ("counting",)
    largest_frame: int = 1000

    def __init__(self, log: TurnLog) -> None:
        self._log = log

    async def warm(self) -> None: ...

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        return HttpAnswer(status=404, body=b"{}") if request.path == "/nowhere" else None

    def answer(self, request: HttpRequest) -> HttpAnswer:
        if request.path == "/bug":
            raise RuntimeError("a bug of the vendor")
        told = {"method": request.method, "path": request.path, "query": request.query, "bytes": len(request.body)}
        return HttpAnswer(status=200, body=json.dumps(told).encode())

    def wire(self, link: Link, request: HttpRequest) -> CountingWire:
        return CountingWire(link, self._log)


Serve = Callable[..., SimulatedServer]


@pytest.fixture
def counting() -> Serve:
    def made(*faults: str, log: Path | None = None) -> SimulatedServer:
        return SimulatedServer(SimulatorSettings(faults=faults, log=log), CountingVendor)

    return made


async def told(client: BareClient) -> list[str]:
    """Ask once; the types of all that came, in order."""
    await client.socket.send("ask")
    await client.quiet()
    return [frame["type"] for frame in client.frames]


async def faulty(counting: Serve, *faults: str) -> list[str]:
    async with counting(*faults).serve() as url, bare_client(url) as client:
        return await told(client)


async def test_without_faults_all_comes_in_order(counting: Serve) -> None:
    assert await faulty(counting) == ["hello", "n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("fault", "came"),
    [
        ("drop on n2", ["hello", "n1", "n3"]),
        ("duplicate on n2", ["hello", "n1", "n2", "n2", "n3"]),
        ("reorder on n1", ["hello", "n2", "n1", "n3"]),
        ("garbage on n2", ["hello", "n1", "garbage", "n3"]),
        ("garbage truncated on n2", ["hello", "n1", "garbage", "n3"]),
        ("unknown on n2", ["hello", "n1", "unheard_of.event", "n2", "n3"]),
        ("drop on n?", ["hello", "n2", "n3"]),
        ("drop on n? every", ["hello"]),
        ("stall on n2", ["hello", "n1"]),
        ("stall after 1 frame", ["hello"]),
        ("half-open on n2", ["hello", "n1"]),
        ("drop on n2 connection 2", ["hello", "n1", "n2", "n3"]),
    ],
)
async def test_a_fault_as_the_client_sees_it(counting: Serve, fault: str, came: list[str]) -> None:
    assert await faulty(counting, fault) == came


async def test_a_binary_frame_of_garbage(counting: Serve) -> None:
    async with counting("garbage binary on n1").serve() as url, connect(url) as socket:
        await socket.recv()
        await socket.send("ask")
        assert isinstance(await socket.recv(), bytes)


async def test_text_that_is_no_text_ends_the_connection(counting: Serve) -> None:
    async with counting("garbage utf8 on n1").serve() as url, connect(url) as socket:
        await socket.recv()
        await socket.send("ask")
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1007


@pytest.mark.parametrize("kind", ["text", "truncated", "binary"])
async def test_garbage_counts_as_a_frame(counting: Serve, kind: str) -> None:
    async with (
        counting(f"garbage {kind} on n1", "close 4002 after 2 frames").serve() as url,
        bare_client(url) as client,
    ):
        await client.socket.send("ask")
        assert await client.ended() == (4002, "")
        assert [frame["type"] for frame in client.frames] == ["hello", "garbage"]


@pytest.mark.parametrize(("kind", "size"), [("text", 20), ("truncated", 9), ("binary", 260)])
async def test_the_bytes_of_garbage_count(counting: Serve, kind: str, size: int) -> None:
    # The greeting takes 32 bytes with its header: what lies behind the garbage does not come.
    async with counting(f"garbage {kind} on n1", f"cut at byte {32 + size}").serve() as url, bare_client(url) as client:
        await client.socket.send("ask")
        assert await client.ended() == (None, "")
        assert [frame["type"] for frame in client.frames] == ["hello", "garbage"]


async def test_a_fault_that_fails_ends_the_connection(counting: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with counting("unknown on deep").serve() as url, bare_client(url) as client:
        await client.socket.send("deep")
        assert await client.ended(within_s=5) == (None, "")
        assert [frame["type"] for frame in client.frames] == ["hello"]
    [record] = caplog.records
    assert "faults of connection 1 failed" in record.getMessage()
    assert record.exc_info is None


async def test_a_delay_holds_all_that_is_behind_it(counting: Serve) -> None:
    async with counting("delay 150ms on n2").serve() as url, bare_client(url) as client:
        await client.socket.send("ask")
        await client.until("n1")
        began = time.monotonic()
        await client.until("n3")
        assert time.monotonic() - began > 0.1
        assert [frame["type"] for frame in client.frames] == ["hello", "n1", "n2", "n3"]


@pytest.mark.parametrize("fault", ["reset after 2 frames", "cut after 2 frames"])
async def test_the_connection_ends_without_a_word(counting: Serve, fault: str) -> None:
    async with counting(fault).serve() as url, bare_client(url) as client:
        await client.socket.send("ask")
        assert await client.ended() == (None, "")
        assert [frame["type"] for frame in client.frames] == ["hello", "n1"]


@pytest.mark.parametrize("action", ["reset", "cut"])
async def test_it_may_end_in_the_middle_of_a_frame(counting: Serve, action: str) -> None:
    # The greeting takes 32 bytes with its header, the frame behind it 16: byte 40 lies in the second.
    async with counting(f"{action} at byte 40").serve() as url, bare_client(url) as client:
        await client.socket.send("ask")
        assert await client.ended() == (None, "")
        assert [frame["type"] for frame in client.frames] == ["hello"]


async def test_it_may_end_by_time(counting: Serve) -> None:
    async with counting("close 1012 restart after 50ms").serve() as url, bare_client(url) as client:
        assert await client.ended() == (1012, "restart")


async def test_a_close_frame_in_the_place_of_an_event(counting: Serve) -> None:
    async with counting('close 1011 "server error" on n2').serve() as url, bare_client(url) as client:
        await client.socket.send("ask")
        assert await client.ended() == (1011, "server error")
        assert [frame["type"] for frame in client.frames] == ["hello", "n1"]


async def test_half_open_answers_no_ping(counting: Serve) -> None:
    async with counting("half-open after 1 frame").serve() as url, connect(url, ping_interval=None) as socket:
        await socket.recv()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(await socket.ping(), 0.2)
        socket.transport.abort()


async def test_a_stalled_server_still_answers_pings(counting: Serve) -> None:
    async with counting("stall on n1").serve() as url, connect(url, ping_interval=None) as socket:
        await socket.recv()
        await asyncio.wait_for(await socket.ping(), 5)


async def test_a_handshake_is_refused_once(counting: Serve) -> None:
    async with counting("handshake 429 retry-after 7 connection 1").serve() as url:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url):
                pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "7"
        async with bare_client(url) as client:
            assert (await client.until("hello"))["number"] == 2


@pytest.mark.parametrize("fault", ["handshake reset", "handshake garbage"])
async def test_a_handshake_breaks(counting: Serve, fault: str) -> None:
    async with counting(fault).serve() as url:
        with pytest.raises((InvalidHandshake, InvalidMessage, OSError)):
            async with connect(url):
                pass


async def test_a_handshake_hangs_and_the_server_still_closes(counting: Serve) -> None:
    async with counting("handshake stall").serve() as url:
        with pytest.raises(TimeoutError):
            async with connect(url, open_timeout=0.2):
                pass
        hanging = asyncio.create_task(asyncio.wait_for(connect(url, open_timeout=None), 30))
        await asyncio.sleep(0.1)
        left = time.monotonic()
    assert time.monotonic() - left < 5
    with pytest.raises(Exception):  # noqa: B017, PT011  # whichever way it fails, it does not hang
        await hanging


SAID = [b"", b"P", b"GET /realt", b"POST /x HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nabc"]


async def connected(url: str, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client of TCP that sends this, and no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(first)
    await asyncio.sleep(0.05)
    return reader, writer


@pytest.mark.parametrize("first", SAID)
async def test_a_client_that_falls_silent_does_not_keep_the_server_open(counting: Serve, first: bytes) -> None:
    async with asyncio.timeout(10):
        async with counting().serve() as url:
            reader, writer = await connected(url, first)
            quick = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - quick < 1  # not by one of its time limits
        assert await reader.read(1) == b""
        writer.close()


@pytest.mark.parametrize("first", SAID)
async def test_a_client_has_so_long_for_its_request(
    counting: Serve, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Doorman, "head_s", 0.1)
    monkeypatch.setattr(HttpConnection, "silence_s", 0.1)
    async with counting("handshake stall 300ms").serve() as url:
        reader, writer = await connected(url, first)
        async with asyncio.timeout(10):
            said = await reader.read()
        assert said == b"" if not first.startswith(b"P") else said.startswith(b"HTTP/1.1 408 ")
        writer.close()
        async with bare_client(url) as client:  # the stall of the script is longer than a client may take
            await client.until("hello")


async def test_a_wire_that_does_not_end_is_left_behind(
    counting: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("voicebridge.testing.simulator.engine._CUT_OFF_WITHIN_S", 0.1)
    let_go = asyncio.Event()

    async def stuck(wire: CountingWire) -> None:
        await let_go.wait()

    monkeypatch.setattr(CountingWire, "aclose", stuck)
    async with asyncio.timeout(10):
        async with counting().serve() as url:
            client = await connect(url)
        assert "did not end" in caplog.text
        let_go.set()
        await client.wait_closed()


async def test_the_vendor_refuses(counting: Serve) -> None:
    async with counting().serve() as url:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{url}/nowhere"):
                pass
        assert refused.value.response.status_code == 404


async def test_a_handshake_to_no_address(counting: Serve) -> None:
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
    said = f"GET //[ HTTP/1.1\r\nHost: a\r\n{upgrade}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    async with counting().serve() as url, asyncio.timeout(10):
        reader, writer = await connected(url, said.encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_plain_requests_are_answered_on_the_same_port(counting: Serve) -> None:
    async with counting().serve() as url, httpx.AsyncClient(base_url=url.replace("ws", "http", 1)) as http:
        answer = await http.post("/keys?x=1", content=b"y" * 70_000)
        assert answer.json() == {"method": "POST", "path": "/keys", "query": {"x": "1"}, "bytes": 70_000}
        assert (await http.get("/keys")).json()["method"] == "GET"
        assert (await http.post("/keys", content=b"y" * (25 << 20))).status_code == 200
        assert (await http.post("/keys", content=b"y" * ((25 << 20) + 1))).status_code == 413


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n", 400),
        (b"POST //[ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 400),
        (b"POST /x\r\n\r\n", 400),
        (b"POST /x HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000, 431),
        (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
    ],
)
async def test_a_plain_request_that_is_not_understood(counting: Serve, request_: bytes, status: int) -> None:
    async with counting().serve() as url, asyncio.timeout(10):
        reader, writer = await connected(url, request_)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(body)["error"]["message"]


async def test_a_wire_closes_with_its_own_code(counting: Serve) -> None:
    async with counting().serve() as url, bare_client(url) as client:
        await client.socket.send("bye")
        assert await client.ended() == (4001, "as asked")


async def test_a_frame_that_is_too_large_ends_the_connection(counting: Serve) -> None:
    async with counting().serve() as url, bare_client(url) as client:
        await client.socket.send("x" * 2000)
        code, _ = await client.ended()
        assert code == 1009


async def test_a_client_that_does_not_read_holds_its_wire_only(counting: Serve) -> None:
    server = counting()
    async with server.serve() as url, bare_client(url) as slow, bare_client(url) as other:
        await slow.socket.send("flood")
        await asyncio.sleep(0.2)
        assert await told(other) == ["hello", "n1", "n2", "n3"]
        # What waits for the slow one lies in the buffers of the two sockets, not in the server: 200 MB would.
        slow.socket.transport.abort()
    assert server.turns is not None
    assert len(server.turns.turns) == 2


async def test_subprotocols(counting: Serve) -> None:
    async with counting().serve() as url:
        async with connect(url, subprotocols=["other", "counting"]) as socket:  # type: ignore[list-item]  # plain names
            assert socket.subprotocol == "counting"
        async with connect(url, subprotocols=["other"]) as socket:  # type: ignore[list-item]  # plain names
            assert socket.subprotocol is None


async def test_wires_are_closed_with_the_server(counting: Serve, tmp_path: Path) -> None:
    log = tmp_path / "turns.jsonl"
    async with counting("half-open on n1", log=log).serve() as url:
        async with bare_client(url) as client:
            await client.until("hello")
        async with bare_client(url) as half_open:
            await told(half_open)
            half_open.socket.transport.abort()
        open_still = await connect(url)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["connection"] for line in lines) == [1, 2, 3]
    await open_still.wait_closed()


async def test_a_port_that_is_taken(counting: Serve) -> None:
    async with counting().serve() as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConfigError, match="is taken"):
            async with counting().serve(port=port):
                pass


async def test_a_log_that_cannot_be_written(counting: Serve, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be written"):
        async with counting(log=tmp_path / "no" / "log").serve():
            pass


def test_an_unclear_fault_is_told_at_once(counting: Serve) -> None:
    with pytest.raises(BadOption):
        counting("explode")
