"""What the parts of one session share: its settings, its conversation, its voice, and the way to the client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from voicebridge.testing.simulator.profile import StageDraws
from voicebridge.testing.simulator.turn_log import TurnLog, TurnRecord
from voicebridge.testing.simulator.voice import Voice

from .conversation import Conversation, Entry
from .options import WireOptions
from .outbox import Outbox
from .session_state import SessionState
from .usage import Meter

__all__ = ["Stage", "stamp"]


@dataclass(slots=True, kw_only=True)
class Stage:
    """See above."""

    number: int
    """Of the connection."""
    outbox: Outbox
    session: SessionState
    conversation: Conversation
    conversation_id: str
    options: WireOptions
    voice: Voice
    meter: Meter
    draws: StageDraws
    log: TurnLog
    turns: int = 0
    """Responses begun so far."""

    async def add_item(self, entry: Entry, previous_item_id: Any = None) -> None:
        """Put an item that is complete into the conversation, and tell it.

        Raises:
            ProtocolError: see `Conversation.add`.
        """
        before = self.conversation.add(entry, previous_item_id)
        await self.outbox.send("conversation.item.added", previous_item_id=before, item=entry.item)
        await self.outbox.send("conversation.item.done", previous_item_id=before, item=entry.item)

    def new_record(self, cause: str) -> TurnRecord:
        """For the log, of a turn that begins."""
        return TurnRecord(connection=self.number, cause=cause, profile=self.draws.profile.name)


def stamp(record: TurnRecord, name: str) -> None:
    """Note that this happens now."""
    record.stamps[name] = asyncio.get_running_loop().time()
