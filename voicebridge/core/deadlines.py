"""How long a backend may take: to acknowledge a command, to begin a response, over a response.

what waits            since                       too late after       until                what follows
a request             it was sent                 first_output_s       it is settled        the session ends
an ended turn, tool   it was sent, or the last    first_output_s       a response starts    the session ends
results               result was
a turn that the       it was committed            first_output_s       a response starts    it is told
backend found
a response            it started                  first_output_s       its first output     the session ends
a response            its last output             between_outputs_s    the next, its end    the session ends
a response            it started                  total_s              its end              the session ends
any other command     it was sent                 acknowledge_s        it is settled        it is settled with a fault

Nothing that waits for a response counts while another one runs or the user speaks. Output is audio, text, a call, or
news of a response in the vendor's own words (a tool that runs at the vendor's). Thoughts, usage and news of other
things keep a stalled model looking alive, and don't count.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebridge.contract.codec import Timeouts
from voicebridge.contract.commands import (
    Command,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    OutputAudio,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)
from voicebridge.contract.fault import Fault

__all__ = ["Deadlines"]

_LONGEST_SPEECH_S = 60.0
"""After so long without a word of it, the user is not thought to speak any more: the end of it may have been lost."""


@dataclass(slots=True)
class _Running:
    started_at: float
    output_at: float | None = None


class Deadlines:
    """Watches the commands and responses of one session. Times are monotonic seconds."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self.auto_respond = True
        """Whether the backend answers turns without being asked."""
        self._open: dict[str, float] = {}
        """Commands that wait for an acknowledgement."""
        self._asked: dict[str, float] = {}
        """Commands that are settled when a response starts."""
        self._due: dict[str, float] = {}
        """Commands after which a response must start."""
        self._turns: dict[str, float] = {}
        """Turns after which one should."""
        self._running: dict[str, _Running] = {}
        self._calls: set[str] = set()
        self._speaks_since: float | None = None

    def sent(self, command: Command, now: float) -> None:
        """A command goes out."""
        if isinstance(command, SendAudio | ReportPlayed):
            return
        if isinstance(command, Respond) or (isinstance(command, SendText) and command.respond):
            self._asked[command.id] = now
            return
        self._open[command.id] = now
        if isinstance(command, EndTurn) and command.respond:
            self._due[command.id] = now
        elif isinstance(command, SendToolResult):
            self._calls.discard(command.call_id)
            if command.respond and not self._calls:
                self._due[command.id] = now
        elif isinstance(command, Interrupt) and command.response_id is None:
            self._due.clear()
            self._turns.clear()

    def happened(self, event: Event, now: float) -> None:
        """Something was told."""
        if isinstance(event, OutputAudio | ToolCall) or (isinstance(event, OutputText) and event.kind != "thought"):
            self.goes_on(event.response_id, now)
            if isinstance(event, ToolCall):
                self._calls.add(event.call_id)
        elif isinstance(event, ProviderEvent):
            self.goes_on(event.payload.get("response_id"), now)
        elif isinstance(event, CommandSettled):
            self._open.pop(event.command_id, None)
            self._asked.pop(event.command_id, None)
            if event.fault is not None:
                self._due.pop(event.command_id, None)
        elif isinstance(event, ResponseStarted):
            self._running[event.response_id] = _Running(now)
            if not event.aside:
                self._due.clear()
                self._turns.clear()
        elif isinstance(event, ResponseEnded):
            self._running.pop(event.response_id, None)
            self._begin_anew(now)
        elif isinstance(event, ToolCallCancelled):
            self._calls.discard(event.call_id)
        elif isinstance(event, UserTurn):
            self._user(event, now)

    def goes_on(self, response_id: object, now: float) -> None:
        """There is output of a response, or news of it."""
        if isinstance(response_id, str) and (running := self._running.get(response_id)):
            running.output_at = now

    def _user(self, turn: UserTurn, now: float) -> None:
        self._speaks_since = now if turn.phase == "speech" else None
        self._begin_anew(now)
        if turn.phase == "committed" and turn.source != "client" and self.auto_respond:
            self._turns[turn.turn_id] = now

    def _begin_anew(self, now: float) -> None:
        """What waits for a response may have waited for this."""
        self._asked = dict.fromkeys(self._asked, now)
        self._due = dict.fromkeys(self._due, now)
        self._turns = dict.fromkeys(self._turns, now)

    def shift(self, by_s: float) -> None:
        """For so many seconds nobody on this side could listen: they don't count."""
        for waiting in (self._open, self._asked, self._due, self._turns):
            for name in waiting:
                waiting[name] += by_s
        for running in self._running.values():
            running.started_at += by_s
            running.output_at = None if running.output_at is None else running.output_at + by_s

    def expired(self, now: float) -> Fault | None:
        """What took too long for the session to go on, if anything did."""
        limits = self._timeouts
        waiting = [*self._asked.values(), *self._due.values()]
        if waiting and self._may_start(now) and _late(min(waiting), limits.first_output_s, now):
            return _fault("no_response", f"No response started within {limits.first_output_s:g} s of asking for it")
        for running in self._running.values():
            if _late(running.started_at, limits.total_s, now):
                return _fault("response_too_long", f"A response went on for more than {limits.total_s:g} s")
            if running.output_at is None and _late(running.started_at, limits.first_output_s, now):
                return _fault("no_output", f"A response gave nothing within {limits.first_output_s:g} s")
            if running.output_at is not None and _late(running.output_at, limits.between_outputs_s, now):
                return _fault("output_stalled", f"A response stopped for more than {limits.between_outputs_s:g} s")
        return None

    def unanswered(self, now: float) -> Fault | None:
        """A turn that the backend found and did not answer, told once. It may have had its reasons."""
        limit_s = self._timeouts.first_output_s
        if not self._turns or not self._may_start(now) or not _late(min(self._turns.values()), limit_s, now):
            return None
        self._turns.clear()
        return _fault("turn_unanswered", f"A turn of the user was not answered within {limit_s:g} s")

    def unacknowledged(self, now: float) -> tuple[list[str], Fault]:
        """Commands of which the backend said nothing, each once, and what to settle them with."""
        limit_s = self._timeouts.acknowledge_s
        late = [command_id for command_id, since in self._open.items() if _late(since, limit_s, now)]
        for command_id in late:
            del self._open[command_id]
        return late, _fault("unacknowledged", f"The backend did not confirm it within {limit_s} s")

    def _may_start(self, now: float) -> bool:
        speaks = self._speaks_since is not None and now - self._speaks_since < _LONGEST_SPEECH_S
        return not self._running and not speaks


def _late(since: float, limit_s: float | None, now: float) -> bool:
    return limit_s is not None and now - since > limit_s


def _fault(code: str, what: str) -> Fault:
    return Fault(category="busy", code=code, message=f"{what}. Try again, or allow more time.", retryable=True)
