"""Each toxic does what it says, to real sockets and to a websocket, and nothing is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from voicebridge import ConfigError
from voicebridge.testing.chaos import ChaosProxy
from voicebridge.testing.toxics import Toxics

PATIENCE_S = 20.0


class Server:
    """Keeps what it gets, and echoes it unless told not to."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.pieces: list[bytes] = []
        self.endings: list[str] = []
        self.port = 0
        self.echo = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.got += data
                self.pieces.append(data)
                if self.echo:
                    writer.write(data)
            self.endings.append("closed")
        except ConnectionResetError:
            self.endings.append("reset")
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def behind(**options: Any) -> AsyncIterator[tuple[Server, ChaosProxy]]:
    """A server behind a proxy. At the end no task may be left."""
    before = asyncio.all_tasks()
    server = Server()
    listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with ChaosProxy(server.port, **options) as proxy:
        yield server, proxy
    listening.close()
    await until(lambda: asyncio.all_tasks() <= before)
    assert proxy.connections == 0


async def until(holds: Callable[[], object]) -> None:
    """Wait until something is so, as long as a slow machine may need."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.005)


async def dial(proxy: ChaosProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        return await reader.readexactly(size)


async def rest(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """What still comes, and how it ends."""
    got = b""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while data := await reader.read(65_536):
                got += data
        except ConnectionResetError:
            return got, "reset"
    return got, "closed"


def pattern(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


async def test_without_toxics_all_bytes_pass_both_ways_and_so_does_the_end() -> None:
    async with behind() as (server, proxy):
        reader, writer = await dial(proxy)
        data = pattern(3_000_000)
        writer.write(data)
        assert await exactly(reader, len(data)) == data
        writer.write_eof()
        assert await rest(reader) == (b"", "closed")
        await until(lambda: server.endings == ["closed"])
        assert bytes(server.got) == data
        assert (proxy.up.passed, proxy.down.passed, proxy.accepted) == (len(data), len(data), 1)
        writer.close()
        await until(lambda: proxy.connections == 0)


async def test_a_handshake_takes_its_time_once_a_connection() -> None:
    async with behind() as (_, proxy):
        proxy.handshake_s = 0.1
        began = time.monotonic()
        reader, writer = await dial(proxy)
        writer.write(b"first")
        assert await exactly(reader, 5) == b"first"
        assert time.monotonic() - began >= 0.1
        proxy.handshake_s = 3600.0
        writer.write(b"again")
        assert await exactly(reader, 5) == b"again", "it is over for this connection"
        late, waiting = await dial(proxy)
        await until(lambda: proxy.connections == 2)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await exactly(late, 1)
        writer.close()
        waiting.close()


async def test_latency_delays_each_way_and_narrows_nothing() -> None:
    async with behind() as (_, proxy):
        reader, writer = await dial(proxy)
        proxy.up.latency_s, proxy.down.latency_s = 0.1, 0.05
        began = time.monotonic()
        for _ in range(20):  # in flight together
            writer.write(b"x")
            await asyncio.sleep(0.001)
        await exactly(reader, 20)
        took = time.monotonic() - began
        assert 0.15 <= took < 20 * 0.15
        proxy.up.clear()
        proxy.down.clear()
        writer.write(b"y")
        assert await exactly(reader, 1) == b"y"
        writer.close()


async def jittered(seed: int) -> list[float]:
    async with behind(seed=seed) as (_, proxy):
        drawn: list[float] = []
        for _ in range(2):
            reader, writer = await dial(proxy)
            writer.write(b"x")
            await exactly(reader, 1)
            [connection] = proxy._connections.values()
            drawn += [connection._random[name].random() for name in ("up", "down")]
            writer.close()
            await until(lambda: proxy.connections == 0)
    return drawn


async def test_jitter_is_the_same_for_the_same_seed_and_keeps_the_order() -> None:
    assert await jittered(1) == await jittered(1)
    assert await jittered(1) != await jittered(2)
    assert len(set(await jittered(1))) == 4
    async with behind() as (server, proxy):
        proxy.up.jitter_s = 0.02
        reader, writer = await dial(proxy)
        for number in range(50):
            writer.write(bytes([number]))
            await asyncio.sleep(0.001)
        assert await exactly(reader, 50) == bytes(range(50))
        assert bytes(server.got) == bytes(range(50))
        writer.close()


async def test_a_narrow_line_takes_its_time() -> None:
    async with behind() as (_, proxy):
        proxy.up.bytes_per_s = 100_000
        reader, writer = await dial(proxy)
        began = time.monotonic()
        writer.write(pattern(30_000))
        assert await exactly(reader, 30_000) == pattern(30_000)
        assert time.monotonic() - began >= 0.29
        writer.close()


async def test_slices_arrive_one_by_one() -> None:
    async with behind() as (server, proxy):
        server.echo = False
        proxy.up.slice_bytes = 3
        _, writer = await dial(proxy)
        writer.write(pattern(300))
        await until(lambda: len(server.got) == 300)
        assert bytes(server.got) == pattern(300)
        assert len(server.pieces) > 30
        writer.close()


async def test_one_byte_is_corrupted_and_no_other() -> None:
    async with behind() as (server, proxy):
        proxy.down.corrupt_at = 70_001
        reader, writer = await dial(proxy)
        writer.write(pattern(100_000))
        got = await exactly(reader, 100_000)
        wrong = [at for at, (one, other) in enumerate(zip(got, pattern(100_000), strict=True)) if one != other]
        assert wrong == [70_001]
        assert got[70_001] == pattern(100_000)[70_001] ^ 0xFF
        await until(lambda: bytes(server.got) == pattern(100_000))
        writer.close()


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_cut_after_so_many_bytes(how: str) -> None:
    async with behind() as (server, proxy):
        setattr(proxy.down, f"{how}_at", 1000)
        reader, writer = await dial(proxy)
        writer.write(pattern(5000))
        got, ending = await rest(reader)
        assert ending == {"reset": "reset", "close": "closed"}[how]
        assert got == pattern(1000)
        await until(lambda: server.endings)
        assert server.endings == [ending]
        writer.close()


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_cut_after_a_time_and_by_hand(how: str) -> None:
    ending = {"reset": "reset", "close": "closed"}[how]
    async with behind() as (server, proxy):
        setattr(proxy, f"{how}_after_s", 0.05)
        reader, writer = await dial(proxy)
        assert await rest(reader) == (b"", ending)
        writer.close()
        setattr(proxy, f"{how}_after_s", None)
        reader, writer = await dial(proxy)
        writer.write(b"x")
        await exactly(reader, 1)
        getattr(proxy, how)()
        assert await rest(reader) == (b"", ending)
        await until(lambda: len(server.endings) == 2)
        assert server.endings == [ending, ending]
        writer.close()


async def test_half_open_neither_bytes_nor_the_end_arrive() -> None:
    async with behind() as (server, proxy):
        reader, writer = await dial(proxy)
        writer.write(b"a")
        await exactly(reader, 1)
        proxy.blackhole()
        writer.write(pattern(200_000))
        await until(lambda: proxy.up.dropped == 200_000)
        writer.write_eof()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert (bytes(server.got), server.endings) == (b"a", [])
        writer.transport.abort()  # the client gives up; the server still believes
        await asyncio.sleep(0.05)
        assert server.endings == []
        assert proxy.connections == 1


@pytest.mark.parametrize(("side", "got"), [("up", b""), ("down", b"hello")])
async def test_a_black_hole_may_be_on_one_side_only(side: str, got: bytes) -> None:
    async with behind() as (server, proxy):
        reader, writer = await dial(proxy)
        getattr(proxy, side).blackhole = True
        writer.write(b"hello")
        await until(lambda: getattr(proxy, side).dropped == 5)
        assert bytes(server.got) == got
        proxy.up.blackhole = proxy.down.blackhole = False
        writer.write(b"again")
        assert await exactly(reader, 5) == b"again"
        writer.close()


async def test_a_stall_fills_the_senders_buffers_and_loses_nothing() -> None:
    async with behind(buffer_bytes=8192) as (server, proxy):
        server.echo = False
        _, writer = await dial(proxy)
        proxy.up.stalled = True
        data = pattern(8_000_000)
        writer.write(data)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await writer.drain()
        assert not server.got
        proxy.up.stalled = False
        async with asyncio.timeout(PATIENCE_S):
            await writer.drain()
        await until(lambda: len(server.got) == len(data))
        assert bytes(server.got) == data
        writer.close()


async def test_what_is_on_its_way_is_bounded() -> None:
    async with behind(buffer_bytes=8192) as (server, proxy):
        server.echo = False
        _, writer = await dial(proxy)
        proxy.up.latency_s = 3600.0
        writer.write(pattern(12_000_000))
        ways = [task for task in asyncio.all_tasks() if task.get_name() == "chaos: bytes"]
        assert len(ways) <= 4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await writer.drain()
        assert writer.transport.get_write_buffer_size() > 4_000_000
        writer.transport.abort()


async def test_refused_as_where_nobody_listens_and_taken_again() -> None:
    async with behind() as (_, proxy):
        reader, writer = await dial(proxy)
        port = proxy.port
        await proxy.refuse()
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await dial(proxy)
        writer.write(b"open ones stay")
        await exactly(reader, 14)
        proxy.accept()
        proxy.accept()
        assert proxy.port == port
        again = await dial(proxy)
        again[1].write(b"x")
        await exactly(again[0], 1)
        for one in (writer, again[1]):
            one.close()


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    async with behind() as (_, other):
        await other.refuse()
        async with ChaosProxy(other.port) as proxy:
            reader, writer = await dial(proxy)
            assert (await rest(reader))[1] == "reset"
            writer.close()


async def test_it_ends_while_connections_are_open() -> None:
    async with behind() as (server, proxy):
        ends = [await dial(proxy) for _ in range(5)]
        await until(lambda: proxy.connections == 5)
        proxy.up.stalled = proxy.down.blackhole = True
        ends[0][1].write(b"x")
    await until(lambda: len(server.endings) <= 5)
    for _, writer in ends:
        writer.transport.abort()


# Names


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (8800, "tcp://127.0.0.1:{}"),
        ("example.test:8800", "tcp://127.0.0.1:{}"),
        ("ws://127.0.0.1:8800/v1/realtime?model=x", "ws://127.0.0.1:{}/v1/realtime?model=x"),
        ("http://example.test", "http://127.0.0.1:{}"),
    ],
)
async def test_a_target_is_a_port_an_address_or_a_url(target: int | str, url: str) -> None:
    async with ChaosProxy(target) as proxy:
        assert proxy.url == url.format(proxy.port)


@pytest.mark.parametrize("target", ["", "host", "ws://:1", "host:port", "tcp://host:99999"])
def test_what_leads_nowhere_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match="leads nowhere"):
        ChaosProxy(target)


async def test_a_toxic_that_makes_no_sense_is_refused() -> None:
    toxics = Toxics()
    for name, value in (("latency_s", -1), ("bytes_per_s", 0), ("slice_bytes", 0), ("reset_at", -1)):
        with pytest.raises(ConfigError, match=name):
            setattr(toxics, name, value)
    with pytest.raises(AttributeError):
        toxics.latency = 1  # type: ignore[attr-defined]  # a misspelt toxic must not pass for one
    toxics.stalled, toxics.jitter_s = True, 1.0
    toxics.clear()
    assert (toxics.stalled, toxics.jitter_s) == (False, 0.0)


# A websocket


@asynccontextmanager
async def websocket() -> AsyncIterator[tuple[ChaosProxy, Any]]:
    async def echo(connection: ServerConnection) -> None:
        with suppress(websockets.ConnectionClosed):
            async for message in connection:
                await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None, close_timeout=0.1) as server:
        port = server.sockets[0].getsockname()[1]
        async with ChaosProxy(f"ws://127.0.0.1:{port}/path") as proxy:
            async with connect(proxy.url, compression=None, close_timeout=0.1, ping_interval=None) as client:
                yield proxy, client
            proxy.reset()


async def test_a_websocket_survives_slices_and_dies_of_a_reset() -> None:
    async with websocket() as (proxy, client):
        proxy.up.slice_bytes = proxy.down.slice_bytes = 1
        await client.send(b"x" * 500)
        assert await client.recv() == b"x" * 500
        proxy.reset()
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.rcvd is None


async def test_a_websocket_notices_a_corrupted_frame() -> None:
    async with websocket() as (proxy, client):
        proxy.down.corrupt_at = proxy.down.passed
        await client.send(b"x")
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1002


async def test_a_half_open_websocket_answers_no_ping() -> None:
    async with websocket() as (proxy, client):
        pong = await client.ping()
        async with asyncio.timeout(PATIENCE_S):
            await pong
        proxy.down.blackhole = True
        pong = await client.ping()
        await until(lambda: proxy.down.dropped)
        assert not pong.done()
        pong.cancel()
