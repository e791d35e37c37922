"""What legs tell, and what of it the application is told: in the names and times of the whole session.

from                          what                          becomes
the leg that has the call     audio, words, turns, ...      told
                              the fate of a command         told, once
                              an answer that failed         told, or another backend gives it
                              its end                       what ran on it is told to be lost
a leg that had the call       the fate of a command         told, once
                              what it used                  told, where the session goes on
                              all else                      counted
a leg that is to have it      an answer of its own accord   nothing, also what comes of it later
                              when it will end              kept
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from voicebridge.contract.commands import Configure
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionNotice,
    UsageReported,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.answer_failures import AnswerFailures
from voicebridge.core.briefing import Briefing
from voicebridge.transport.delivery import Delivery

from .courier import Courier
from .leg import Leg

__all__ = ["News", "NewsOwner"]


class NewsOwner(Protocol):
    """Whom news may move to another connection."""

    def moved(self) -> None:
        """Somebody begins or ends to speak."""

    def move(self, command: Configure) -> None:
        """Change what takes another connection."""

    def expires(self, in_s: float) -> None:
        """The leg that has the call will end after so many seconds."""

    def has_another(self) -> bool:
        """Whether another backend is well."""

    def take_from(self, leg: Leg, fault: Fault, response_id: str | None) -> None:
        """The call is taken from a leg that is there, as if it were not, for an answer of it or for what it said."""


class News:
    """Tells what happens.

    Args:
        tell: gets each event that the application may be told.
    """

    def __init__(
        self,
        briefing: Briefing,
        courier: Courier,
        delivery: Delivery,
        clock: Callable[[], float],
        tell: Callable[[Event], None],
        owner: NewsOwner,
    ) -> None:
        self._briefing, self._courier, self._delivery = briefing, courier, delivery
        self._clock, self._tell, self._owner = clock, tell, owner
        self._failures = AnswerFailures()
        self.responses: dict[str, float] = {}
        """Those that run on the leg that has the call, and when they began."""
        self.late: Counter[str] = Counter()
        """Events that came from a leg when it had not the call any more, by kind."""

    def told(self, leg: Leg, event: Event) -> None:
        """A leg told something."""
        if leg is self._courier.leg:
            if not leg.strays or leg.strays.isdisjoint(_names(event)):
                self._happened(leg, event)
        elif isinstance(event, CommandSettled):  # the fate of a command that it was given while it had the call
            self._settled(leg, event)
        elif leg.had_call:
            self._late(leg, event)
        elif isinstance(event, SessionNotice):
            leg.expires(event.expires_in_s, self._clock())
        else:
            leg.strays.update(_names(event))

    def _late(self, leg: Leg, event: Event) -> None:
        """What a leg tells that has not the call any more."""
        if not isinstance(event, UsageReported) or self._courier.closed:
            self.late[type(event).__name__] += 1
        elif leg.strays.isdisjoint(_names(event)):
            self._tell(leg.names.told(event))

    def let_go(self, leg: Leg, *, reason: str | None = None, fault: Fault | None = None, to: Leg | None = None) -> None:
        """What ran on a leg that has not the call any more is over. See `Courier.let_go`."""
        self._courier.count_delivered()
        for response_id in list(self.responses):
            self._pass(leg, ResponseEnded(response_id=response_id, status="lost", reason=reason, fault=fault))
        if fault is not None or not self._courier.closed:
            for event in self._briefing.lost():
                self._tell(event)
        self._courier.let_go(leg, to)

    def _happened(self, leg: Leg, event: Event) -> None:
        if isinstance(event, BackendError) and event.fatal:
            return  # told, if it can't be mended
        if isinstance(event, CommandSettled):
            self._settled(leg, event)
            return
        event = leg.names.told(event)
        if isinstance(event, OutputAudio):  # fifty times a second: nothing below is about it
            self._briefing.chronicle.happened(event)
            self._tell(event)
            return
        if isinstance(event, SessionNotice) and event.expires_in_s is not None:
            self._owner.expires(event.expires_in_s)
        fault = self._failures.blamed(event)
        if fault is None:
            self._pass(leg, event)
        else:
            self._blame(leg, event, fault)

    def _blame(self, leg: Leg, event: Event, fault: Fault) -> None:
        """The backend does not do its work: another one does, or it is asked once more."""
        consequence = self._failures.consequence(event, fault, another=self._owner.has_another())
        if consequence != "move" or isinstance(event, BackendError):
            self._pass(leg, event)
        if consequence == "move":
            self._owner.take_from(leg, fault, getattr(event, "response_id", None))
        elif consequence == "again" and isinstance(event, ResponseEnded):
            self._courier.ask_again(leg, event.response_id, after_s=fault.retry_after_s or 0.0)

    def _pass(self, leg: Leg, event: Event) -> None:
        """Tell an event in the names of the session."""
        self._briefing.happened(event)
        if isinstance(event, ResponseStarted):
            self.responses[event.response_id] = self._clock()
            event = self._courier.started(leg, event)
        elif isinstance(event, ResponseEnded):
            self.responses.pop(event.response_id, None)
            if event.status == "completed":
                leg.answered_at = self._clock()
            else:
                self._delivery.purge(event.response_id)
        self._tell(event)
        if isinstance(event, ResponseEnded | UserTurn | InputTranscript):
            self._courier.continuation.moved()
            self._owner.moved()

    def _settled(self, leg: Leg, event: CommandSettled) -> None:
        fault = self._failures.refused(event) if leg is self._courier.leg else None
        if fault and self._owner.has_another() and self._courier.give_back(leg, event.command_id):
            self._owner.take_from(leg, fault, None)
            return
        refused = self._courier.settled(leg, event)
        if refused is not None:
            try:
                self._owner.move(refused)
            except VoiceBridgeError as error:
                self._tell(CommandSettled(command_id=refused.id, fault=error.fault))
        self._owner.moved()


def _names(event: Event) -> list[str]:
    """Of the answer and the turn that an event is about."""
    return [name for field in ("response_id", "turn_id") if (name := getattr(event, field, None))]
