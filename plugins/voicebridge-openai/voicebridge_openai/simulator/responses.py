"""The responses of a session: which may begin, what they see, what they answer, and how they are stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from voicebridge.testing.simulator.turn_log import TurnRecord

from .background import Background
from .client_event import Event
from .conversation import Entry
from .hearing import Hearing
from .input_buffer import InputBuffer
from .item_rules import checked_item
from .protocol_error import ProtocolError, wrong_type
from .replies import Part, echo, read_reply
from .response_request import ResponseRequest, read_request
from .response_run import ResponseRun
from .stage import Stage, stamp

__all__ = ["Responses"]

_TOKENS_A_MINUTE = 15_000_000


class Responses:
    """One at a time in the conversation, any number beside it."""

    def __init__(self, stage: Stage, hearing: Hearing, audio: InputBuffer, background: Background) -> None:
        self.unanswered: TurnRecord | None = None
        """Of audio that is committed, and that no response answers yet."""
        self._stage = stage
        self._hearing = hearing
        self._input = audio
        self._background = background
        self._script = [read_reply(reply) for reply in stage.options.replies]
        self._active: ResponseRun | None = None
        """The response that writes into the conversation, or did last."""
        self._runs: dict[str, ResponseRun] = {}
        """All that run, those out of band too, by their id."""
        self._remaining = _TOKENS_A_MINUTE

    @property
    def running(self) -> ResponseRun | None:
        """The response that writes into the conversation."""
        return self._active if self._active is not None and not self._active.over.is_set() else None

    async def create(self, event: Event) -> None:
        """Take a `response.create`.

        Raises:
            ProtocolError: a setting does not fit, or another response runs.
        """
        request = read_request(event.get("response"), self._stage.session, event.get("event_id"))
        if self._stage.options.start_ms:
            self._background.start(self._begin_later(request))
        else:
            await self._begin_requested(request)

    async def cancel(self, event: Event) -> None:
        """Take a `response.cancel`.

        Raises:
            ProtocolError: there is no such response that runs.
        """
        wanted = event.get("response_id")
        if wanted is not None and not isinstance(wanted, str):
            raise wrong_type("response_id", "a string", wanted)
        run = self.running if wanted is None else self._runs.get(wanted)
        if run is not None and not run.over.is_set():
            await run.stop("client_cancelled")
        elif not self._stage.outbox.dialect.silent_cancel:
            raise ProtocolError("response_cancel_not_active", "Cancellation failed: no active response found")

    async def answer(self) -> ResponseRun | None:
        """Begin the response to what the user said; an error is sent where another one runs."""
        if self.running:
            await self._stage.outbox.error(_already_active())
            return None
        return await self._begin(read_request(None, self._stage.session))

    async def _begin_later(self, request: ResponseRequest) -> None:
        await asyncio.sleep(self._stage.options.start_ms / 1000)
        try:
            await self._begin_requested(request)
        except ProtocolError as error:
            await self._stage.outbox.error(error, request.event_id)

    async def _begin_requested(self, request: ResponseRequest) -> None:
        if not request.aside and self.running:
            raise _already_active()
        await self._begin(request, requested=True)

    async def _begin(self, request: ResponseRequest, *, requested: bool = False) -> ResponseRun:
        context = list(self._stage.conversation) if request.input is None else self._inputs(request.input)
        record = (None if request.aside else self.unanswered) or self._stage.new_record("request")
        if requested:
            stamp(record, "requested")
        run = ResponseRun(self._stage, request, context, record)
        self._runs[run.id] = run
        if not request.aside:
            self._input.waits_no_more()
            self._active, self.unanswered = run, None
        await run.begin()
        self._background.start(self._finish(run, lambda: self._reply(request, context)))
        return run

    async def _finish(self, run: ResponseRun, reply: Callable[[], Awaitable[Sequence[Part]]]) -> None:
        try:
            await run.run(reply)
        finally:
            del self._runs[run.id]
        if not run.request.aside:
            self._input.answered(run.audio_ms)
        if self._stage.options.rate_limits:
            self._remaining = max(self._remaining - 600, 0)
            limit = {"name": "tokens", "limit": _TOKENS_A_MINUTE, "remaining": self._remaining, "reset_seconds": 0.002}
            await self._stage.outbox.send("rate_limits.updated", rate_limits=[limit])

    async def _reply(self, request: ResponseRequest, context: Sequence[Entry]) -> Sequence[Part]:
        if self._script and not request.aside:
            return self._script.pop(0)
        if context:
            await self._hearing.understood(context[-1].id)
        return echo(context, request.instructions, request.tools, request.tool_choice)

    def _inputs(self, items: list[Any]) -> list[Entry]:
        """What a response sees in place of the conversation.

        Raises:
            ProtocolError: an item does not fit, or one that is referred to does not exist.
        """
        entries = []
        for index, item in enumerate(items):
            if isinstance(item, dict) and item.get("type") == "item_reference":
                entry = self._stage.conversation.entry(item.get("id"))
                if entry is None:
                    param = f"response.input[{index}].id"
                    raise ProtocolError("invalid_value", f"Item with id '{item.get('id')}' not found.", param)
                entries.append(entry)
                continue
            ids, audio = self._stage.outbox.identifiers, self._stage.session.input_format
            kept, ms = checked_item(item, ids.new("item"), f"call_{ids.signs(16)}", audio)
            entries.append(Entry(item=kept, audio_ms=ms))
        return entries


def _already_active() -> ProtocolError:
    return ProtocolError(
        "conversation_already_has_active_response",
        "Conversation already has an active response in progress. Wait until the response is finished before creating "
        "a new one.",
    )
