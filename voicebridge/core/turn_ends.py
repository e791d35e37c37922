"""Turns that the application ended itself: where, so that they end there again when their audio is heard again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from voicebridge.contract.commands import Command, DiscardTurn, EndTurn, Interrupt
from voicebridge.contract.events import CommandSettled, Event, ResponseEnded, ResponseStarted, UserTurn

__all__ = ["TurnEnds"]


@dataclass(slots=True)
class _End:
    place: int
    command: EndTurn | DiscardTurn
    turn_id: str | None = None
    """The turn that it ended, when that was told."""
    response_id: str | None = None
    """The answer to it."""
    answered: bool = False
    """The answer was begun and not lost, or nobody wants it any more."""


class TurnEnds:
    """Follows `EndTurn` and `DiscardTurn`. Places are bytes from the first sample of the session.

    A turn is ended once more, in its place, when its audio is heard again: without that, it would run on into the next
    one. An answer is asked for again only where none was begun, or where that went down with its connection, and where
    nobody interrupted it.

    Args:
        tolerance: bytes by which a backend's end of a turn may lie before the place of the command that ended it.
    """

    def __init__(self, tolerance: int) -> None:
        self._tolerance = tolerance
        self._ends: list[_End] = []

    def given(self, place: int, command: Command) -> None:
        """A connection took a command."""
        if isinstance(command, EndTurn | DiscardTurn):
            self._ends.append(_End(place, command))
        elif isinstance(command, Interrupt):
            self.interrupted(command)

    def forget(self, before: int) -> None:
        """Audio before this place is not there any more: nobody hears it again."""
        self._ends = [end for end in self._ends if end.place > before]

    def interrupted(self, command: Interrupt) -> None:
        """The application wants no answer to what was said so far, or not that one."""
        for end in self._ends:
            if command.response_id is None or command.response_id == end.response_id:
                end.answered = True

    def withdraw(self, command_id: str) -> None:
        """It was not taken after all, or failed."""
        self._ends = [end for end in self._ends if end.command.id != command_id]

    def is_done(self, command_id: str) -> bool:
        """Whether the turn that a command was to end is over."""
        return any(end.turn_id is not None for end in self._ends if end.command.id == command_id)

    def happened(self, event: Event) -> None:
        """Something was told."""
        if isinstance(event, UserTurn) and event.phase in ("committed", "discarded"):
            kind = EndTurn if event.phase == "committed" else DiscardTurn
            unbound = (end for end in self._ends if end.turn_id is None and isinstance(end.command, kind))
            if end := next(unbound, None):
                end.turn_id = event.turn_id
        elif isinstance(event, ResponseStarted):
            for end in self._ends:
                if end.command.id in event.answers or end.turn_id in event.answers:
                    end.response_id, end.answered = event.response_id, True
        elif isinstance(event, ResponseEnded) and event.status == "lost":
            for end in self._ends:
                if end.response_id == event.response_id:
                    end.answered = False
        elif isinstance(event, CommandSettled) and event.fault is not None:
            self.withdraw(event.command_id)

    def again(self, start: int, unwritten: Collection[str]) -> list[tuple[int, Command]]:
        """The commands that a new connection gets again, which hears the audio from `start` on, and their places.

        Args:
            unwritten: turns that were committed, and of which nobody knows the words.
        """
        self._ends = [end for end in self._ends if self._is_heard_again(end, start, unwritten)]
        for end in self._ends:
            end.turn_id = None
        return [(end.place, _asked_again(end)) for end in self._ends]

    def _is_heard_again(self, end: _End, start: int, unwritten: Collection[str]) -> bool:
        written = isinstance(end.command, EndTurn) and end.turn_id is not None and end.turn_id not in unwritten
        return end.place > start + self._tolerance and not written


def _asked_again(end: _End) -> Command:
    if isinstance(end.command, EndTurn) and end.answered:
        return replace(end.command, respond=False)
    return end.command
