"""One response at a time: who asked for one, and when it may start.

state      input                    becomes    effect
idle       ask                      running    start it, together with what is held where both only say "respond"
running    ask                      running    hold it; merge it with the last held one where both only say "respond"
idle       ask, it waits for the
           user, the user speaks    idle       hold it likewise
running    ended, none held, or
           the user speaks          idle
running    ended, one held          running    start the first
idle       resume, one held, the
           user is silent           running    start the first
any        call opened              same       the call is open
any        the last call of a
           response that has ended
           is answered, wanted      as `ask`   one request for all of them, cause `tool`
any        put back                 running    hold it, before all others
any        withdraw                 same       held requests are given back, to be settled
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Arbiter", "Request"]

_EARLIER = "earlier"
"""What stands for the responses of another session, all of which have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A wish for a response."""

    cause: Literal["user", "request", "tool", "spontaneous"]
    answers: tuple[str, ...] = ()
    """Ids of the turns and commands that it answers."""
    settles: tuple[str, ...] = ()
    """Ids of the commands that are settled when it starts."""
    instructions: str | None = None
    say: str | None = None
    aside: bool = False
    modality: Literal["audio", "text"] | None = None
    waits: bool = True
    """Nobody asked the agent to talk over the user: while the user speaks, it is held."""

    def merged(self, later: Request) -> Request | None:
        """One request that serves both, or None where they want different things."""
        if self.say or later.say or self.aside or later.aside or self.modality != later.modality:
            return None
        instructions = "\n".join(filter(None, (self.instructions, later.instructions))) or None
        return replace(
            later,
            answers=self.answers + later.answers,
            settles=self.settles + later.settles,
            instructions=instructions,
        )


class Arbiter:
    """Keeps one response in flight."""

    def __init__(self) -> None:
        self.busy = False
        self.user_speaks = False
        """Whether the user has the floor."""
        self._held: list[Request] = []
        self._open_calls: dict[str, str] = {}
        """Calls that have no result yet, and the responses that made them."""
        self._running_calls: set[str] = set()
        """Responses that made calls and may make more."""
        self._answered: dict[str, list[str]] = {}
        """By response, the commands with results that want an answer."""

    def ask(self, request: Request) -> Request | None:
        """The request, if it may start now; it then counts as running."""
        if not self.busy and not (self.user_speaks and request.waits):
            self.busy = True
            if self._held and (both := self._held[0].merged(request)):
                self._held.pop(0)
                return both
            return request
        self._hold(request)
        return None

    def _hold(self, request: Request) -> None:
        if self._held and (both := self._held[-1].merged(request)):
            self._held[-1] = both
        else:
            self._held.append(request)

    def ended(self, response_id: str = "") -> Request | None:
        """The running response is over. The next one to start, which then counts as running."""
        self.busy = False
        self._running_calls.discard(response_id)
        if answered := self._answers_to(response_id):
            self._hold(answered)
        return self.resume()

    def resume(self) -> Request | None:
        """What was held, if nothing runs and nobody speaks. It then counts as running."""
        if self.busy or self.user_speaks or not self._held:
            return None
        self.busy = True
        return self._held.pop(0)

    def put_back(self, request: Request) -> None:
        """A peer refused to start it, because it runs something else: it is the first of what is held."""
        self.busy = True
        self._held.insert(0, request)

    @property
    def held(self) -> tuple[Request, ...]:
        """What waits, in order."""
        return tuple(self._held)

    def withdraw(self) -> list[Request]:
        """Give up what is held. Open calls stay open: their results still belong to the conversation."""
        held, self._held = self._held, []
        self._answered.clear()
        return held

    def open_call(self, call_id: str, response_id: str = "") -> None:
        """The running response called a tool."""
        self._open_calls[call_id] = response_id
        self._running_calls.add(response_id)

    def open_earlier_calls(self, call_ids: Iterable[str]) -> None:
        """Calls of a conversation that goes on here, whose results may still come."""
        self._open_calls |= dict.fromkeys(call_ids, _EARLIER)

    def answer_call(self, call_id: str, command_id: str, *, respond: bool) -> Request | None:
        """A result came. The request for a response, if it was the last one missing and any of them wanted it.

        The caller passes it to `ask`. Nothing follows from a result of a call that is not open.
        """
        response_id = self._open_calls.pop(call_id, None)
        if response_id is None:
            return None
        if respond:
            self._answered.setdefault(response_id, []).append(command_id)
        return self._answers_to(response_id)

    def _answers_to(self, response_id: str) -> Request | None:
        """The request for an answer to a response's tools, once it has made its last call and all have results."""
        if response_id in self._running_calls or response_id in self._open_calls.values():
            return None
        answered = self._answered.pop(response_id, None)
        return Request(cause="tool", answers=tuple(answered)) if answered else None

    def knows_call(self, call_id: str) -> bool:
        """Whether that call is open."""
        return call_id in self._open_calls
