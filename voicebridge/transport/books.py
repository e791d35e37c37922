"""What is open in a session: commands without their settlement, responses without their end."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile

from voicebridge.contract.events import CommandSettled, Event, OutputAudio, ResponseEnded, ResponseStarted

__all__ = ["Books"]


class Books:
    """Lets an event through once: each command is settled once, each response ends once, and none is heard that should
    not be. Whatever a codec tells beyond that is dropped and counted."""

    def __init__(self) -> None:
        self.commands: dict[str, None] = {}
        """Commands that wait to be settled, in order."""
        self.responses: dict[str, bool] = {}
        """Responses that have not ended; False: nobody wants to hear it any more."""
        self._unwanted: set[str] = set()
        """Commands that were open at an interruption: what answers them alone is not heard."""
        self.dropped: Counter[str] = Counter()
        """What was not let through: `late_audio`, `settled_twice`, `started_twice`, `ended_twice`."""

    def silence(self, response_id: str | None, command_id: str = "") -> None:
        """Let no more audio of that response through, or of any that runs or was asked for.

        Args:
            command_id: who wants it so. What was asked for behind it, while both waited, is wanted.
        """
        if response_id is None:
            self._unwanted.update(takewhile(lambda one: one != command_id, self.commands))
        for running in self.responses:
            if response_id in (None, running):
                self.responses[running] = False

    def admit(self, event: Event) -> bool:
        """Whether the event may be told. Writes down what it opens or closes."""
        problem = self._problem(event)
        if problem:
            self.dropped[problem] += 1
        return not problem

    def _problem(self, event: Event) -> str:
        if isinstance(event, OutputAudio):
            return "" if self.responses.get(event.response_id) else "late_audio"
        if isinstance(event, CommandSettled):
            if event.command_id not in self.commands:
                return "settled_twice"
            del self.commands[event.command_id]
        elif isinstance(event, ResponseStarted):
            if event.response_id in self.responses:
                return "started_twice"
            wanted = [one for one in event.answers if one in self.commands and one not in self._unwanted]
            self.responses[event.response_id] = bool(wanted) or self._unwanted.isdisjoint(event.answers)
            self._unwanted.difference_update(event.answers)
        elif isinstance(event, ResponseEnded) and self.responses.pop(event.response_id, None) is None:
            return "ended_twice"
        return ""
