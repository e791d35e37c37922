"""The conversation as both sides know it: append-only, answers cut to what was heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem

__all__ = ["History"]


@dataclass(slots=True)
class _Entry:
    item: Item
    response_id: str | None = None
    key: str | None = None
    """Of a user's turn or a command: by what it is found again."""
    said: str = ""
    """All that the response said, of which `item` holds what was heard."""
    heard: bool = False


class History:
    """Items in the order in which they were said.

    An answer takes its place when its response starts and grows while it runs; `hear` cuts it afterwards. Empty
    answers hold their place but are not told.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._entries = [_Entry(item) for item in items]
        self.last_heard: str | None = None
        """What was heard of the last answer, if that was cut; for models that remember by themselves."""

    def append(self, item: Item) -> None:
        """Add an item that nothing will change."""
        self._entries.append(_Entry(item))

    def open_turn(self, turn_id: str) -> None:
        """Give a turn of the user its place. What was said may be known long after it was answered."""
        self._entries.append(_Entry(MessageItem(role="user", text=""), key=turn_id))

    def write_down(self, turn_id: str, text: str) -> None:
        """What the user said in a turn, as far as is known. Ignored if the turn was never opened."""
        for entry in reversed(self._entries):
            if entry.key == turn_id and isinstance(entry.item, MessageItem):
                entry.item = replace(entry.item, text=text)
                return

    def place(self, command_id: str, item: Item) -> None:
        """Add an item that `withdraw` may take back."""
        self._entries.append(_Entry(item, key=command_id))

    def withdraw(self, key: str) -> None:
        """Take back the item of a command or a turn: it is none of the conversation."""
        self._entries = [entry for entry in self._entries if entry.key != key]

    def open_response(self, response_id: str) -> None:
        """Give a response its place."""
        self._entries.append(_Entry(MessageItem(role="assistant", text=""), response_id))
        self.last_heard = None

    def say(self, response_id: str, delta: str) -> None:
        """The response says more. Ignored if it was never opened: an aside is in no history."""
        if (entry := self._of(response_id)) and isinstance(entry.item, MessageItem):
            entry.said += delta
            if not entry.heard:
                entry.item = replace(entry.item, text=entry.said)

    def said(self, response_id: str) -> str:
        """All that the response said, heard or not."""
        return entry.said if (entry := self._of(response_id)) else ""

    def hear(self, response_id: str, text: str) -> None:
        """Keep only `text` of the response, whatever it still says. Empty text leaves nothing of it."""
        if (entry := self._of(response_id)) and isinstance(entry.item, MessageItem):
            cut = text.strip() != entry.said.strip()
            entry.item, entry.heard = replace(entry.item, text=text, interrupted=cut), True
            if entry is next(other for other in reversed(self._entries) if other.response_id):
                self.last_heard = text if cut else None

    def hear_all(self, response_id: str) -> None:
        """All of the response was heard, whatever was thought before."""
        if (entry := self._of(response_id)) and entry.heard:
            self.hear(response_id, entry.said)

    def items(self, *, placeholders: bool = False) -> tuple[Item, ...]:
        """What was said, each call followed by its result, if that is known.

        Args:
            placeholders: give a result to calls that have none yet. For prompts: models refuse a call without a
                result. A backend that is seeded must not have them: to it the call would be answered.
        """
        results = {e.item.call_id: e.item for e in self._entries if isinstance(e.item, ToolResultItem)}
        told: list[Item] = []
        calls: list[ToolCallItem] = []
        for entry in self._entries:
            item = entry.item
            if isinstance(item, ToolCallItem):
                calls.append(item)
                told.append(item)
                continue
            told += _results(calls, results, placeholders)
            calls.clear()
            if isinstance(item, MessageItem) and (item.text or item.images):
                told.append(item)
        return (*told, *_results(calls, results, placeholders))

    def open_calls(self) -> tuple[str, ...]:
        """The ids of calls without a result."""
        items = self.items()
        answered = {item.call_id for item in items if isinstance(item, ToolResultItem)}
        return tuple(i.call_id for i in items if isinstance(i, ToolCallItem) and i.call_id not in answered)

    def _of(self, response_id: str) -> _Entry | None:
        return next((entry for entry in reversed(self._entries) if entry.response_id == response_id), None)


def _results(
    calls: Iterable[ToolCallItem], known: Mapping[str, ToolResultItem], placeholders: bool
) -> list[ToolResultItem]:
    results = [known.get(call.call_id) or (_working(call) if placeholders else None) for call in calls]
    return [result for result in results if result is not None]


def _working(call: ToolCallItem) -> ToolResultItem:
    return ToolResultItem(call_id=call.call_id, output="The tool is still working; its result will follow.")
