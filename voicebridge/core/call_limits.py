"""Limits on the length and the cost of a call.

state    input                                            becomes  effect
off      SessionReady                                     open     its length is counted from here
open     a response was completed, a report came, and     open     once: tell that this limit may not hold
         none has counted a unit that is limited
open     UsageReported reaches a limit; the time is up    ending   stop all responses but the one that is heard, or
                                                                   runs; say what is to be said at the limit, if
                                                                   anything
ending   a response starts that says something else       ending   stop it
ending   those two were heard to their ends, or can't     over     end the call: `planned_end`, `limit_reached`
         be said
ending   the grace is over                                over     the same
over     anything                                         over
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    UsageReported,
)
from voicebridge.contract.fault import Fault

from .verbatim import verbatim

__all__ = ["CallLimits"]


class CallLimits:
    """See the table. Gets every event but `OutputAudio`, and is asked when time has passed.

    `audible` names the responses that can still be heard, as the playback clock knows them, the one that plays first.
    The effects are commands for the backend, what the application is told, and the fault with which the call ends.

    Args:
        policy: one with limits.
    """

    def __init__(self, policy: CallPolicy) -> None:
        self._policy = policy
        self._capabilities = Capabilities()
        self.state: Literal["off", "open", "ending", "over"] = "off"
        self.used: defaultdict[str, float] = defaultdict(float)
        """Amounts by unit."""
        self.spent = [0.0] * len(policy.budgets)
        """By budget."""
        self._ends_at: float | None = None
        """Open: when the time is up. Ending: when the grace is over."""
        self._why = ""
        self._code = "limit_reached"
        self._running: dict[str, None] = {}
        """Responses that have not ended, oldest first."""
        self._kept: set[str] = set()
        """Ending: the responses that may be heard."""
        self._completed = self._reported = self._looked = False
        self._last_words: str | None = None
        """The command that says what is to be said at the limit."""
        self._awaited = False
        """Whether its response has yet to start."""

    def owns(self, command_id: str) -> bool:
        """Whether it made that command: its fate is nobody else's business."""
        return command_id == self._last_words

    def happened(self, event: Event, now: float, audible: Sequence[str] = ()) -> list[Command | Event | Fault]:
        """What follows from an event."""
        effects: list[Command | Event | Fault] = []
        if isinstance(event, SessionReady):
            self._ready(event, now)
        elif isinstance(event, SessionRestarted):
            self._capabilities = event.ready.capabilities
        elif isinstance(event, UsageReported):
            self._reported = True
            self._count(event)
        elif isinstance(event, ResponseStarted):
            effects = self._started(event)
        elif isinstance(event, ResponseEnded):
            self._running.pop(event.response_id, None)
            self._completed = self._completed or event.status == "completed"
        elif isinstance(event, CommandSettled) and event.fault is not None and self.owns(event.command_id):
            self._awaited = False
        if self._completed and self._reported and not self._looked:
            self._looked = True
            effects += self._uncounted()
        return [*effects, *self.due(now, audible)]

    def due_at(self) -> float | None:
        """When `due` has to be called, if nothing happens before; None: not by itself."""
        return self._ends_at if self.state in ("open", "ending") else None

    def due(self, now: float, audible: Sequence[str] = ()) -> list[Command | Event | Fault]:
        """What follows now. To be called when the time has come, and when something is no longer audible."""
        effects: list[Command | Event | Fault] = []
        if self.state == "open":
            self._check_time(now)
            if self._why:
                effects = self._end(now, audible)
        if self.state == "ending":
            silent = not self._awaited and self._kept.isdisjoint((*self._running, *audible))
            if silent or (self._ends_at is not None and now >= self._ends_at):
                self.state = "over"
                effects.append(Fault(category="planned_end", code=self._code, message=self._why))
        return effects

    def _started(self, started: ResponseStarted) -> list[Command | Event | Fault]:
        if self._last_words in started.answers:
            self._awaited = False
            self._kept.add(started.response_id)
        elif self.state == "ending":
            return [Interrupt(response_id=started.response_id)]
        self._running[started.response_id] = None
        return []

    def _uncounted(self) -> list[Command | Event | Fault]:
        """Limits on units of which no report has told so far. Not every backend counts everything."""
        missing = [unit for unit in self._policy.max_usage if unit not in self.used]
        if not missing:
            return []
        message = (
            f"CallPolicy.max_usage limits {', '.join(missing)}, which the backend has not counted so far, so that this "
            f"limit may never be reached. It counts {', '.join(sorted(self.used)) or 'nothing'}."
        )
        return [BackendError(fault=Fault(category="unsupported", code="unit_not_counted", message=message))]

    def _ready(self, ready: SessionReady, now: float) -> None:
        self._capabilities = ready.capabilities
        if self.state == "off":
            self.state = "open"
            if self._policy.max_duration_s is not None:
                self._ends_at = now + self._policy.max_duration_s

    def _check_time(self, now: float) -> None:
        if not self._why and self._ends_at is not None and now >= self._ends_at:
            self._why = f"The call has reached its limit of {self._policy.max_duration_s:g} s."

    def _count(self, usage: UsageReported) -> None:
        for unit, amount in usage.units.items():
            self.used[unit] += amount
        for index, budget in enumerate(self._policy.budgets):
            try:
                self.spent[index] += budget.spend(usage)
            except Exception as error:  # the application's function: a cost that nobody knows has no limit
                self._code = "spend_failed"
                self._why = self._why or (
                    f"The call was ended, because the function that tells its cost failed ({type(error).__name__}). "
                    "Mend `Budget.spend`."
                )
        if not self._why:
            self._why = self._reached()

    def _reached(self) -> str:
        for unit, limit in self._policy.max_usage.items():
            if self.used.get(unit, 0.0) >= limit:
                return f"The call has reached its limit of {limit:g} {unit}."
        for spent, budget in zip(self.spent, self._policy.budgets, strict=True):
            if not spent < budget.limit:  # NaN is no amount either
                return f"The call has reached its limit of cost, {budget.limit:g}."
        return ""

    def _end(self, now: float, audible: Sequence[str]) -> list[Command | Event | Fault]:
        self.state, self._ends_at = "ending", now + self._policy.grace_s
        self._kept = {*(audible or tuple(self._running))[:1]}
        there = dict.fromkeys((*audible, *self._running))
        stopped: list[Command | Event | Fault] = [Interrupt(response_id=one) for one in there if one not in self._kept]
        text = self._policy.say_at_limit
        request = verbatim(text, self._capabilities) if text else None
        if request is None:
            return stopped
        self._last_words, self._awaited = request.id, True
        return [*stopped, request]
