"""How much of a conversation a backend can be started with."""

from __future__ import annotations

from collections.abc import Sequence

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem

__all__ = ["beyond_limits"]


def beyond_limits(items: Sequence[Item], can: Capabilities) -> int:
    """How many of the oldest items must be left out.

    What is left keeps to `seed_max_items` and `seed_max_bytes` (bytes of text, names and arguments in UTF-8), begins
    with something that the user said where there is any, and has no result of a tool without its call.
    """
    first = max(0, len(items) - can.seed_max_items) if can.seed_max_items is not None else 0
    if can.seed_max_bytes is not None:
        left = can.seed_max_bytes
        for place in range(len(items) - 1, first - 1, -1):
            left -= _size(items[place])
            if left < 0:
                first = place + 1
                break
    if not first:
        return 0
    places = range(first, len(items))
    asked = (n for n in places if isinstance(one := items[n], MessageItem) and one.role == "user")
    whole = (n for n in places if not isinstance(items[n], ToolResultItem))
    return next(asked, next(whole, len(items)))


def _size(item: Item) -> int:
    if isinstance(item, ToolCallItem):
        return _bytes(item.name) + _bytes(item.arguments)
    return _bytes(item.output if isinstance(item, ToolResultItem) else item.text)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
