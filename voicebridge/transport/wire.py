"""A websocket, and the one border where other people's exceptions become what a codec understands: `Closed`.

The socket is set up for a live call: no compression (audio gains nothing and each connection would cost 40 KiB more),
no delay of small packets, small buffers, and a short wait for a peer that does not say goodbye.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from time import time
from typing import Literal, Protocol
from urllib.parse import urlsplit

import websockets.asyncio.client
import websockets.uri
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidStatus, InvalidURI
from websockets.protocol import State
from websockets.typing import Subprotocol

from voicebridge.contract.codec import Closed, Endpoint, Frame
from voicebridge.contract.errors import ConfigError

from .headers import TOKEN, check_headers
from .secrets import Secrets
from .tcp import connection_problem, is_this_machine, tls_context

__all__ = ["Dial", "Wire", "WireClosed", "dial", "retry_after"]

_SEND_BUFFER_BYTES = 64 * 1024
"""Half a second of 24 kHz PCM16 in base64 would do; Linux doubles the figure for its own needs."""
_WRITE_LIMIT_BYTES = 16 * 1024
_GOODBYE_S = 0.5
_BODY_BYTES = 16 * 1024
_BODY_CHARS = 500
_log = logging.getLogger("voicebridge.wire")
# At DEBUG the library writes down every header of the handshake, and with it the key. A level could be lowered by
# whoever sets up logging; a filter stays.
_log.addFilter(lambda record: record.levelno >= logging.INFO)


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

    def send_now(self, frame: Frame) -> bool:
        """Write a frame if that takes no waiting: whether it was written. What has to wait goes by `send`."""

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""

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
        ConfigError: the address is none, or a key holds what no key does.
    """
    _check(endpoint)
    try:
        connection = await _Connect(
            _whole(endpoint),
            additional_headers=dict(endpoint.headers),
            user_agent_header="voicebridge",
            subprotocols=[Subprotocol(one) for one in endpoint.subprotocols] or None,
            ssl=tls_context() if urlsplit(endpoint.url).scheme == "wss" else None,
            # A proxy would be shown the key in the clear on a way that never leaves this machine.
            proxy=None if is_this_machine(endpoint.url) else True,
            compression=None,
            max_size=endpoint.max_frame_bytes,
            write_limit=_WRITE_LIMIT_BYTES,
            open_timeout=None,
            ping_interval=None,
            close_timeout=_GOODBYE_S,
            create_connection=_Connection,
            logger=_log,
        )
    except (InvalidProxy, ImportError):
        raise ConfigError(
            "The proxy that the environment names can't be used. Check HTTPS_PROXY and ALL_PROXY; one of SOCKS needs "
            "`pip install python-socks`."
        ) from None
    except (OSError, InvalidHandshake, EOFError) as error:
        raise WireClosed(_refusal(error, endpoint)) from None
    tcp = connection.transport.get_extra_info("socket")
    if tcp is not None:
        with suppress(OSError):  # what is no TCP socket has no such buffers
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return _Websocket(connection, Secrets.of(endpoint))


class _Connection(ClientConnection):
    """Does not wait for a peer that has closed, or broken the protocol, to hang up as well."""

    _hangs_up = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        over = self.protocol.state in (State.CLOSING, State.CLOSED) or self.protocol.handshake_exc is not None
        if over and not self._hangs_up:
            self._hangs_up = True
            asyncio.get_running_loop().call_later(_GOODBYE_S, self.transport.abort)


class _Connect(websockets.asyncio.client.connect):
    """Follows no redirect: the other address would be sent the key."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


def _whole(endpoint: Endpoint) -> str:
    """The URL with its secret part."""
    if not endpoint.secret_query:
        return endpoint.url
    return f"{endpoint.url}{'&' if urlsplit(endpoint.url).query else '?'}{endpoint.secret_query}"


def _check(endpoint: Endpoint) -> None:
    """Refuse in words what the library would fail on, or send as it is."""
    try:
        websockets.uri.parse_uri(endpoint.url)
        urlsplit(endpoint.url).netloc.encode("idna")
    except (InvalidURI, ValueError):
        raise ConfigError(f"{endpoint.url!r} is no address of a websocket: it starts with ws:// or wss://.") from None
    check_headers(endpoint.headers)
    if not all(TOKEN.fullmatch(one) for one in endpoint.subprotocols):
        raise ConfigError("The key holds what none can, such as a space. Check that it was copied alone.")


class _Websocket:
    """A `Wire` over the `websockets` library."""

    def __init__(self, connection: ClientConnection, secrets: Secrets) -> None:
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

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""
        return self._connection.protocol.state is State.OPEN and not self._connection.transport.is_closing()

    def send_now(self, frame: Frame) -> bool:
        connection = self._connection
        if connection.protocol.state is not State.OPEN or connection.transport.get_write_buffer_size():
            return False
        broadcast((connection,), frame)  # the library's way to write without waiting, to one or to many
        return True

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


def _ending(error: ConnectionClosed, secrets: Secrets) -> Closed:
    """Who closed, and how. The class of the exception says neither: a session cap comes as a `ConnectionClosedOK`."""
    first = error.rcvd if error.rcvd and (error.rcvd_then_sent or not error.sent) else error.sent
    if first is None:
        return Closed(by="nobody", problem="reset")
    by: Literal["peer", "us"] = "peer" if first is error.rcvd else "us"
    return Closed(by=by, code=first.code, reason=secrets.scrubbed(first.reason))


def _refusal(error: Exception, endpoint: Endpoint) -> Closed:
    secrets, host = Secrets.of(endpoint), urlsplit(endpoint.url).netloc.rpartition("@")[2]
    if isinstance(error, InvalidStatus):
        response = error.response
        body = bytes(response.body or b"")[:_BODY_BYTES].decode("utf-8", "replace")
        return Closed(
            by="peer",
            status=response.status_code,
            body=secrets.scrubbed(body)[:_BODY_CHARS],  # in this order: a cut would leave half a key
            retry_after_s=retry_after(response.headers.get_all("Retry-After")),
        )
    if (problem := connection_problem(error, host)) is not None:
        return problem
    if isinstance(error, InvalidHandshake):
        cut_off = isinstance(error.__cause__, EOFError | ConnectionError)
        return Closed(by="nobody", problem="reset" if cut_off else "garbage", reason=host)
    return Closed(by="nobody", problem="reset", reason=secrets.scrubbed(getattr(error, "strerror", None) or host))


def retry_after(values: Sequence[str]) -> float | None:
    """The most seconds that they ask for; None where none of them is a number or a date."""
    return max((seconds for seconds in map(_seconds, values) if seconds is not None), default=None)


def _seconds(value: str) -> float | None:
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(value)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time())
    return None
