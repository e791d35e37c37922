"""One response at a time: who asked for one, and when it may start.

state      input                 becomes    effect
idle       ask                   running    start it
running    ask                   running    hold it; merge it with a held one where both only say "respond"
running    ended, none held      idle
running    ended, one held       running    start that
any        call opened           same       the call is open
any        last open call
           answered, wanted      as `ask`   one request for all of them, cause `tool`
any        withdraw              same       held requests are given back, to be settled
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Arbiter", "Request"]


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
        self._open_calls: set[str] = set()
        self._answered: list[str] = []

    def ask(self, request: Request) -> Request | None:
        """The request, if it may start now; it then counts as running."""
        if not self.busy and not (self.user_speaks and request.cause == "tool"):
            self.busy = True
            if self._held and (both := self._held[0].merged(request)):
                self._held.pop(0)
                return both
            return request
        if self._held and (both := self._held[-1].merged(request)):
            self._held[-1] = both
        else:
            self._held.append(request)
        return None

    def ended(self) -> Request | None:
        """The running response is over. The next one to start, which then counts as running."""
        self.busy = bool(self._held)
        return self._held.pop(0) if self._held else None

    def resume(self) -> Request | None:
        """What was held for the user, once nothing runs and nobody speaks. It then counts as running."""
        if self.busy or self.user_speaks or not self._held:
            return None
        self.busy = True
        return self._held.pop(0)

    def withdraw(self) -> list[Request]:
        """Give up what is held. Open calls stay open: their results still belong to the conversation."""
        held, self._held = self._held, []
        self._answered.clear()
        return held

    def open_call(self, call_id: str) -> None:
        """A tool was called."""
        self._open_calls.add(call_id)

    def answer_call(self, call_id: str, command_id: str, *, respond: bool) -> Request | None:
        """A result came. The request for a response if this was the last open call and one of them wanted it.

        The caller passes it to `ask`.
        """
        self._open_calls.discard(call_id)
        if respond:
            self._answered.append(command_id)
        if self._open_calls or not self._answered:
            return None
        answers, self._answered = tuple(self._answered), []
        return Request(cause="tool", answers=answers)

    def knows_call(self, call_id: str) -> bool:
        """Whether that call is open."""
        return call_id in self._open_calls
