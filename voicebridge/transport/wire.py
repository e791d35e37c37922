"""A websocket, and the one border where other people's exceptions become what a codec understands: `Closed`.

The socket is set up for a live call: no compression (audio gains nothing and each connection would cost 40 KiB more),
no delay of small packets, small buffers, and a short wait for a peer that does not say goodbye.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import time
from typing import Literal, Protocol
from urllib.parse import urlsplit

import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from voicebridge.contract.codec import Closed, Endpoint, Frame
from voicebridge.contract.errors import ConfigError

__all__ = ["Dial", "Wire", "WireClosed", "dial"]

_SEND_BUFFER_BYTES = 64 * 1024
"""Half a second of 24 kHz PCM16 in base64 would do; Linux doubles the figure for its own needs."""
_WRITE_LIMIT_BYTES = 16 * 1024
_GOODBYE_S = 0.5
_log = logging.getLogger("voicebridge.wire")
# At DEBUG the library writes down every header of the handshake, and with it the key.
_log.setLevel(logging.INFO)


class WireClosed(Exception):
    """The connection is over, or never came to be."""

    def __init__(self, closed: Closed) -> None:
        super().__init__(closed)
        self.closed = closed


class Wire(Protocol):
    """One open connection."""

    async def recv(self) -> Frame:
        """The next frame.

        Raises:
            WireClosed: there will be no more.
        """

    async def send(self, frame: Frame) -> None:
        """Write a frame; waits while the operating system takes no more.

        Raises:
            WireClosed: the connection is over.
        """

    async def ping(self) -> Awaitable[object]:
        """Write a ping. What it gives is done once the pong has come; it may be cancelled or fail when none will.

        Raises:
            WireClosed: the connection is over.
        """

    async def close(self) -> None:
        """Say goodbye, wait for the answer a moment, and let go."""


Dial = Callable[[Endpoint], Awaitable[Wire]]


async def dial(endpoint: Endpoint) -> Wire:
    """Open a connection. Takes as long as it takes: the caller bounds it.

    Raises:
        WireClosed: it was refused, or there was no way.
        ConfigError: the address is none.
    """
    try:
        connection = await websockets.asyncio.client.connect(
            endpoint.url,
            additional_headers=dict(endpoint.headers),
            user_agent_header="voicebridge",
            subprotocols=[Subprotocol(one) for one in endpoint.subprotocols] or None,
            ssl=_tls() if endpoint.url.startswith("wss:") else None,
            compression=None,
            max_size=endpoint.max_frame_bytes,
            write_limit=_WRITE_LIMIT_BYTES,
            open_timeout=None,
            ping_interval=None,
            close_timeout=_GOODBYE_S,
            logger=_log,
        )
    except InvalidURI:
        raise ConfigError(f"{endpoint.url!r} is no address of a websocket: it starts with ws:// or wss://.") from None
    except (OSError, InvalidHandshake, EOFError) as error:
        raise WireClosed(_refusal(error, endpoint)) from None
    tcp = connection.transport.get_extra_info("socket")
    if tcp is not None:
        with suppress(OSError):  # what is no TCP socket has no such buffers
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return _Websocket(connection, _secrets(endpoint))


class _Websocket:
    """A `Wire` over the `websockets` library."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection, secrets: tuple[str, ...]) -> None:
        self._connection = connection
        self._secrets = secrets

    async def recv(self) -> Frame:
        try:
            return await self._connection.recv()
        except ConnectionClosed as error:
            raise WireClosed(_ending(error, self._secrets)) from None

    async def send(self, frame: Frame) -> None:
        try:
            await self._connection.send(frame)
        except ConnectionClosed as error:
            raise WireClosed(_ending(error, self._secrets)) from None

    async def ping(self) -> Awaitable[object]:
        try:
            return await self._connection.ping()
        except ConnectionClosed as error:
            raise WireClosed(_ending(error, self._secrets)) from None

    async def close(self) -> None:
        try:
            async with asyncio.timeout(2 * _GOODBYE_S):
                await self._connection.close()
        except TimeoutError:
            self._connection.transport.abort()


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all connections: each costs 20 ms and 300 KB to make."""
    return ssl.create_default_context()


def _ending(error: ConnectionClosed, secrets: tuple[str, ...]) -> Closed:
    """Who closed, and how. The class of the exception says neither: a session cap comes as a `ConnectionClosedOK`."""
    first = error.rcvd if error.rcvd and (error.rcvd_then_sent or not error.sent) else error.sent
    if first is None:
        return Closed(by="nobody", problem="reset")
    by: Literal["peer", "us"] = "peer" if first is error.rcvd else "us"
    return Closed(by=by, code=first.code, reason=_scrubbed(first.reason, secrets))


def _refusal(error: Exception, endpoint: Endpoint) -> Closed:
    secrets, host = _secrets(endpoint), urlsplit(endpoint.url).netloc.rpartition("@")[2]
    if isinstance(error, InvalidStatus):
        response = error.response
        body = bytes(response.body or b"")[:500].decode("utf-8", "replace")
        return Closed(
            by="peer",
            status=response.status_code,
            body=_scrubbed(body, secrets),
            retry_after_s=_retry_after(response.headers.get("Retry-After")),
        )
    if isinstance(error, socket.gaierror):
        return Closed(by="nobody", problem="dns" if error.errno == socket.EAI_AGAIN else "no_such_host", reason=host)
    if isinstance(error, ssl.SSLError):
        return Closed(by="nobody", problem="tls", reason=f"{host}: {error.reason or 'failed'}")
    if isinstance(error, ConnectionRefusedError):
        return Closed(by="nobody", problem="refused", reason=host)
    if isinstance(error, TimeoutError):
        return Closed(by="nobody", problem="timeout", reason=host)
    if isinstance(error, InvalidHandshake):
        cut_off = isinstance(error.__cause__, EOFError | ConnectionError)
        return Closed(by="nobody", problem="reset" if cut_off else "garbage", reason=host)
    return Closed(by="nobody", problem="reset", reason=_scrubbed(getattr(error, "strerror", None) or host, secrets))


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def _secrets(endpoint: Endpoint) -> tuple[str, ...]:
    """What a server must not be quoted with: header values and their words."""
    values = [*endpoint.headers.values(), *endpoint.subprotocols]
    return tuple({word for value in values for word in (value, *value.split()) if len(word) >= 8})


def _scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    return text
