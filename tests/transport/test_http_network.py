"""The network below requests: addresses that lead nowhere, TLS, and proxies."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.transport import http_address, http_proxy
from voicebridge.transport.http import HttpApi, HttpCall, HttpTimeouts
from voicebridge.transport.tcp import tls_context

from .peers import free_port, raw_server
from .web import KEY, Asked, Raw, all_of, answering, chunked, fault, plain, web

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
