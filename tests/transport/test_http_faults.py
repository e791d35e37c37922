"""Requests that fail, over real sockets: each as a fault that says what to do, and none that shows the key."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import subprocess
import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.transport import http_address, http_proxy
from voicebridge.transport.http import HttpApi, HttpCall, HttpTimeouts
from voicebridge.transport.tcp import tls_context

from .peers import free_port, raw_server, reset
from .web import Asked, Handler, Raw, all_of, chunk, chunked, head, plain, web

KEY = "sk-CANARY-0123456789abcdefghijklmnop"
QUICK = HttpTimeouts(connect_s=2, first_output_s=2, between_outputs_s=2)


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


def answering(answer: bytes) -> Handler:
    async def handler(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return handler


@pytest.mark.parametrize(
    ("status", "category", "again"),
    [
        (302, "config", False),
        (400, "config", False),
        (401, "auth", False),
        (402, "quota", False),
        (403, "auth", False),
        (404, "config", False),
        (408, "network", True),
        (422, "config", False),
        (429, "rate", True),
        (500, "network", True),
        (502, "network", True),
        (503, "busy", True),
        (529, "network", True),
    ],
)
async def test_a_refusal(status: int, category: str, again: bool) -> None:
    async with web(answering(plain(b'{"error": "not today"}', status))) as seen:
        found = await fault(seen.url)
    assert (found.category, found.retryable, found.code) == (category, again, f"http_{status}")
    assert "not today" in found.message
    assert len(seen.asked) == 1, "whether to try again is decided elsewhere"


async def test_a_quota_that_comes_as_a_rate() -> None:
    async with web(answering(plain(b'{"error": {"code": "insufficient_quota"}}', 429))) as seen:
        assert (await fault(seen.url)).category == "quota"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        (formatdate(time.time() + 1000, usegmt=True), 1000),
        (formatdate(time.time() - 1000, usegmt=True), 0),
        ("soon", None),
    ],
    ids=["seconds", "a fraction", "a date", "a date that has passed", "neither"],
)
@pytest.mark.parametrize("explained", [True, False])
async def test_how_long_a_server_asks_to_wait(value: str, seconds: float | None, explained: bool) -> None:
    mine = Fault(category="rate", message="mine", retryable=True)
    async with web(answering(plain(b"", 429, Retry_After=value))) as seen:
        found = await fault(seen.url, (lambda status, text: mine) if explained else None)
    assert found.retry_after_s == (
        seconds if seconds is None else pytest.approx(seconds, abs=60 if seconds > 10 else 0)
    )
    assert (found.message == "mine") == explained


async def test_what_the_vendor_means_comes_first() -> None:
    def explain(status: int, text: str) -> Fault | None:
        return Fault(category="content", code="refused", message=f"{status}: {text}") if "policy" in text else None

    async with web(answering(plain(b"against policy", 400))) as seen:
        found = await fault(seen.url, explain)
        assert (found.category, found.message) == ("content", "400: against policy")
    async with web(answering(plain(b"else", 400))) as seen:
        assert (await fault(seen.url, explain)).category == "config"


async def test_a_reader_of_refusals_that_fails_leaves_them_to_the_common_table() -> None:
    def explain(status: int, text: str) -> Fault | None:
        raise KeyError(text)

    async with web(answering(plain(b"<html>", 502))) as seen:
        assert (await fault(seen.url, explain)).code == "http_502"


@pytest.mark.parametrize(
    "echo",
    [
        f"Incorrect API key provided: {KEY}.",
        "x" * 490 + KEY + "y" * 100,
        "x" * (16 * 1024 - 20) + KEY,
        f"no {KEY[:-3]}",
    ],
    ids=["whole", "across what is shown", "across what is read", "in part"],
)
async def test_a_key_that_a_server_repeats_is_shown_nowhere(echo: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with web(answering(plain(echo.encode(), 401, X_Echo=KEY))) as seen:
        found = await fault(seen.url, lambda status, text: Fault(category="auth", message=text, code=text))
        await fault(seen.url)
    assert seen.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY[3:15] not in repr(found)
    assert KEY[3:15] not in caplog.text


async def test_the_text_of_a_refusal_is_bounded_and_not_waited_for_for_long() -> None:
    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(500, transfer_encoding="chunked") + chunk(b"because"))
        await asyncio.sleep(30)

    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head(500, transfer_encoding="chunked"))
        while True:
            writer.write(chunk(b"x" * 100_000))
            await writer.drain()

    for handler in (endless, pour):
        async with web(handler) as seen:
            found = await asyncio.wait_for(fault(seen.url), 4)
        assert found.code == "http_500"
        assert len(found.message) < 1000


async def test_no_redirect_is_followed() -> None:
    async with web(answering(plain())) as other, web(answering(plain(b"", 307, Location=other.url))) as seen:
        found = await fault(seen.url)
        assert found.code == "http_307"
        assert other.opened == 0


# Answers that break off, and what is no answer


async def cut_short(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(head(content_length="10") + b"12345")
    writer.close()


async def cut_chunked(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(b"12345", end=False))
    writer.close()


async def cut_in_a_chunk(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(end=False) + b"a\r\n12345")
    writer.close()


async def cut_hard(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(chunked(b"12345", end=False))
    await writer.drain()
    await asyncio.sleep(0.05)
    reset(writer)


@pytest.mark.parametrize("cut", [cut_short, cut_chunked, cut_in_a_chunk, cut_hard])
async def test_an_answer_that_breaks_off(cut: Handler) -> None:
    async with web(cut) as seen:
        one = HttpApi(seen.url, headers={}, idle_s=30)
        got: list[bytes] = []

        async def read() -> None:
            async for piece in one.ask(HttpCall(path="x"), Raw()):
                got.append(piece)

        with pytest.raises(VoiceBridgeError) as caught:
            await read()
        assert b"".join(got) == b"12345", "what came before counts"
        assert (caught.value.category, caught.value.retryable, caught.value.fault.code) == ("network", True, "reset")
        await one.aclose()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"220 mail.example ESMTP\r\n", "garbage"),
        (b"\x00\x01\xff\r\n" * 50, "garbage"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "garbage"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "garbage"),
        (chunked(end=False) + b"not a size\r\n", "garbage"),
        (head(content_length="-1"), "garbage"),
        (head(content_length="1", transfer_encoding="chunked") + b"0\r\n\r\n", ""),
        (plain(b"\x1f\x8b", content_encoding="gzip"), "compressed"),
    ],
    ids=["mail", "noise", "long head", "upgrade", "bad chunk", "bad length", "two lengths", "compressed"],
)
async def test_what_is_no_answer(answer: bytes, code: str) -> None:
    async with web(answering(answer)) as seen:
        one = HttpApi(seen.url, headers={}, idle_s=30, timeouts=QUICK)
        if not code:
            assert await all_of(one) == b"", "chunked wins (RFC 9112, section 6.3)"
        else:
            with pytest.raises(VoiceBridgeError) as caught:
                await all_of(one)
            assert (caught.value.category, caught.value.retryable, caught.value.fault.code) == ("protocol", False, code)
            assert "websocket" not in str(caught.value)
        await one.aclose()


async def test_an_endless_head_is_bounded() -> None:
    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    async with web(pour) as seen:
        assert (await asyncio.wait_for(fault(seen.url), 2)).code == "garbage"


# No connection at all


async def test_nothing_listens() -> None:
    port = free_port()
    found = await fault(f"http://127.0.0.1:{port}/v1")
    assert (found.category, found.retryable, found.code) == ("network", True, "refused")
    assert f"127.0.0.1:{port}" in found.message
    assert (await fault(f"http://localhost:{port}/v1")).code == "refused", "at each of its addresses"


@pytest.mark.parametrize(
    ("number", "code", "category", "again"),
    [
        (socket.EAI_AGAIN, "dns", "network", True),
        (socket.EAI_NONAME, "no_such_host", "config", False),
        (socket.EAI_FAIL, "no_such_host", "config", False),
    ],
    ids=["no name service", "no such name", "the name service failed for good"],
)
async def test_a_name_that_is_not_resolved(
    number: int, code: str, category: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*args: object, **options: object) -> None:
        raise socket.gaierror(number, "no")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = await fault("https://api.example/v1")
    assert (found.category, found.retryable, found.code) == (category, again, code)
    assert "api.example" in found.message


async def test_a_name_that_can_be_none() -> None:
    assert (await fault("https://" + "x" * 64 + ".example/v1")).category == "config"


async def test_a_peer_that_says_nothing_to_a_secure_connection_times_out() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as url:
        one = HttpApi(url.replace("ws:", "https:"), headers={}, idle_s=30, timeouts=HttpTimeouts(connect_s=0.2))
        with pytest.raises(VoiceBridgeError) as caught:
            await all_of(one)
        await one.aclose()
    assert (caught.value.category, caught.value.retryable, caught.value.fault.code) == ("network", True, "timeout")


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, with its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "server.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    try:
        subprocess.run(
            [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made, "-out", folder / "c.pem"],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the openssl command to make a certificate")
    made.write_text(made.read_text() + (folder / "c.pem").read_text())
    return made


@pytest.fixture
def secure(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For once, that certificate is one of those that this machine trusts."""
    context = ssl.create_default_context(cafile=str(certificate))
    for module in (http_address, http_proxy):
        monkeypatch.setattr(module, "tls_context", lambda: context)


