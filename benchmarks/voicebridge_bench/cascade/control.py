"""What the benchmark itself asks of a simulator, by bare sockets: which turn begins, and how far away it is."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlsplit

__all__ = ["round_trips_ms", "tell_turn"]

_PAUSE_S = 0.02


async def tell_turn(board: str, key: str, number: int) -> None:
    """Tell a simulator which turn of a caller begins.

    Raises:
        RuntimeError: it did not take it.
    """
    address = urlsplit(board)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = json.dumps({"caller": key, "turn": number}).encode()
    head = (
        f"PUT /simulator/turn HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    try:
        answer = await reader.readline()
        if b" 20" not in answer:
            raise RuntimeError(f"The simulator did not take the turn: {answer.decode('latin-1').strip()}")
    finally:
        writer.close()


async def round_trips_ms(url: str, count: int) -> list[float]:
    """How long the smallest request over an open connection takes to be answered, so often."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    asked = f"GET /simulator/turns?caller=nobody HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    found = []
    try:
        for number in range(count + 1):
            began = time.monotonic()
            writer.write(asked)
            await reader.readuntil(b"\r\n\r\n")  # the body is empty
            if number:  # the first one waits for the connection
                found.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(_PAUSE_S)
    finally:
        writer.close()
    return found
