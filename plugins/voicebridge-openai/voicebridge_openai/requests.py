"""Asking for responses: one at a time, and none forgotten when the vendor is faster than we are.

A request is on the wire from `response.create` until `response.created`. The vendor also starts responses by itself,
after a turn of the user. Where both happen at once it refuses ours, and we ask again when its own has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voicebridge.contract.codec import Frame
from voicebridge.contract.commands import Respond
from voicebridge.core.arbiter import Arbiter, Request

from .sent import LONGEST_ID, as_json
from .session_settings import wire_tool_choice

__all__ = ["MOST_METADATA", "Asked", "Requests", "ResponseRequest", "request_of"]

MOST_METADATA = 15
"""Pairs that a request may bring: the wire takes 16, and one is ours."""
_KEY = "voicebridge_request"
_REFUSALS = 3
"""How often a request is sent again though nothing that we know of runs."""
_REMEMBERED = 1000
"""Failed commands and turns that may still be named by a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRequest(Request):
    """A request with options of this wire, which stands for itself."""

    options: Mapping[str, Any] = field(default_factory=dict)

    def merged(self, later: Request) -> Request | None:
        """See `Request`."""
        return None if self.options or getattr(later, "options", None) else Request.merged(self, later)


@dataclass(slots=True)
class Asked:
    """A request on the wire."""

    request: Request
    event_id: str
    withdrawn: bool = False
    """Nobody waits for it any more: what starts is cancelled."""
    refusals: int = 0


class Requests:
    """Holds requests back, writes them, and says which of them a response answers."""

    def __init__(self, *, sends_metadata: bool, echoes_metadata: bool, text_output: bool) -> None:
        self.arbiter = Arbiter()
        self.instructions: str | None = None
        """Those of the session, to which a request's own are added."""
        self.asked: Asked | None = None
        self.unsettled_items: set[str] = set()
        """Commands whose items the vendor has not confirmed yet."""
        self._metadata, self._text_output = sends_metadata, text_output
        self._echoes = echoes_metadata
        """Whether the vendor gives metadata back: known of it, or seen."""
        self._refused: dict[str, None] = {}
        self._count = 0
        self._refusals = 0

    def ask(self, request: Request) -> list[Frame]:
        """Ask now or later."""
        return self._write(self.arbiter.ask(request))

    def resume(self) -> list[Frame]:
        """What waited for the user, if it may start now."""
        return self._write(self.arbiter.resume())

    def ended(self, response_id: str, *, others_run: bool) -> list[Frame]:
        """A response is over."""
        following = self.arbiter.ended(response_id)
        if not (others_run or self.asked):
            return self._write(following)
        if following is not None:
            self.arbiter.put_back(following)
        self.arbiter.busy = True
        return []

    def refuse(self, *ids: str) -> None:
        """A command failed, or its turn: what only these asked for is not wanted any more."""
        self._refused |= dict.fromkeys(ids)
        for old in list(self._refused)[:-_REMEMBERED]:
            del self._refused[old]
        if self.asked and self._pointless(self.asked.request):
            self.asked.withdrawn = True

    def _pointless(self, request: Request) -> bool:
        """Whether all that asked for it has failed."""
        return bool(request.answers) and self._refused.keys() >= set(request.answers)

    def claim(self, metadata: object, *, vendor_answers: bool) -> Asked | None:
        """The request that a response which has just started answers; None where the vendor started it by itself.

        Where metadata does not come back, nobody can tell: the first response after a request counts as the answer to
        it, lest the request wait for ever.
        """
        asked = self.asked
        if asked is None:
            return None
        key = metadata.get(_KEY) if isinstance(metadata, Mapping) else None
        if key == asked.event_id:
            self._echoes = True
        elif key is not None or (vendor_answers and self._echoes):
            return None
        self.asked, self._refusals = None, 0
        return asked

    def absorbed(self, turn_ids: tuple[str, ...]) -> Request:
        """The vendor answers turns by itself, and with them what was held and is in the conversation already."""
        arbiter = self.arbiter
        cause = "user" if turn_ids else "spontaneous"
        request = Request(cause=cause, answers=turn_ids)  # type: ignore[arg-type]  # one of the two literals
        held = arbiter.held[0] if arbiter.held else None
        if self.asked or held is None or not turn_ids or not self.unsettled_items.isdisjoint(held.answers):
            arbiter.busy = True
            return request
        arbiter.busy = arbiter.user_speaks = False
        if (started := arbiter.ask(request)) is not None:
            return started
        arbiter.busy = True
        return request

    def already_active(self, *, anything_runs: bool) -> tuple[list[Frame], Request | None]:
        """The vendor refused, because it has started another. The frames that ask again, or the request given up."""
        asked, self.asked = self.asked, None
        if asked is None:
            return [], None
        self._refusals += 0 if anything_runs else 1
        given_up = None
        if not asked.withdrawn and self._refusals <= _REFUSALS:
            self.arbiter.put_back(asked.request)
        elif not asked.withdrawn:
            given_up = asked.request
        if anything_runs:
            return [], given_up
        self.arbiter.busy = False
        return self.resume(), given_up

    def failed(self, *, anything_runs: bool) -> tuple[list[Frame], Request | None]:
        """The vendor refused for good. What follows, and the request, if anybody waits for it."""
        asked, self.asked = self.asked, None
        frames = self.ended("", others_run=anything_runs)
        return frames, asked.request if asked and not asked.withdrawn else None

    def withdraw(self) -> list[str]:
        """Give up all that has not started. The commands to settle."""
        given_up = self.arbiter.withdraw()
        if self.asked and not self.asked.withdrawn:
            self.asked.withdrawn = True
            given_up.insert(0, self.asked.request)
        return [command_id for request in given_up for command_id in request.settles]

    def _write(self, request: Request | None) -> list[Frame]:
        """The frame of a request. One that nobody wants any more is passed over."""
        while request is not None and self._pointless(request):
            self.arbiter.busy = False
            request = self.arbiter.resume()
        if request is None:
            return []
        self._count += 1
        event_id = f"{request.answers[0][:LONGEST_ID] if request.answers else 'request'}.response{self._count}"
        self.asked = Asked(request, event_id)
        return [as_json(self._frame(request, event_id))]

    def _frame(self, request: Request, event_id: str) -> dict[str, Any]:
        options = dict(getattr(request, "options", {}))
        body: dict[str, Any] = {}
        if (effort := options.pop("reasoning_effort", None)) is not None:
            body["reasoning"] = {"effort": effort}
        metadata = dict(options.pop("metadata", {}))
        if isinstance(choice := options.get("tool_choice"), str):
            options["tool_choice"] = wire_tool_choice(choice)
        body |= options
        if request.instructions:
            # The wire replaces the session's instructions; the contract adds to them.
            body["instructions"] = "\n".join(filter(None, (self.instructions, request.instructions)))
        if request.aside:
            body["conversation"] = "none"
        if request.modality and self._text_output:
            body["output_modalities"] = [request.modality]
        if self._metadata:
            body["metadata"] = metadata | {_KEY: event_id}
        frame: dict[str, Any] = {"type": "response.create", "event_id": event_id}
        return frame | ({"response": body} if body else {})


def request_of(command: Respond) -> ResponseRequest:
    """The request of a `Respond`."""
    return ResponseRequest(
        cause="request",
        answers=(command.id,),
        settles=(command.id,),
        instructions=command.instructions,
        aside=command.aside,
        modality=command.modality,
        options=dict(command.options),
        waits=False,
    )
