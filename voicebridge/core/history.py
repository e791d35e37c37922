"""The conversation as both sides know it: append-only, answers cut to what was heard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem

from .history_record import Record

__all__ = ["History"]


@dataclass(slots=True)
class _Entry:
    place: int
    item: Item
    key: str | None = None
    """Of a user's turn, a response or a command: by what it is found again."""
    said: str = ""
    """All that the response said, of which `item` holds what was heard."""
    heard: bool = False
    heard_ms: float | None = None

    def record(self) -> Record:
        return Record(place=self.place, key=self.key, item=self.item, said=self.said, heard_ms=self.heard_ms)


class History:
    """Items in the order in which they were said.

    An answer takes its place when its response starts and grows while it runs; `hear` cuts it afterwards. Empty
    answers hold their place but are not told.

    Args:
        items: how the conversation began. Records are what a store has of it: they come before all else, keep their
            places, are not told by `changed`, and nothing changes them any more.
    """

    def __init__(self, items: Iterable[Item | Record] = ()) -> None:
        self._entries: dict[int, _Entry] = {}
        """By place, in their order."""
        self._next = 0
        self._keyed: dict[str, list[_Entry]] = {}
        """Turns and commands."""
        self._responses: dict[str, _Entry] = {}
        self._last_response: _Entry | None = None
        self._changed: dict[int, str | None] = {}
        """Places that `changed` has not told, with their keys."""
        self.last_heard: str | None = None
        """What was heard of the last answer, if that was cut; for models that remember by themselves."""
        self._begin(list(items))

    def _begin(self, items: list[Item | Record]) -> None:
        known = [item for item in items if isinstance(item, Record)]
        for record in sorted(known, key=lambda record: record.place):
            self._next = record.place + 1
            if record.item is not None:
                self._entries[record.place] = _Entry(record.place, record.item)
        for item in items:
            if not isinstance(item, Record):
                self._add(item)

    def append(self, item: Item) -> None:
        """Add an item that nothing will change."""
        self._add(item)

    def open_turn(self, turn_id: str) -> None:
        """Give a turn of the user its place. What was said may be known long after it was answered."""
        self.place(turn_id, MessageItem(role="user", text=""))

    def write_down(self, turn_id: str, text: str) -> None:
        """What the user said in a turn, as far as is known. Ignored if the turn was never opened."""
        for entry in reversed(self._keyed.get(turn_id, ())):
            if isinstance(entry.item, MessageItem):
                entry.item = replace(entry.item, text=text)
                self._touch(entry)
                return

    def place(self, command_id: str, item: Item) -> None:
        """Add an item that `withdraw` may take back."""
        self._keyed.setdefault(command_id, []).append(self._add(item, command_id))

    def withdraw(self, key: str) -> None:
        """Take back the item of a command or a turn: it is none of the conversation."""
        for entry in self._keyed.pop(key, ()):
            self._take_out(entry)

    def withdraw_last(self, key: str) -> None:
        """Take back the last item of that key alone, for keys that come again."""
        if placed := self._keyed.get(key):
            self._take_out(placed.pop())

    def open_response(self, response_id: str) -> None:
        """Give a response its place."""
        entry = self._add(MessageItem(role="assistant", text=""), response_id)
        self._responses[response_id] = self._last_response = entry
        self.last_heard = None

    def say(self, response_id: str, delta: str) -> None:
        """The response says more. Ignored if it was never opened: an aside is in no history."""
        if (entry := self._responses.get(response_id)) and isinstance(entry.item, MessageItem):
            entry.said += delta
            if not entry.heard:
                entry.item = replace(entry.item, text=entry.said)
            self._touch(entry)

    def said(self, response_id: str) -> str:
        """All that the response said, heard or not."""
        return entry.said if (entry := self._responses.get(response_id)) else ""

    def text(self, response_id: str) -> str:
        """What the history holds of the response: what was heard of it, as far as that is known."""
        item = entry.item if (entry := self._responses.get(response_id)) else None
        return item.text if isinstance(item, MessageItem) else ""

    def hear(self, response_id: str, text: str, heard_ms: float | None = None) -> None:
        """Keep only `text` of the response, whatever it still says. Empty text leaves nothing of it.

        Args:
            heard_ms: milliseconds of its audio in which that was heard, where known.
        """
        if (entry := self._responses.get(response_id)) and isinstance(entry.item, MessageItem):
            cut = text.strip() != entry.said.strip()
            entry.item, entry.heard = replace(entry.item, text=text, interrupted=cut), True
            entry.heard_ms = heard_ms
            self._touch(entry)
            if entry is self._last_response:
                self.last_heard = text if cut else None

    def hear_all(self, response_id: str) -> None:
        """All of the response was heard, whatever was thought before."""
        if (entry := self._responses.get(response_id)) and entry.heard:
            self.hear(response_id, entry.said)

    def changed(self) -> list[Record]:
        """What is new, was changed or was withdrawn since the last call, in the order of places: for a store."""
        changed, self._changed = self._changed, {}
        return [
            entry.record() if (entry := self._entries.get(place)) else Record(place=place, key=key, item=None)
            for place, key in sorted(changed.items())
        ]

    def items(self, *, placeholders: bool = False, without: Collection[str] = ()) -> tuple[Item, ...]:
        """What was said, each call followed by its result, if that is known.

        Args:
            without: keys of turns and commands that are left out.
            placeholders: give a result to calls that have none yet. For prompts: models refuse a call without a
                result. A backend that is seeded must not have them: to it the call would be answered.
        """
        results = self._results()
        told: list[Item] = []
        calls: list[tuple[int, str]] = []
        """Those whose results come next, by place and id."""
        for entry in self._entries.values():
            item = entry.item
            if entry.key in without:
                continue
            if isinstance(item, ToolCallItem):
                calls.append((entry.place, item.call_id))
                told.append(item)
                continue
            told += _answers(calls, results, placeholders)
            calls.clear()
            if isinstance(item, MessageItem) and (item.text or item.images):
                told.append(item)
        return (*told, *_answers(calls, results, placeholders))

    def open_calls(self) -> tuple[str, ...]:
        """The ids of calls without a result, one for each such call."""
        results = self._results()
        return tuple(
            entry.item.call_id
            for place, entry in self._entries.items()
            if isinstance(entry.item, ToolCallItem) and place not in results
        )

    def _results(self) -> dict[int, ToolResultItem]:
        """Each call's result, by the call's place: ids may come again, and a result is that of the last call of its id
        that waited for one."""
        results: dict[int, ToolResultItem] = {}
        waiting: dict[str, list[int]] = {}
        for place, entry in self._entries.items():
            if isinstance(entry.item, ToolCallItem):
                waiting.setdefault(entry.item.call_id, []).append(place)
            elif isinstance(entry.item, ToolResultItem) and (places := waiting.get(entry.item.call_id)):
                results[places.pop()] = entry.item
        return results

    def _take_out(self, entry: _Entry) -> None:
        del self._entries[entry.place]
        self._touch(entry)

    def _add(self, item: Item, key: str | None = None) -> _Entry:
        entry = self._entries[self._next] = _Entry(self._next, item, key)
        self._next += 1
        self._touch(entry)
        return entry

    def _touch(self, entry: _Entry) -> None:
        self._changed[entry.place] = entry.key


def _answers(
    calls: Iterable[tuple[int, str]], known: Mapping[int, ToolResultItem], placeholders: bool
) -> list[ToolResultItem]:
    results = [known.get(place) or (_working(call_id) if placeholders else None) for place, call_id in calls]
    return [result for result in results if result is not None]


def _working(call_id: str) -> ToolResultItem:
    return ToolResultItem(call_id=call_id, output="The tool is still working; its result will follow.")
