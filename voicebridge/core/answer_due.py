"""Whether the agent owes an answer: what a new connection must be asked for when the old one went down with it.

input                                            becomes
a turn is committed, and turns are answered      owed, to that turn
a command asks for a response                    owed, to that command
that command failed, or was withdrawn            not owed to it
an answer starts                                 given to all: nothing is owed
it calls a tool                                  not owed: the tool's result asks for an answer
it ends lost                                     owed, from where it was cut
it ends in another way                           not owed
an answer starts to what is said beside          nothing
the turn is heard again that it answered         not owed to it: that turn is answered again (`begun`);
                                                 if turns are not answered by themselves, it is owed once
                                                 that turn is committed again
another connection takes over                    owed still, and that one has to be asked for it (`unasked`)
the application interrupts                       nothing is owed; of a named answer: that is not gone on with
the user speaks over a lost one                  it is not gone on with
"""

from __future__ import annotations

from voicebridge.contract.commands import Command, EndTurn, Interrupt, Respond, SendText, SendToolResult
from voicebridge.contract.events import CommandSettled, Event, ResponseEnded, ResponseStarted, ToolCall, UserTurn

__all__ = ["AnswerDue"]


class AnswerDue:
    """Follows one session, over all its connections.

    Args:
        auto_respond: turns are answered without being asked for.
    """

    def __init__(self, *, auto_respond: bool) -> None:
        self.auto_respond = auto_respond
        self._here: dict[str, None] = {}
        """The turns and commands that this connection has, and has not begun to answer."""
        self._before = False
        """An earlier connection had some."""
        self._running: set[str] = set()
        self._told: dict[str, Respond] = {}
        """Requests that say more than that an answer is wanted, until a response begins."""
        self._request: dict[str, Respond] = {}
        """Of the latest response, such a request that it answers."""
        self._beside: set[str] = set()
        """Commands that somebody asks for again by himself, and that answer nobody."""
        self.cut: str | None = None
        """The answer that was lost while it was given."""
        self.begun: str | None = None
        """Such an answer, to a turn that is heard again, and will be answered again."""
        self.turns_due = 0
        """Turns that this connection is still to commit before it can be asked: it hears them again."""

    @property
    def owed(self) -> bool:
        """Whether somebody waits for an answer that nobody gives."""
        return bool(self._here) or self._before or self.cut is not None

    @property
    def unasked(self) -> bool:
        """Whether it is owed, and this connection does not know it."""
        return self.owed and not self._here

    def waits(self, command_id: str) -> bool:
        """Whether this connection was given that command, and has not begun to answer it."""
        return command_id in self._here

    def only(self, command_id: str) -> bool:
        """Whether nothing else waits for an answer of this connection."""
        return not self._here.keys() - {command_id}

    def beside(self, command_id: str) -> None:
        """The response to this command answers nobody, and nobody waits for it here: what is owed stays owed."""
        self._beside.add(command_id)

    def given(self, command: Command) -> None:
        """A connection took a command."""
        if command.id in self._beside:
            return
        if isinstance(command, Interrupt):
            if command.response_id is None:
                self.give_up()
            elif command.response_id in (self.cut, self.begun):
                self.cut = self.begun = None
        elif isinstance(command, Respond):
            if not command.aside:
                self._here[command.id] = None
                self.note(command)
        elif isinstance(command, SendText | SendToolResult | EndTurn) and command.respond:
            self._here[command.id] = None

    def note(self, command: Respond) -> None:
        """What a response was asked to say, or how."""
        if command.say or command.instructions:
            self._told[command.id] = command

    def request(self, response_id: str | None) -> Respond | None:
        """What the latest response was asked to say, if that is the one and it was told."""
        return self._request.get(response_id or "")

    def withdraw(self, key: str) -> None:
        """A command was not taken after all; or a turn will be heard, and answered, as another one."""
        self._here.pop(key, None)
        self._told.pop(key, None)

    def give_up(self) -> None:
        """Nobody waits any more, or nobody can be asked."""
        self._here.clear()
        self._before, self.cut, self.begun = False, None, None
        self.turns_due = 0

    def heard_again(self) -> None:
        """Another connection hears a turn again: what it says to that goes on with an answer that was cut."""
        self.begun, self.cut = self.cut or self.begun, None

    def heard_again_unanswered(self, turns: int) -> None:
        """Another connection hears turns again, and answers none by itself."""
        self.turns_due = turns

    def hand_on(self) -> None:
        """Another connection takes over."""
        self.turns_due = 0
        self._before = self._before or bool(self._here)
        self._here.clear()

    def happened(self, event: Event) -> None:
        """Something was told."""
        if isinstance(event, UserTurn):
            if event.phase in ("committed", "discarded"):
                self.turns_due = max(0, self.turns_due - 1)
            if event.phase == "speech":
                if not self.turns_due:  # else it is what was said before the answer
                    self.cut = None
            elif event.phase == "committed" and self.auto_respond and event.source != "client":
                self._here[event.turn_id] = None
        elif isinstance(event, CommandSettled):
            if event.fault is not None:
                self.withdraw(event.command_id)
        elif isinstance(event, ResponseStarted):
            if not event.aside and not (event.answers and self._beside.issuperset(event.answers)):
                # Requests are merged, and not every wire says what an answer answers: it is the answer to all.
                self.give_up()
                self._running.add(event.response_id)
                told = [request for one in event.answers if (request := self._told.pop(one, None))]
                self._request = {event.response_id: told[-1]} if told else {}
        elif isinstance(event, ToolCall):
            self._running.discard(event.response_id)
        elif isinstance(event, ResponseEnded) and event.response_id in self._running:
            self._running.discard(event.response_id)
            if event.status == "lost":
                self.cut = event.response_id
