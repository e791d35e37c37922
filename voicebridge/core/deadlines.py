"""How long a backend may take over a response: to its first output, between outputs, in all.

what waits     since                           too late after       until
a request      it was sent, and no response    first_output_s       it is settled
               runs and no user speaks that
               it could wait for
a response     it started                      first_output_s       its first audio, text or call
a response     its last output                 between_outputs_s    its next output, or its end
a response     it started                      total_s              its end

Thoughts, usage and news of other things are no output: they keep a stalled model looking alive.
"""

from __future__ import annotations

from dataclasses import dataclass

from voicebridge.contract.codec import Timeouts
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.fault import Fault

__all__ = ["ResponseDeadlines"]


@dataclass(slots=True)
class _Running:
    started_at: float
    output_at: float | None = None


class ResponseDeadlines:
    """Watches the responses of one session. Times are monotonic seconds."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._asked: dict[str, float] = {}
        self._running: dict[str, _Running] = {}
        self._user_speaks = False

    def asked(self, command_id: str, now: float) -> None:
        """A command that asks for a response, and is settled when that starts, was sent."""
        self._asked[command_id] = now

    def happened(self, event: Event, now: float) -> None:
        """Something was told."""
        if isinstance(event, OutputAudio | ToolCall) or (isinstance(event, OutputText) and event.kind != "thought"):
            if running := self._running.get(event.response_id):
                running.output_at = now
        elif isinstance(event, CommandSettled):
            self._asked.pop(event.command_id, None)
        elif isinstance(event, ResponseStarted):
            self._running[event.response_id] = _Running(now)
        elif isinstance(event, ResponseEnded):
            self._running.pop(event.response_id, None)
            self._asked = dict.fromkeys(self._asked, now)  # they waited for that one
        elif isinstance(event, UserTurn):
            self._user_speaks = event.phase == "speech"
            self._asked = dict.fromkeys(self._asked, now)  # they may have waited for the user

    def shift(self, by_s: float) -> None:
        """For so many seconds nobody on this side could listen: they don't count."""
        self._asked = {command_id: since + by_s for command_id, since in self._asked.items()}
        for running in self._running.values():
            running.started_at += by_s
            running.output_at = None if running.output_at is None else running.output_at + by_s

    def expired(self, now: float) -> Fault | None:
        """What took too long, if anything did."""
        limits = self._timeouts
        waits = not self._running and not self._user_speaks
        if waits and self._asked and _late(min(self._asked.values()), limits.first_output_s, now):
            return _fault("no_response", f"No response started within {limits.first_output_s:g} s of asking for it")
        for running in self._running.values():
            if _late(running.started_at, limits.total_s, now):
                return _fault("response_too_long", f"A response went on for more than {limits.total_s:g} s")
            if running.output_at is None and _late(running.started_at, limits.first_output_s, now):
                return _fault("no_output", f"A response gave nothing within {limits.first_output_s:g} s")
            if running.output_at is not None and _late(running.output_at, limits.between_outputs_s, now):
                return _fault("output_stalled", f"A response stopped for more than {limits.between_outputs_s:g} s")
        return None


def _late(since: float, limit_s: float | None, now: float) -> bool:
    return limit_s is not None and now - since > limit_s


def _fault(code: str, what: str) -> Fault:
    return Fault(category="busy", code=code, message=f"{what}. Try again, or allow more time.", retryable=True)
