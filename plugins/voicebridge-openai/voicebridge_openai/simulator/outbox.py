"""Server events on their way out: each gets its id, becomes JSON, and goes to the link."""

from __future__ import annotations

from typing import Any

import orjson

from voicebridge.testing.simulator.wire import Link

from .identifiers import Identifiers
from .protocol_error import ProtocolError

__all__ = ["Outbox"]


class Outbox:
    """What every part of a session sends through."""

    def __init__(self, link: Link, identifiers: Identifiers) -> None:
        self.identifiers = identifiers
        self._link = link

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event of that type."""
        event = {"type": kind, "event_id": self.identifiers.new("event"), **fields}
        await self._link.send(kind, orjson.dumps(event).decode())

    async def error(self, error: ProtocolError, client_event_id: Any = None) -> None:
        """Send an `error` event; `client_event_id` is of the event that it answers."""
        await self.send(
            "error",
            error={
                "type": error.kind,
                "code": error.code,
                "message": error.message,
                "param": error.param,
                "event_id": client_event_id if isinstance(client_event_id, str) else None,
            },
        )