async def test_a_certificate_that_nobody_trusts(secure: ssl.SSLContext) -> None:
    async with web(answering(plain()), secure) as seen:
        found = await fault(seen.url)
    assert (found.category, found.retryable, found.code) == ("config", False, "tls")
    assert "certificate" in found.message.lower()
    assert seen.asked == []
    assert tls_context().verify_mode == ssl.CERT_REQUIRED


async def test_a_plain_server_at_a_secure_address() -> None:
    async def bad_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(plain(b"", 400))
        await writer.drain()

    async with raw_server(bad_request) as url:
        assert (await fault(url.replace("ws:", "https:"))).code == "tls"


@pytest.mark.usefixtures("trusted")
async def test_a_secure_connection_is_opened_ahead_and_kept(secure: ssl.SSLContext) -> None:
    """TLS 1.3 servers say something right after the handshake: tickets. That is no news from a dying peer."""
    async with web(answering(chunked(b"hello")), secure) as seen:
        one = HttpApi(seen.url, headers={"api-key": KEY}, idle_s=30)
        await one.get_ready()
        await asyncio.sleep(0.05)
        for _ in range(3):
            assert await all_of(one) == b"hello"
        assert (seen.opened, [asked.connection for asked in seen.asked]) == (1, [1, 1, 1])
        seen.writers[0].close()
        await asyncio.sleep(0.05)
        assert await all_of(one) == b"hello"
        assert seen.opened == 2
        await one.aclose()


