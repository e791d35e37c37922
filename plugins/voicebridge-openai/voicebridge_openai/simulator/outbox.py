"""Server events on their way out: each gets its id, becomes JSON, and goes to the link."""

from __future__ import annotations

from typing import Any

import orjson

from voicebridge.testing.simulator.wire import Link

from .dialects import ServerDialect
from .identifiers import Identifiers
from .protocol_error import ProtocolError

__all__ = ["Outbox"]


class Outbox:
    """What every part of a session sends through."""

    def __init__(self, link: Link, identifiers: Identifiers, dialect: ServerDialect) -> None:
        self.identifiers = identifiers
        self.dialect = dialect
        self._link = link

    async def send(self, kind: str, **fields: Any) -> None:
        """Send an event of that type, or by the name that it has in this dialect."""
        name = self.dialect.renamed.get(kind, kind)
        if name is None:
            return
        kind = name
        event = {"type": kind, "event_id": self.identifiers.new("event"), **fields}
        await self._link.send(kind, orjson.dumps(event).decode())

    async def error(self, error: ProtocolError, client_event_id: Any = None) -> None:
        """Send an `error` event; `client_event_id` is of the event that it answers."""
        in_type = self.dialect.code_in_type and error.code is not None
        await self.send(
            "error",
            error={
                "type": error.code if in_type else error.kind,
                "code": None if in_type else error.code,
                "message": error.message,
                "param": error.param,
                "event_id": client_event_id if isinstance(client_event_id, str) else None,
            },
        )
