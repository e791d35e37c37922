"""The border to the network, with real sockets: how connections end or never begin, and who did it."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
import traceback
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame as WebsocketFrame
from websockets.frames import Opcode
from websockets.http11 import Request

from voicebridge.contract.codec import Closed, Endpoint
from voicebridge.contract.errors import ConfigError
from voicebridge.core.closing import fault_of
from voicebridge.testing.guards import no_leaked_sockets, no_leaked_tasks
from voicebridge.transport.wire import dial

from .peers import closed, dialled, ending, free_port, hold, raw_server, refusal, reset, server, websocket

Streams = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KEY = "sk-CANARY-0123456789abcdefghijklmnop"


# Connections that never begin


@pytest.mark.parametrize(
    ("status", "category", "again"),
    [
        (401, "auth", False),
        (402, "quota", False),
        (403, "auth", False),
        (404, "config", False),
        (429, "rate", True),
        (500, "network", True),
        (503, "busy", True),
        (200, "config", False),
        (302, "config", False),
    ],
)
async def test_a_handshake_that_is_refused(status: int, category: str, again: bool) -> None:
    with no_leaked_sockets():
        async with no_leaked_tasks(), server(hold, lambda *_: refusal(status, body="not today")) as url:
            end = await closed(dial(Endpoint(url=url)))
        await asyncio.sleep(0.02)
    assert end == Closed(by="peer", status=status, body="not today")
    assert (fault_of(end).category, fault_of(end).retryable) == (category, again)


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["7"], 7),
        (["1.5"], 1.5),
        (["-3"], 0),
        ([lambda: formatdate(time.time() + 30, usegmt=True)], 30),
        ([lambda: formatdate(time.time() + 30)], 30),
        ([lambda: formatdate(time.time() - 30, usegmt=True)], 0),
        (["soon"], None),
        (["Mon, 01 Jan 99999999 00:00:00 GMT"], None),
        (["2", "9"], 9),
        (["soon", "9"], 9),
        ([], None),
    ],
)
async def test_how_long_a_server_asks_to_wait(
    values: list[str | Callable[[], str]], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        headers = [("Retry-After", value if isinstance(value, str) else value()) for value in values]
        async with server(hold, lambda *_: refusal(429, headers)) as url:
            end = await closed(dial(Endpoint(url=url)))
    finally:
        monkeypatch.undo()
        time.tzset()
    if seconds is None:
        assert end.retry_after_s is None
    else:
        assert end.retry_after_s == pytest.approx(seconds, abs=5 if seconds == 30 else 0)


async def test_no_redirect_is_followed() -> None:
    """The other one would get the key."""
    visits: list[str] = []

    def visited(connection: ServerConnection, request: Request) -> None:
        visits.append(str(request.headers))

    async with server(hold, visited) as other, server(hold, lambda *_: refusal(307, [("Location", other)])) as url:
        end = await closed(dial(Endpoint(url=url, headers={"api-key": KEY})))
    assert end.status == 307
    assert visits == []


async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def slam_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def slam_hard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


async def slam_half_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
    await writer.drain()
    writer.close()


async def mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example ESMTP\r\n")
    await writer.drain()


async def noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x00\x01\xff\r\n" * 50)
    await writer.drain()


async def wrong_accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: nonsense\r\n\r\n"
    )
    await writer.drain()


async def long_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 101 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("peer", "problem", "again"),
    [
        (slam, "reset", True),
        (slam_at_once, "reset", True),
        (slam_hard, "reset", True),
        (slam_half_way, "reset", True),
        (mail, "garbage", False),
        (noise, "garbage", False),
        (wrong_accept, "garbage", False),
        (long_header, "garbage", False),
    ],
)
async def test_a_peer_that_is_no_websocket_server(peer: Streams, problem: str, again: bool) -> None:
    async with raw_server(peer) as url, no_leaked_tasks():
        end = await closed(asyncio.wait_for(dial(Endpoint(url=url)), 3))
    assert (end.by, end.code, end.status, end.problem) == ("nobody", None, None, problem)
    assert fault_of(end).retryable == again


async def test_nothing_listens() -> None:
    end = await closed(dial(Endpoint(url=f"ws://127.0.0.1:{free_port()}")))
    assert (end.by, end.problem) == ("nobody", "refused")
    assert "127.0.0.1" in fault_of(end).message


async def test_no_such_host() -> None:
    end = await closed(asyncio.wait_for(dial(Endpoint(url="ws://x.invalid/v1")), 30))
    assert end.by == "nobody"
    assert end.problem in ("no_such_host", "dns"), "without a name service nobody knows"
    assert "x.invalid" in fault_of(end).message


async def bad_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def test_a_secure_address_of_a_plain_server() -> None:
    async with raw_server(bad_request) as url:
        end = await closed(dial(Endpoint(url=url.replace("ws:", "wss:"))))
    assert (end.by, end.problem) == ("nobody", "tls")
    assert not fault_of(end).retryable
    assert "base_url" in fault_of(end).message


async def test_a_secure_address_of_a_plain_server_that_says_nothing() -> None:
    async with server(hold) as url:
        end = await closed(dial(Endpoint(url=url.replace("ws:", "wss:"))))
    assert (end.by, end.problem) == ("nobody", "reset"), "as a network that fails would look"


async def test_a_plain_web_server_that_keeps_its_connections() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()

    async with raw_server(web) as url:
        end = await closed(asyncio.wait_for(dial(Endpoint(url=url)), 5))
    assert end == Closed(by="peer", status=200, body="hello")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "http://127.0.0.1:1",
        "ws://",
        "ws:///path",
        "ws://127.0.0.1:99999",
        "ws://127.0.0.1:port",
        "ws://127.0.0.1/#part",
        "ws://[::1",
        "ws://" + "x" * 64 + ".invalid",
        "ws://a..invalid",
        "ws://.invalid",
    ],
)
async def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of a websocket"):
        await dial(Endpoint(url=url))


async def test_the_case_of_an_address_is_free() -> None:
    end = await closed(dial(Endpoint(url=f"WSS://127.0.0.1:{free_port()}")))
    assert end.problem == "refused"
    async with server(hold) as url, dialled(url.replace("ws:", "WS:")):
        pass


@pytest.mark.parametrize(
    "value", [KEY + "\n", KEY + "\r\nX-Other: 1", "\u201c" + KEY + "\u201d", KEY + "\x00", " " + KEY]
)
async def test_a_key_that_was_not_copied_alone(value: str) -> None:
    async with server(hold) as url:
        with pytest.raises(ConfigError, match="api-key") as caught:
            await dial(Endpoint(url=url, headers={"api-key": value}))
        assert KEY not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(ConfigError) as caught:
            await dial(Endpoint(url=url, subprotocols=("realtime", f"key.{value}")))
        assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_proxy_that_can_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1:1")
    monkeypatch.setenv("socks_proxy", "")
    with pytest.raises(ConfigError, match="proxy"):
        await dial(Endpoint(url="ws://x.invalid"))


async def test_a_handshake_that_is_given_up_leaves_nothing() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as url, no_leaked_tasks():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dial(Endpoint(url=url)), 0.2)


# Connections that end


@pytest.mark.parametrize(
    ("code", "reason", "category", "again"),
    [
        (1000, "", "planned_end", True),
        (1001, "Your session hit the maximum duration of 60 minutes.", "planned_end", True),
        (1008, "not allowed", "auth", False),
        (1011, "oops", "network", True),
        (1013, "", "rate", True),
        (4000, "custom", "protocol", False),
    ],
)
async def test_the_peer_closes(code: int, reason: str, category: str, again: bool) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("one")
        await connection.send(b"two")
        await connection.close(code, reason)

    async with server(handler) as url, dialled(url) as wire:
        frames, end = await ending(wire)
        assert frames == ["one", b"two"]
        assert end == Closed(by="peer", code=code, reason=reason)
        assert (fault_of(end).category, fault_of(end).retryable) == (category, again)
        for work in (wire.recv(), wire.send("more"), wire.ping()):
            assert await closed(work) == end, "it stays what it was"


async def test_the_peer_closes_without_a_code() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await websocket(reader, writer)
        writer.write(b"\x88\x00")
        await reader.read()

    async with raw_server(handler) as url, dialled(url) as wire:
        end = (await ending(wire))[1]
        assert (end.by, end.code) == ("peer", 1005)
        assert fault_of(end).category == "network"


async def test_we_close() -> None:
    async with server(hold) as url, dialled(url) as wire:
        reading = asyncio.create_task(closed(wire.recv()))
        await asyncio.sleep(0.05)
        await wire.close()
        end = await reading
        assert (end.by, end.code) == ("us", 1000)
        assert (fault_of(end).category, fault_of(end).retryable) == ("closed", False)


async def test_both_close_and_the_peer_was_first() -> None:
    closing = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        await connection.close(1001, "bye")
        closing.set()

    async with server(handler) as url, dialled(url) as wire:
        await closing.wait()
        await wire.close()
        assert await closed(wire.recv()) == Closed(by="peer", code=1001, reason="bye")


async def cut_in_mid_frame(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(WebsocketFrame(Opcode.TEXT, b"whole").serialize(mask=False))
    writer.write(WebsocketFrame(Opcode.TEXT, b"x" * 1000).serialize(mask=False)[:100])
    await writer.drain()
    await asyncio.sleep(0.1)
    reset(writer)


async def end_in_mid_frame(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(WebsocketFrame(Opcode.TEXT, b"whole").serialize(mask=False))
    writer.write(WebsocketFrame(Opcode.TEXT, b"x" * 1000).serialize(mask=False)[:100])
    writer.close()


@pytest.mark.parametrize("cut", [cut_in_mid_frame, end_in_mid_frame])
async def test_the_connection_is_cut_in_the_middle_of_a_frame(cut: Streams) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await websocket(reader, writer)
        await cut(reader, writer)

    async with raw_server(handler) as url, dialled(url) as wire:
        frames, end = await ending(wire)
        assert frames == ["whole"]
        assert end == Closed(by="nobody", problem="reset")
        assert fault_of(end).retryable


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (WebsocketFrame(Opcode.TEXT, b"x" * 5_000).serialize(mask=False), 1009),
        (WebsocketFrame(Opcode.TEXT, b"ab\xff\xfecd").serialize(mask=False), 1007),
        (WebsocketFrame(Opcode.TEXT, b"masked").serialize(mask=True), 1002),
        (b"\xff" * 64, 1002),
    ],
    ids=["too long", "no UTF-8", "masked", "no frame"],
)
@pytest.mark.parametrize("answers", [True, False])
async def test_we_refuse_what_the_peer_sends(data: bytes, code: int, answers: bool) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await websocket(reader, writer)
        writer.write(data)
        if not answers:
            await asyncio.sleep(30)
        await reader.read(100)
        writer.write(WebsocketFrame(Opcode.CLOSE, (1000).to_bytes(2, "big")).serialize(mask=False))
        writer.close()

    async with raw_server(handler) as url, dialled(Endpoint(url=url, max_frame_bytes=4_000)) as wire:
        frames, end = await asyncio.wait_for(ending(wire), 5)
        assert (frames, end.by, end.code) == ([], "us", code)
        assert (fault_of(end).category, fault_of(end).retryable) == ("protocol", False)


async def test_frames_of_the_largest_size_pass() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.send("x" * 4_000)

    async with server(handler) as url, dialled(Endpoint(url=url, max_frame_bytes=4_000)) as wire:
        assert len(await wire.recv()) == 4_000


async def test_a_pong_says_that_all_before_it_has_arrived() -> None:
    got: list[str | bytes] = []

    async def handler(connection: ServerConnection) -> None:
        async for frame in connection:
            got.append(frame)

    async with server(handler) as url, dialled(url) as wire:
        for _ in range(50):
            await wire.send("x" * 500)
        await asyncio.wait_for(await wire.ping(), 5)
        assert len(got) + 16 >= 50, "all but what the server's own queue holds"


@pytest.mark.parametrize("blocked", [True, False])
async def test_closing_is_bounded_when_the_peer_is_frozen(blocked: bool) -> None:
    frozen = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await websocket(reader, writer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads
        frozen.set()
        await asyncio.sleep(60)

    with no_leaked_sockets():
        async with no_leaked_tasks(), raw_server(handler) as url:
            wire = await dial(Endpoint(url=url))
            await frozen.wait()

            async def pour() -> None:
                while True:
                    await wire.send(b"x" * 100_000)

            pouring = asyncio.create_task(closed(pour())) if blocked else None
            await asyncio.sleep(0.3)
            assert pouring is None or not pouring.done()
            await asyncio.wait_for(wire.close(), 2)
            if pouring is not None:
                end = await asyncio.wait_for(pouring, 1)
                assert end.by in ("us", "nobody")
        await asyncio.sleep(0.02)


def test_the_certificates_are_read_once() -> None:
    from voicebridge.transport.tcp import tls_context

    assert tls_context() is tls_context()
    assert isinstance(tls_context(), ssl.SSLContext)
    assert tls_context().verify_mode == ssl.CERT_REQUIRED
    assert os.environ.get("SSLKEYLOGFILE") is None
