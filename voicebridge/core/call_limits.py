"""Limits on the length and the cost of a call.

state    input                                            becomes  effect
off      SessionReady                                     open     its length is counted from here
open     UsageReported reaches a limit; the time is up    ending   say what is to be said at the limit, if anything
ending   that was heard or can't be said, and nothing     over     end the call: `planned_end`, `limit_reached`
         runs or can be heard any more
ending   the grace is over                                over     the same
over     anything                                         over
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command
from voicebridge.contract.events import (
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

    `audible` names the responses that can still be heard, as the playback clock knows them. The effects are commands
    for the backend, and the fault with which the call ends.

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
        self._running: set[str] = set()
        self._last_words: str | None = None
        """The command that says what is to be said at the limit."""
        self._awaited = False
        """Whether its response has yet to start."""

    def owns(self, command_id: str) -> bool:
        """Whether it made that command: its fate is nobody else's business."""
        return command_id == self._last_words

    def happened(self, event: Event, now: float, audible: Sequence[str] = ()) -> list[Command | Fault]:
        """What follows from an event."""
        if isinstance(event, SessionReady):
            self._ready(event, now)
        elif isinstance(event, SessionRestarted):
            self._capabilities = event.ready.capabilities
        elif isinstance(event, UsageReported):
            self._count(event)
        elif isinstance(event, ResponseStarted):
            self._running.add(event.response_id)
            if self._last_words in event.answers:
                self._awaited = False
        elif isinstance(event, ResponseEnded):
            self._running.discard(event.response_id)
        elif isinstance(event, CommandSettled) and event.fault is not None and self.owns(event.command_id):
            self._awaited = False
        return self.due(now, audible)

    def due_at(self) -> float | None:
        """When `due` has to be called, if nothing happens before; None: not by itself."""
        return self._ends_at if self.state in ("open", "ending") else None

    def due(self, now: float, audible: Sequence[str] = ()) -> list[Command | Fault]:
        """What follows now. To be called when the time has come, and when something is no longer audible."""
        effects: list[Command | Fault] = []
        if self.state == "open":
            self._check_time(now)
            if self._why:
                effects = self._end(now)
        if self.state == "ending":
            silent = not (self._awaited or self._running or audible)
            if silent or (self._ends_at is not None and now >= self._ends_at):
                self.state = "over"
                effects.append(Fault(category="planned_end", code=self._code, message=self._why))
        return effects

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
            if self.used[unit] >= limit:
                return f"The call has reached its limit of {limit:g} {unit}."
        for spent, budget in zip(self.spent, self._policy.budgets, strict=True):
            if not spent < budget.limit:  # NaN is no amount either
                return f"The call has reached its limit of cost, {budget.limit:g}."
        return ""

    def _end(self, now: float) -> list[Command | Fault]:
        self.state, self._ends_at = "ending", now + self._policy.grace_s
        text = self._policy.say_at_limit
        request = verbatim(text, self._capabilities) if text else None
        if request is None:
            return []
        self._last_words, self._awaited = request.id, True
        return [request]
