"""A recorded conversation in the order in which people tell it: a question, its whole answer, the next question.

Events come otherwise: the words of a user are often known when the answer is half given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from voicebridge.contract.commands import Command, SendText
from voicebridge.contract.errors import BadRecording
from voicebridge.contract.events import (
    InputTranscript,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.message import Message
from voicebridge.observe.recording import Line

__all__ = ["TurnOrder", "transcribed"]

_MOST = 500
"""Of what is held back. No conversation comes near it."""


def transcribed(lines: Iterable[Line]) -> frozenset[str]:
    """The ids of the turns whose words come at some time, as far as the recording can be read."""
    found: set[str] = set()
    try:
        for line in lines:
            if isinstance(line.message, InputTranscript) and line.message.final:
                found.add(line.message.turn_id)
    except BadRecording:
        pass  # said where it is read again
    return frozenset(found)


class TurnOrder:
    """Holds back what comes too early: an answer until its question is known, a question until the answer is given.

    Args:
        turns: those whose words will come, by their ids.
    """

    def __init__(self, turns: frozenset[str]) -> None:
        self._turns = turns
        self._unknown: set[str] = set()
        """Turns that are over, and whose words are to come."""
        self._held: deque[Message] = deque()
        self._responses: deque[str] = deque()
        """Those that are not shown to their end, the first one first."""
        self._awaited: dict[str, set[str]] = {}
        """By response: the turns whose words come before it."""
        self._open = False
        """The first response is shown in part."""

    def take(self, message: Message) -> Iterator[Message]:
        """Take what comes next; what may be shown now."""
        if isinstance(message, UserTurn) and message.phase == "committed" and message.turn_id in self._turns:
            self._unknown.add(message.turn_id)
        elif isinstance(message, InputTranscript) and message.final:
            self._turns -= {message.turn_id}
        elif isinstance(message, ResponseStarted):
            self._responses.append(message.response_id)
            self._awaited[message.response_id] = self._unknown | (self._turns & set(message.answers))
        self._held.append(message)
        yield from self._released()
        if len(self._held) > _MOST:
            yield from self.rest()

    def rest(self) -> Iterator[Message]:
        """What is still held back, at the end or where it is too much."""
        while self._held:
            message = self._held.popleft()
            self._note(message)
            yield message

    def _released(self) -> Iterator[Message]:
        shown = True
        while shown:
            shown = False
            for at, message in enumerate(self._held):
                if self._may_be_shown(message):
                    del self._held[at]
                    self._note(message)
                    yield message
                    shown = True
                    break

    def _may_be_shown(self, message: Message) -> bool:
        first = self._responses[0] if self._responses else None
        awaited = self._awaited[first] if first is not None else set()
        if isinstance(message, InputTranscript) and message.final:
            return not self._open and (not awaited or message.turn_id in awaited)
        if isinstance(message, SendText):
            return not self._open and not awaited
        if isinstance(message, OutputText | ToolCall | ResponseEnded):
            known = message.response_id in self._awaited
            return not awaited and (not known or message.response_id == first)
        return not (isinstance(message, Command) and awaited)

    def _note(self, message: Message) -> None:
        """What was shown changes what may be shown."""
        if isinstance(message, InputTranscript) and message.final:
            self._unknown.discard(message.turn_id)
            for awaited in self._awaited.values():
                awaited.discard(message.turn_id)
        elif isinstance(message, OutputText) and message.kind != "thought":
            self._open = True
        elif isinstance(message, ResponseEnded):
            self._open = False
            self._awaited.pop(message.response_id, None)
            if message.response_id in self._responses:
                self._responses.remove(message.response_id)
