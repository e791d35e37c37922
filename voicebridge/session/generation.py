"""Names and times of one connection among several, and those of the whole session."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from itertools import count
from typing import Any

from voicebridge.contract.commands import Command, Interrupt, ReportPlayed, SendToolResult
from voicebridge.contract.events import (
    Event,
    InputTranscript,
    OutputAudio,
    ResponseStarted,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)

__all__ = ["Generation"]

_LATER = re.compile(r"g\d+\.")
"""How names begin that a later connection's have in the whole session."""


class Generation:
    """One connection. The first one's names and times are left as they are, but for calls that are named as earlier
    ones were: backends that count their calls begin at one again in each process.

    Args:
        number: from 1 on.
        base_ms: milliseconds of the user's audio before the first sample that this connection hears.
        earlier_calls: names of calls in what was said before the session began.
    """

    def __init__(self, number: int, base_ms: float, earlier_calls: Collection[str] = ()) -> None:
        self.number = number
        self._base_ms = base_ms
        self._prefix = "" if number == 1 else f"g{number}."
        self._earlier_calls = earlier_calls
        self._renamed: dict[str, str] = {}
        """Calls that are named as earlier ones were: this connection's names, by those that they got."""
        self._calls: set[str] = set()
        self._turns: set[str] = set()
        """What the connection calls its turns: among the things that a response answers are also commands, whose names
        are the application's."""

    def sounds(self, event: OutputAudio) -> OutputAudio:
        """The same for a piece of an answer, fifty times a second: `replace` costs several times as much."""
        if self.number == 1:
            return event
        response_id = self._prefix + event.response_id
        return OutputAudio(at=event.at, response_id=response_id, pcm=event.pcm, offset_ms=event.offset_ms)

    def told(self, event: Event) -> Event:
        """The event in the names and times of the whole session."""
        if isinstance(event, OutputAudio):
            return self.sounds(event)
        if isinstance(event, ToolCall | ToolCallCancelled):
            return self._told_of_call(event)
        if self.number == 1:
            return event
        changes: dict[str, Any] = {}
        for field in ("response_id", "turn_id"):
            if name := getattr(event, field, None):
                changes[field] = self._prefix + name
        if isinstance(event, UserTurn | InputTranscript):
            self._turns.add(event.turn_id)
        if isinstance(event, UserTurn):
            changes["audio_ms"] = event.audio_ms + self._base_ms
        elif isinstance(event, ResponseStarted):
            changes["answers"] = tuple(self._prefix + one if one in self._turns else one for one in event.answers)
        return replace(event, **changes) if changes else event

    def _told_of_call(self, event: ToolCall | ToolCallCancelled) -> Event:
        name = self._prefix + event.call_id
        if isinstance(event, ToolCallCancelled):
            renamed = (other for other, own in self._renamed.items() if own == event.call_id)
            return replace(event, call_id=next(renamed, name))
        if name in self._earlier_calls:
            name = next(one for n in count(2) if (one := f"{name}@{n}") not in self._earlier_calls)
            self._renamed[name] = event.call_id
        self._calls.add(event.call_id)
        return replace(event, call_id=name, response_id=self._prefix + event.response_id)

    def has(self, response_id: str) -> bool:
        """Whether a response is this connection's."""
        return self._own(response_id) is not None and (self.number > 1 or not _LATER.match(response_id))

    def called(self, call_id: str) -> bool:
        """Whether a call, in this connection's names, was made by it. The first one may go on with an earlier
        conversation, calls and all."""
        return self.number == 1 or call_id in self._calls

    def addressed(self, command: Command) -> Command | None:
        """The command in this connection's names; None: all that it speaks of went down with another one."""
        if isinstance(command, ReportPlayed):
            own = self._own(command.response_id)
            return None if own is None else replace(command, response_id=own)
        if isinstance(command, SendToolResult):
            # A call of an earlier connection was told to this one under the name that it has in the whole session.
            own = self._renamed.get(command.call_id) or self._own(command.call_id)
            return command if own is None else replace(command, call_id=own)
        if not isinstance(command, Interrupt):
            return command
        heard = {own: ms for name, ms in command.heard.items() if (own := self._own(name)) is not None}
        if command.response_id is None:
            return replace(command, heard=heard)
        own = self._own(command.response_id)
        if own is None and not heard:
            return None
        # Named after no response of this connection: it stops none, and remembers what was heard.
        return replace(command, response_id=own or f"g0.{command.response_id}", heard=heard)

    def _own(self, name: str) -> str | None:
        """What this connection calls it; None: another connection's."""
        if self.number == 1:
            return name
        return name.removeprefix(self._prefix) if name.startswith(self._prefix) else None
