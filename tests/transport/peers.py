"""Servers that behave badly, on this machine's own address."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

import websockets
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from voicebridge.contract.codec import Closed, Endpoint, Frame
from voicebridge.transport.wire import Wire, WireClosed, dial

__all__ = ["closed", "dialled", "ending", "free_port", "hold", "raw_server", "refusal", "reset", "server", "websocket"]

Refusing = Callable[[ServerConnection, Request], Response | None]


@asynccontextmanager
async def server(
    handler: Callable[[ServerConnection], Awaitable[None]],
    refusing: Refusing | None = None,
    connection: type[ServerConnection] = ServerConnection,
) -> AsyncIterator[str]:
    """A websocket server; its address."""
    quick: dict[str, Any] = {"ping_interval": None, "close_timeout": 0.2, "max_queue": None, "compression": None}
    async with websockets.serve(
        handler, "127.0.0.1", 0, process_request=refusing, create_connection=connection, **quick
    ) as listening:
        yield f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/v1"


@asynccontextmanager
async def raw_server(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that may say anything; its address."""
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving[task] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    finally:
        listening.close()
        for task, writer in serving.items():
            task.cancel()
            writer.transport.abort()


async def websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Answer a handshake by hand. What was asked."""
    asked = await reader.readuntil(b"\r\n\r\n")
    key = next(line.split(b": ")[1] for line in asked.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = websockets.utils.accept_key(key.decode())
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    writer.write(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    return asked


def reset(writer: asyncio.StreamWriter | ServerConnection) -> None:
    """Cut the connection without a goodbye, not even of TCP."""
    sock = writer.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def free_port() -> int:
    """One on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def dialled(endpoint: Endpoint | str) -> AsyncIterator[Wire]:
    wire = await dial(Endpoint(url=endpoint) if isinstance(endpoint, str) else endpoint)
    try:
        yield wire
    finally:
        await wire.close()


async def closed(work: Awaitable[object]) -> Closed:
    """How the connection ended while this went on."""
    try:
        got = await work
    except WireClosed as error:
        return error.closed
    raise AssertionError(f"the connection did not end: {got!r}")


async def ending(wire: Wire) -> tuple[list[Frame], Closed]:
    """All that comes, and the end."""
    frames: list[Frame] = []
    while True:
        try:
            frames.append(await wire.recv())
        except WireClosed as error:
            return frames, error.closed


async def hold(connection: ServerConnection) -> None:
    await connection.wait_closed()


def refusal(status: int, headers: list[tuple[str, str]] | None = None, body: str = "no") -> Response:
    response = Response(status, HTTPStatus(status).phrase, websockets.Headers(headers or []), body.encode())
    response.headers["Content-Length"] = str(len(response.body or b""))
    return response
