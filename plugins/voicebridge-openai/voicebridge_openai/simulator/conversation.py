"""The default conversation: its items in order, with what audio they hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .protocol_error import ProtocolError

__all__ = ["Conversation", "Entry"]


@dataclass(slots=True, kw_only=True)
class Entry:
    """An item, and what the client is not shown."""

    item: dict[str, Any]
    audio_ms: float = 0.0
    """Of user audio; of assistant audio that was produced and is still part of the conversation."""
    made_ms: float = 0.0
    """Of assistant audio that was produced, whatever was forgotten of it since."""
    made_text: str = ""
    """What a response said or wrote, likewise."""
    heard: str = ""
    """What was said, also where the transcript is gone or not told."""

    @property
    def id(self) -> str:
        """Of the item."""
        return str(self.item["id"])


class Conversation:
    """Items in order."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def last_id(self) -> str | None:
        """The item that a new one would follow."""
        return self._entries[-1].id if self._entries else None

    def previous_id(self, item_id: str) -> str | None:
        """The item before this one."""
        index = self._index(item_id)
        return self._entries[index - 1].id if index is not None and index > 0 else None

    def entry(self, item_id: Any) -> Entry | None:
        """The item of that id, if there is one."""
        index = self._index(item_id)
        return None if index is None else self._entries[index]

    def add(self, entry: Entry, previous_item_id: Any = None) -> str | None:
        """Put an item at the end, or behind another one; `root` is the beginning. Gives the id before it.

        Raises:
            ProtocolError: its id is taken, the one before does not exist, or it answers a call that nobody made.
        """
        if self._index(entry.id) is not None:
            message = f"Error adding item: an item with id '{entry.id}' already exists in the conversation."
            raise ProtocolError("item_create_duplicate_id", message, "item.id")
        self._check_call(entry.item)
        where = self._place_after(previous_item_id)
        self._entries.insert(where, entry)
        return self._entries[where - 1].id if where else None

    def delete(self, item_id: Any) -> None:
        """Take an item out.

        Raises:
            ProtocolError: there is none of that id.
        """
        index = self._index(item_id)
        if index is None:
            raise _unknown("delete", item_id)
        del self._entries[index]

    def retrieve(self, item_id: Any) -> dict[str, Any]:
        """An item.

        Raises:
            ProtocolError: there is none of that id.
        """
        entry = self.entry(item_id)
        if entry is None:
            raise _unknown("retrieve", item_id)
        return entry.item

    def truncate(self, item_id: Any, content_index: Any, audio_end_ms: Any) -> None:
        """Forget what an assistant's message says from there on. Its transcript goes: nobody knows what was heard.

        Raises:
            ProtocolError: there is no such audio, or it is shorter.
        """
        entry = self.entry(item_id)
        if entry is None:
            raise _unknown("truncate", item_id)
        if isinstance(audio_end_ms, bool) or not isinstance(audio_end_ms, int) or audio_end_ms < 0:
            message = "Invalid 'audio_end_ms': expected an integer of at least 0."
            raise ProtocolError("invalid_value", message, "audio_end_ms")
        content = entry.item.get("content") or []
        speaks = entry.item.get("role") == "assistant" and content and content[0]["type"] == "output_audio"
        # Also where the response has not come to its first audio: its item is empty then.
        if not speaks or entry.audio_ms <= 0:
            message = "Only model output audio messages can be truncated"
            raise ProtocolError("unsupported_content_type", message, "item_id")
        if content_index != 0:
            raise ProtocolError("invalid_value", f"There is no content part {content_index!r}.", "content_index")
        if audio_end_ms > int(entry.audio_ms):
            message = f"Audio content of {int(entry.audio_ms)}ms is already shorter than {audio_end_ms}ms"
            raise ProtocolError("invalid_value", message, "audio_end_ms")
        share = audio_end_ms / entry.audio_ms
        entry.heard = entry.heard[: round(len(entry.heard) * share)]
        entry.audio_ms = float(audio_end_ms)
        content[0]["transcript"] = None

    def _check_call(self, item: dict[str, Any]) -> None:
        if item["type"] != "function_call_output":
            return
        known = {one.item["call_id"] for one in self._entries if one.item["type"] == "function_call"}
        if item["call_id"] not in known:
            message = f"Tool call ID '{item['call_id']}' not found in conversation."
            raise ProtocolError("invalid_tool_call_id", message, "item.call_id")

    def _place_after(self, item_id: Any) -> int:
        if item_id is None:
            return len(self._entries)
        if item_id == "root":
            return 0
        index = self._index(item_id)
        if index is None:
            message = f"Previous item with id '{item_id}' not found in the conversation."
            raise ProtocolError("item_create_invalid_previous_item_id", message, "previous_item_id")
        return index + 1

    def _index(self, item_id: Any) -> int | None:
        return next((index for index, entry in enumerate(self._entries) if entry.id == item_id), None)


def _unknown(action: str, item_id: Any) -> ProtocolError:
    message = f"Error: item with id '{item_id}' not found in the conversation."
    return ProtocolError(f"item_{action}_invalid_item_id", message, "item_id")
