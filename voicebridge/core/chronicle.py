"""A conversation written down from the outside: by its commands and events alone, whatever the backend is."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from voicebridge.contract.commands import Command, SendText, SendToolResult
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseStarted,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem

from .history import History
from .history_record import Record

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

    Args:
        items: how the conversation began; records of a store, where it goes on (see `History`).
    """

    def __init__(self, items: Iterable[Item | Record] = ()) -> None:
        self._history = History(items)
        self.earlier_calls = frozenset(i.call_id for i in self._history.items() if isinstance(i, ToolCallItem))
        """Ids of calls in how it began. Calls that follow need other ones."""
        self._turns: set[str] = set()
        self._left_out: set[str] = set()
        """Commands whose text is for one connection alone."""

    def items(self, *, without: Collection[str] = ()) -> tuple[Item, ...]:
        """What a new backend should know. A call whose result is still to come has none.

        Args:
            without: turns that it will be told in another way.
        """
        return self._history.items(without=without)

    def heard(self, response_id: str) -> str:
        """What was heard of a response, as far as is known; else what it said."""
        return self._history.text(response_id)

    def changed(self) -> list[Record]:
        """What is new, was changed or was withdrawn since the last call: for a store."""
        return self._history.changed()

    def withdraw(self, key: str) -> None:
        """A command was not taken, or a turn will be told in another way."""
        self._history.withdraw(key)

    def leave_out(self, command_id: str) -> None:
        """The text of this command tells one connection what the next one will know by itself."""
        self._left_out.add(command_id)

    def sent(self, command: Command) -> None:
        """A command was given."""
        if command.id in self._left_out:
            return
        if isinstance(command, SendText):
            self._history.place(command.id, MessageItem(role=command.role, text=command.text, images=command.images))
        elif isinstance(command, SendToolResult):
            result = ToolResultItem(call_id=command.call_id, output=command.output, is_error=command.is_error)
            self._history.place(command.id, result)

    def happened(self, event: Event) -> None:
        """Something was told."""
        if type(event) is OutputAudio:  # fifty times a second: nothing below is about it
            return
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
            whole = event.text_basis == "whole" and event.heard_ms > 0
            text = self._history.said(event.response_id) if whole else event.text
            self._history.hear(event.response_id, text, event.heard_ms)
        elif isinstance(event, ToolCall):
            call = ToolCallItem(call_id=event.call_id, name=event.name, arguments=event.arguments)
            self._history.place(_key(event.call_id), call)
        elif isinstance(event, ToolCallCancelled):
            self._history.withdraw_last(_key(event.call_id))
        elif isinstance(event, CommandSettled):
            self._left_out.discard(event.command_id)
            if event.fault is not None:
                self._history.withdraw(event.command_id)

    def _open_turn(self, turn_id: str) -> None:
        if turn_id not in self._turns:
            self._turns.add(turn_id)
            self._history.open_turn(turn_id)


def _key(call_id: str) -> str:
    """Vendors name calls, the application commands: one may sound like the other."""
    return f"call {call_id}"
