"""What of a conversation is never written down: what was said or heard before that was allowed, and what had begun.

before it is allowed                    later, when it is
a turn, a response, a call, a command   nothing of it is kept, whatever still comes: words, corrections, audio, results
any record                              the same
"""

from __future__ import annotations

from collections.abc import Iterable

from voicebridge.contract.events import Event
from voicebridge.contract.items import ToolCallItem, ToolResultItem

from .history_record import Record

__all__ = ["LeftOut"]


class LeftOut:
    """Remembers it by its names and places. Is told all that happens while nothing may be written."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        """Of turns, responses and commands."""
        self._calls: set[str] = set()
        self._places: set[int] = set()

    def happened(self, event: Event) -> None:
        """Something was told."""
        for field in ("turn_id", "response_id"):
            if name := getattr(event, field, None):
                self._keys.add(name)

    def sent(self, command_id: str) -> None:
        """A command was given."""
        self._keys.add(command_id)

    def add(self, records: Iterable[Record]) -> None:
        """These were written until now."""
        for record in records:
            self._places.add(record.place)
            if record.key is not None:
                self._keys.add(record.key)
            if isinstance(record.item, ToolCallItem):
                self._calls.add(record.item.call_id)

    def has(self, key: str) -> bool:
        """Whether a turn or a response is left out."""
        return key in self._keys

    def without(self, records: Iterable[Record]) -> list[Record]:
        """The records that may be kept."""
        kept: list[Record] = []
        for record in records:
            if self._concerns(record):
                self.add([record])
            else:
                kept.append(record)
        return kept

    def _concerns(self, record: Record) -> bool:
        result = isinstance(record.item, ToolResultItem) and record.item.call_id in self._calls
        return result or record.place in self._places or record.key in self._keys
