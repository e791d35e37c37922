"""Commands that a session gives a connection for its own sake: nobody is told what becomes of them.

a command                        becomes
sent                             known
refused at once                  unknown; what is wrong with it is told as an error of no command
settled, and asks for no answer  unknown; a fault is told in the same way
settled, and asks for one        known: the response to it names it
its response begins              unknown once it is settled
the call is taken from the leg   unknown
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from voicebridge.contract.commands import Command, Respond, SendText
from voicebridge.contract.errors import SessionClosed, VoiceBridgeError
from voicebridge.contract.events import BackendError, CommandSettled, Event, ResponseStarted

from .leg import Leg

__all__ = ["Errands"]


class Errands:
    """See above, for the leg that has the call.

    Args:
        told: gets the errors.
    """

    def __init__(self, told: Callable[[Event], None]) -> None:
        self._told = told
        self._answer_wanted: dict[str, bool] = {}
        """By command: whether a response to it is still to come."""

    def __contains__(self, command_id: str) -> bool:
        return command_id in self._answer_wanted

    def __len__(self) -> int:
        return len(self._answer_wanted)

    async def send(self, leg: Leg, command: Command) -> None:
        """Give it to a leg.

        Raises:
            SessionClosed: the leg is over.
        """
        assert leg.session is not None
        asks = isinstance(command, Respond) or (isinstance(command, SendText) and command.respond)
        self._answer_wanted[command.id] = asks
        leg.unsettled[command.id] = None
        try:
            await leg.session.send(command)
        except BaseException as error:
            self._answer_wanted.pop(command.id, None)
            leg.unsettled.pop(command.id, None)
            if isinstance(error, SessionClosed) or not isinstance(error, VoiceBridgeError):
                raise
            self._told(BackendError(fault=error.fault))

    def settled(self, event: CommandSettled) -> bool:
        """One of them was settled. Whether it is in vain that somebody waits for an answer to it."""
        waits = self._answer_wanted[event.command_id]
        if not waits or event.fault is not None:
            del self._answer_wanted[event.command_id]
        if event.fault is None or event.fault.category == "closed":
            return False
        self._told(BackendError(fault=event.fault))
        return waits

    def started(self, leg: Leg, event: ResponseStarted) -> ResponseStarted:
        """A response begins. To the application it answers none of them."""
        answered = self._answer_wanted.keys() & set(event.answers)
        if not answered:
            return event
        for command_id in answered:
            if command_id in leg.unsettled:
                self._answer_wanted[command_id] = False
            else:
                del self._answer_wanted[command_id]
        return replace(event, answers=tuple(one for one in event.answers if one not in answered))

    def forget(self) -> None:
        """The call is taken from the leg."""
        self._answer_wanted.clear()
