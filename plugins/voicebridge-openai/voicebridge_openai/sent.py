"""Frames on the wire whose fate is still to come, each with the command that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

__all__ = ["LONGEST_ID", "Sent", "SentFrames", "What", "as_json"]

What = Literal["cancel", "clear", "commit", "cut", "item", "provider", "update"]
LONGEST_ID = 200
"""Characters of a command's id that its frames carry: the wire takes 512 of a metadata value."""
_REMEMBERED = 1000
"""Frames of which a server may never speak again; the oldest are forgotten."""


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
    """A response, an item, its kind, a turn, or the settings before: what the vendor's answer names, or what is needed
    when it refuses."""


class SentFrames:
    """Gives each frame an id that carries its command's, and finds it again when the vendor answers."""

    def __init__(self) -> None:
        self._frames: dict[str, Sent] = {}
        self._count = 0

    def write(self, what: What, command_id: str | None, frame: Mapping[str, Any], about: Any = None) -> str:
        """The frame, with its id."""
        self._count += 1
        event_id = f"{(command_id or 'session')[:LONGEST_ID]}.{what}{self._count}"
        self._frames[event_id] = Sent(what, command_id, about)
        if len(self._frames) > _REMEMBERED:
            del self._frames[next(iter(self._frames))]
        return as_json({**frame, "event_id": event_id})

    def take(self, event_id: object) -> Sent | None:
        """The frame that an error names. It is answered with that."""
        return self._frames.pop(event_id, None) if isinstance(event_id, str) else None

    def take_oldest(self, what: What, about: Any = None) -> Sent | None:
        """The oldest frame of that sort, or of that sort about that thing."""
        for event_id, sent in self._frames.items():
            if sent.what == what and (about is None or sent.about == about):
                return self._frames.pop(event_id)
        return None

    def waits(self, what: What) -> bool:
        """Whether one of that sort is unanswered."""
        return any(sent.what == what for sent in self._frames.values())
