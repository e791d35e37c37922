"""Whether the agent owes an answer: what a new connection must be asked for when the old one went down with it.

input                                            becomes
a turn is committed, and turns are answered      owed, to that turn
a command asks for a response                    owed, to that command
that command failed, or was withdrawn            not owed to it
an answer starts                                 given to all that it answers
it calls a tool                                  not owed: the tool's result asks for an answer
it ends lost                                     owed again, from where it was cut
it ends in another way                           not owed
the application interrupts; the user speaks      an answer that was cut is not gone on with
over a lost one
"""

from __future__ import annotations

from voicebridge.contract.commands import Command, EndTurn, Interrupt, Respond, SendText, SendToolResult
from voicebridge.contract.events import CommandSettled, Event, ResponseEnded, ResponseStarted, ToolCall, UserTurn

__all__ = ["AnswerDue"]


class AnswerDue:
    """Follows one session.

    Args:
        auto_respond: turns are answered without being asked for.
    """

    def __init__(self, *, auto_respond: bool) -> None:
        self.auto_respond = auto_respond
        self._owed: dict[str, None] = {}
        """The turns and commands that nobody has begun to answer."""
        self._running: set[str] = set()
        self.cut: str | None = None
        """The answer that was lost while it was given."""

    @property
    def owed(self) -> bool:
        """Whether somebody waits for an answer that nobody gives."""
        return bool(self._owed) or self.cut is not None

    def given(self, command: Command) -> None:
        """A connection took a command."""
        if isinstance(command, Interrupt):
            if command.response_id is None:
                self._owed.clear()
            if command.response_id in (None, self.cut):
                self.cut = None
        elif isinstance(command, Respond):
            if not command.aside:
                self._owed[command.id] = None
        elif isinstance(command, SendText | SendToolResult | EndTurn) and command.respond:
            self._owed[command.id] = None

    def withdraw(self, key: str) -> None:
        """A command was not taken after all; or a turn will be heard, and answered, as another one."""
        self._owed.pop(key, None)

    def happened(self, event: Event) -> None:
        """Something was told."""
        if isinstance(event, UserTurn):
            if event.phase == "speech":
                self.cut = None
            elif event.phase == "committed" and self.auto_respond and event.source != "client":
                self._owed[event.turn_id] = None
        elif isinstance(event, CommandSettled):
            if event.fault is not None:
                self.withdraw(event.command_id)
        elif isinstance(event, ResponseStarted):
            if not event.aside:
                # Requests are merged, and not every wire says what an answer answers: it is the answer to all.
                self._owed.clear()
                self.cut = None
                self._running.add(event.response_id)
        elif isinstance(event, ToolCall):
            self._running.discard(event.response_id)
        elif isinstance(event, ResponseEnded) and event.response_id in self._running:
            self._running.discard(event.response_id)
            if event.status == "lost":
                self.cut = event.response_id

    def asked(self) -> None:
        """A connection was asked for what was owed."""
        self._owed.clear()
        self.cut = None
