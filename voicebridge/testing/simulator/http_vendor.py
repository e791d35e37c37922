"""A vendor that is asked in HTTP alone: what it shares with every other such vendor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .wire import HttpAnswer, HttpRequest, Link, Reply, Wire

__all__ = ["HttpVendor", "answer_json"]


class HttpVendor:
    """Is a `Vendor` that `Converses`: override `converse`, and `warm` where something must be loaded."""

    subprotocols: tuple[str, ...] = ()
    largest_frame: int = 1 << 16

    async def warm(self) -> None:
        """See `Vendor.warm`."""

    def refusal(self, request: HttpRequest) -> HttpAnswer | None:
        """No websocket is spoken here."""
        return HttpAnswer(status=404, body=b'{"error": "no websocket is spoken here"}')

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Never asked: `converse` is."""
        return HttpAnswer(status=404, body=b"{}")

    def wire(self, link: Link, request: HttpRequest) -> Wire:
        """Never asked: every handshake is refused."""
        raise NotImplementedError

    async def converse(self, request: HttpRequest, reply: Reply) -> None:
        """See `Converses.converse`."""
        raise NotImplementedError


async def answer_json(reply: Reply, value: Any, status: int = 200, headers: Mapping[str, str] = {}) -> None:
    """Answer with a value, whole: the head is `response` to a fault script, the body `body`."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    told = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
    await reply.start(status, told)
    await reply.send("body", body)
    await reply.end()
