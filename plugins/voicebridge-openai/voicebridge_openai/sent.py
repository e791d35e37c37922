"""Frames on the wire whose fate is still to come, each with the command that it belongs to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from .conversation_items import kind_of

__all__ = ["LONGEST_ID", "Sent", "SentFrames", "What", "as_json"]

What = Literal["cancel", "clear", "commit", "cut", "delete", "item", "provider", "update"]
LONGEST_ID = 200
"""Characters of a command's id that its frames carry: the wire takes 512 of a metadata value."""
_REMEMBERED = 1000
"""Frames, beyond those of the opening, of which a server may never speak again; the oldest are forgotten."""


def as_json(frame: Mapping[str, Any]) -> str:
    """A frame as text. Half a surrogate pair, as in a text that was cut in the middle of a character, becomes a "?"."""
    try:
        return orjson.dumps(frame).decode()
    except TypeError:
        return json.dumps(frame, ensure_ascii=False).encode("utf-8", "replace").decode()


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame of ours."""

    what: What
    command_id: str | None
    """None: of the opening, or an answer of the codec's own."""
    about: Any = None
    """A response, an item, or a turn: what the vendor's answer names, or what is needed when it refuses."""


class SentFrames:
    """Gives each frame an id that carries its command's, and finds it again when the vendor answers."""

    def __init__(self) -> None:
        self._frames: dict[str, Sent] = {}
        self._count = 0
        self._room = math.inf
        self._keeps_ids = False
        """Whether the server was seen to call an item as we do."""

    def write(self, what: What, command_id: str | None, frame: Mapping[str, Any], about: Any = None) -> str:
        """The frame, with its id."""
        self._count += 1
        event_id = f"{(command_id or 'session')[:LONGEST_ID]}.{what}{self._count}"
        self._frames[event_id] = Sent(what, command_id, about)
        if len(self._frames) > self._room:
            del self._frames[next(iter(self._frames))]
        return as_json({**frame, "event_id": event_id})

    def write_item(self, command_id: str | None, item: Mapping[str, Any]) -> str:
        """The frame that adds an item, under a name by which its acknowledgement is known."""
        named = {"id": f"vb{self._count + 1}", **item}
        return self.write("item", command_id, {"type": "conversation.item.create", "item": named}, named)

    def opened(self) -> None:
        """What was written so far is the opening, however long: it is not forgotten for what follows."""
        self._room = len(self._frames) + _REMEMBERED

    def take(self, event_id: object) -> Sent | None:
        """The frame that an error names. It is answered with that."""
        return self._frames.pop(event_id, None) if isinstance(event_id, str) else None

    def take_oldest(self, what: What, about: Any = None) -> Sent | None:
        """The oldest frame of that sort, or of that sort about that thing."""
        return self._take_first(what, lambda sent: about is None or sent.about == about)

    def take_item(self, item: Mapping[str, Any]) -> Sent | None:
        """The frame that added this item: the one that named it so.

        A server that gives names of its own acknowledges in order: there it is the oldest of that kind.
        """
        named = self._take_first("item", lambda sent: sent.about.get("id") == item.get("id"))
        self._keeps_ids = self._keeps_ids or named is not None
        if named is not None or self._keeps_ids:
            return named
        kind = kind_of(item)
        return self._take_first("item", lambda sent: kind_of(sent.about) == kind)

    def _take_first(self, what: What, fits: Callable[[Sent], bool]) -> Sent | None:
        for event_id, sent in self._frames.items():
            if sent.what == what and fits(sent):
                return self._frames.pop(event_id)
        return None
