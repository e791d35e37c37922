"""What follows when a backend is there and does not do its work: its answers fail, or it can't hear what was said.

what happened                                        another backend is well   there is none
an answer failed                                     the call moves            it is asked for again, once, if that
                                                                               may help; else it has failed
the text of a turn failed before the turn was over   the call moves            nothing: the turn is discarded
an error of no command: no money, a bad key, a turn
of the user that was not answered                    the call moves            nothing: it is told
a request for an answer could not be met: no money, a
bad key, too much to do                              the call moves            nothing: that is its fate
an answer failed that had called a tool: a second
one would call it again                              nothing                   nothing: it has failed
an aside failed; an answer was refused for what was
said, or asked for what the backend can't do         nothing                   nothing

A backend that hears with its own ears answers whether or not it can write down what it heard: a text that fails after
its turn was committed is no failure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    InputTranscript,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.fault import Category, Fault

__all__ = ["MENDED", "AnswerFailures", "Consequence", "may_have_acted"]

Consequence = Literal["move", "again"]
"""`move`: to another backend, which gives the answer. `again`: this one is asked once more."""

_NOT_ITS_FAILURE: frozenset[Category] = frozenset({"content", "unsupported", "closed"})
_CAN_NOT_GO_ON: frozenset[Category] = frozenset({"quota", "auth"})
_CAN_NOT_SERVE = _CAN_NOT_GO_ON | {"rate", "busy", "network"}
MENDED = frozenset({"stage_replaced", "stage_not_ready"})
"""Told of a part of the backend that another part has taken over from."""
_MAY_HAVE_ACTED = "may_have_acted"
_SOON_S = 3.0
"""A caller does not wait longer in silence for the same backend to be ready for another try."""
_UNKNOWN = Fault(category="protocol", code="response_failed", message="The response failed, and nobody said why.")


def may_have_acted(fault: Fault) -> Fault:
    """The failure of an answer that nobody else may be asked for: whoever gave it may have done what it was to do."""
    message = f"{fault.message} It may have acted before it failed, so nobody was asked again."
    return replace(fault, code=_MAY_HAVE_ACTED, message=message, retryable=False)


class AnswerFailures:
    """Follows one session, over all its connections."""

    def __init__(self) -> None:
        self._asides: set[str] = set()
        self._called: set[str] = set()
        """Answers that have called a tool: asked for again, they would call it again."""
        self._open_turns: set[str] = set()
        self._tried_again = False
        """The answer that is due was asked for a second time."""

    def blamed(self, event: Event) -> Fault | None:
        """Something was told. What the backend is to be blamed for, if it is."""
        if isinstance(event, ResponseEnded):
            aside = event.response_id in self._asides
            acted = event.response_id in self._called
            self._asides.discard(event.response_id)
            self._called.discard(event.response_id)
            if event.status != "failed":
                self._tried_again = self._tried_again and aside
                return None
            fault = event.fault or _UNKNOWN
            acted = acted or fault.code == _MAY_HAVE_ACTED
            return None if aside or acted or fault.category in _NOT_ITS_FAILURE else fault
        if isinstance(event, ResponseStarted):
            if event.aside:
                self._asides.add(event.response_id)
        elif isinstance(event, ToolCall):
            self._called.add(event.response_id)
        elif isinstance(event, UserTurn):
            self._turn(event)
        elif isinstance(event, InputTranscript):
            return event.fault if event.turn_id in self._open_turns else None
        elif isinstance(event, BackendError):
            hopeless = event.fault.category in _CAN_NOT_GO_ON or event.fault.code == "turn_unanswered"
            return event.fault if hopeless and event.fault.code not in MENDED else None
        return None

    def consequence(self, event: Event, fault: Fault, *, another: bool) -> Consequence | None:
        """What follows from an event that the backend is to be blamed for.

        Args:
            another: another backend is well.
        """
        if another:
            self._tried_again = False
            return "move"
        if not isinstance(event, ResponseEnded):
            return None
        soon = fault.retryable and (fault.retry_after_s or 0.0) <= _SOON_S
        self._tried_again = soon and not self._tried_again
        return "again" if self._tried_again else None

    def refused(self, event: CommandSettled) -> Fault | None:
        """Why a command could not be carried out, where another backend may well be able to."""
        fault = event.fault
        return fault if fault is not None and fault.category in _CAN_NOT_SERVE else None

    def _turn(self, turn: UserTurn) -> None:
        if turn.phase in ("committed", "discarded"):
            self._open_turns.discard(turn.turn_id)
        else:
            self._open_turns.add(turn.turn_id)
            self._tried_again = False