@pytest.mark.usefixtures("trusted")
async def test_a_secure_answer_that_is_given_up_is_closed_upstream(secure: ssl.SSLContext) -> None:
    async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(b"one", end=False))
        await asyncio.sleep(30)

    async with web(drip, secure) as seen:
        one = HttpApi(seen.url, headers={}, idle_s=30)
        answer = one.ask(HttpCall(path="x"), Raw())
        assert await anext(answer) == b"one"
        await answer.aclose()
        await asyncio.wait_for(seen.ended[0].wait(), 0.1)
        await one.aclose()


# Proxies


class Proxy:
    """Tunnels, or answers itself."""

    def __init__(self, refuses: bool = False) -> None:
        self.heads: list[str] = []
        self._refuses = refuses

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(first)
        if self._refuses:
            writer.write(plain(b"", 407))
            return
        if not first.startswith("CONNECT"):
            writer.write(plain(b"by the proxy"))
            await writer.drain()
            return
        found = re.match(r"CONNECT [^:]+:(\d+)", first)
        assert found
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", int(found[1]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        finally:
            up_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The environment names a proxy, and this machine's address counts as another machine."""

    def name(url: str) -> None:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("https_proxy", url)

    for variable in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(http_proxy, "is_this_machine", lambda url: False)
    return name


@pytest.mark.usefixtures("trusted")
async def test_a_proxy_sees_neither_key_nor_request(secure: ssl.SSLContext, proxied: Callable[[str], None]) -> None:
    proxy = Proxy()
    async with raw_server(proxy.serve) as address, web(answering(chunked(b"hello")), secure) as seen:
        proxied(address.replace("ws://", "http://me:pass%21@"))
        one = HttpApi(seen.url, headers={"api-key": KEY}, idle_s=30)
        await one.get_ready()
        assert await all_of(one) == b"hello"
        assert await all_of(one) == b"hello"
        await one.aclose()
    [told] = proxy.heads
    assert told.startswith("CONNECT 127.0.0.1:")
    assert "Proxy-Authorization: Basic bWU6cGFzcyE=" in told
    assert KEY not in told
    assert "proxy-authorization" not in seen.asked[0].headers
    assert seen.asked[0].target == "/v1/x"


async def test_a_plain_request_goes_by_a_proxy_with_its_whole_address(proxied: Callable[[str], None]) -> None:
    proxy = Proxy()
    async with raw_server(proxy.serve) as address:
        proxied(address.replace("ws:", "http:"))
        one = HttpApi("http://far.example/v1", headers={}, idle_s=30)
        assert await all_of(one) == b"by the proxy"
        await one.aclose()
    assert proxy.heads[0].startswith("POST http://far.example/v1/x HTTP/1.1\r\nHost: far.example\r\n")


async def test_a_proxy_that_refuses(proxied: Callable[[str], None]) -> None:
    proxy = Proxy(refuses=True)
    async with raw_server(proxy.serve) as address:
        proxied(address.replace("ws:", "http:"))
        found = await fault("https://far.example/v1")
    assert "the proxy 127.0.0.1 answers HTTP 407" in found.message


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "gopher://x", "http://", "http://x:port"])
def test_a_proxy_that_can_not_be_used(url: str, proxied: Callable[[str], None]) -> None:
    proxied(url)
    with pytest.raises(VoiceBridgeError, match="proxy") as caught:
        HttpApi("https://far.example/v1", headers={}, idle_s=30)
    assert caught.value.fault.code == "bad_proxy"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_no_proxy_is_asked_for_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    assert http_proxy.HttpProxy.for_url(f"http://{host}:8000/v1") is None
    assert http_proxy.HttpProxy.for_url("http://far.example/v1") is not None
    monkeypatch.setenv("no_proxy", "far.example")
    assert http_proxy.HttpProxy.for_url("http://far.example/v1") is None
