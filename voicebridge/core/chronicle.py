"""A conversation written down from the outside: by its commands and events alone, whatever the backend is."""

from __future__ import annotations

from collections.abc import Iterable

from voicebridge.contract.commands import Command, SendText, SendToolResult
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputHeard,
    OutputText,
    ResponseStarted,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem

from .history import History

__all__ = ["Chronicle"]


class Chronicle:
    """Keeps the history of a session that can be started again with it.

    told                       written
    a turn is committed        its place; the words when they are known, however late
    a response starts          its place; asides get none
    text is spoken or written  to it; thoughts are not
    it was heard so far        only that of it
    a text or tool result      when it is sent; taken back if the command fails
    a tool is called           at once, with or without a result; taken back if the call is
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._history = History(items)
        self._turns: set[str] = set()

    def items(self) -> tuple[Item, ...]:
        """What a new backend should know. A call whose result is still to come has none."""
        return self._history.items()

    def withdraw(self, key: str) -> None:
        """A command was not taken, or a turn will be told in another way."""
        self._history.withdraw(key)

    def sent(self, command: Command) -> None:
        """A command was given."""
        if isinstance(command, SendText):
            self._history.place(command.id, MessageItem(role=command.role, text=command.text, images=command.images))
        elif isinstance(command, SendToolResult):
            result = ToolResultItem(call_id=command.call_id, output=command.output, is_error=command.is_error)
            self._history.place(command.id, result)

    def happened(self, event: Event) -> None:
        """Something was told."""
        if isinstance(event, OutputText):
            if event.kind != "thought":
                self._history.say(event.response_id, event.delta)
        elif isinstance(event, InputTranscript):
            self._open_turn(event.turn_id)
            self._history.write_down(event.turn_id, event.text)
        elif isinstance(event, UserTurn):
            if event.phase == "committed":
                self._open_turn(event.turn_id)
            elif event.phase == "discarded":
                self._turns.add(event.turn_id)  # nor does text that still comes count
                self._history.withdraw(event.turn_id)
        elif isinstance(event, ResponseStarted):
            if not event.aside:
                self._history.open_response(event.response_id)
        elif isinstance(event, OutputHeard):
            self._history.hear(event.response_id, event.text)
        elif isinstance(event, ToolCall):
            call = ToolCallItem(call_id=event.call_id, name=event.name, arguments=event.arguments)
            self._history.place(_key(event.call_id), call)
        elif isinstance(event, ToolCallCancelled):
            self._history.withdraw(_key(event.call_id))
        elif isinstance(event, CommandSettled) and event.fault is not None:
            self._history.withdraw(event.command_id)

    def _open_turn(self, turn_id: str) -> None:
        if turn_id not in self._turns:
            self._turns.add(turn_id)
            self._history.open_turn(turn_id)


def _key(call_id: str) -> str:
    """Vendors name calls, the application commands: one may sound like the other."""
    return f"call {call_id}"
