"""One client's session: takes its events to whoever they are for, and ends when its time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from voicebridge.testing.simulator.profile import StageDraws
from voicebridge.testing.simulator.turn_log import TurnLog
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import Link

from .background import Background
from .client_event import Event, check_event, parsed
from .conversation import Conversation, Entry
from .dialects import DIALECTS
from .hearing import Hearing
from .identifiers import Identifiers
from .input_buffer import InputBuffer
from .item_rules import checked_item
from .options import WireOptions
from .outbox import Outbox
from .protocol_error import ProtocolError, missing
from .responses import Responses
from .session_state import SessionState
from .stage import Stage
from .usage import Meter
from .user_turns import UserTurns

__all__ = ["RealtimeWire"]

_HEARS = ("session.update", "input_audio_buffer.")
"""What a session that only transcribes takes."""


class RealtimeWire:
    """Is a `Wire`."""

    def __init__(
        self,
        link: Link,
        options: WireOptions,
        draws: StageDraws,
        log: TurnLog,
        identifiers: Identifiers,
        *,
        model: str,
        settings: Event,
        beta: bool,
        only_transcribes: bool = False,
        closed: Callable[[], None],
    ) -> None:
        self._link = link
        self._options = options
        self._ids = identifiers
        self._beta = beta
        self._closed = closed
        self._dialect = DIALECTS[options.dialect]
        self._outbox = Outbox(link, identifiers, self._dialect)
        self._session_s = self._dialect.session_s if options.session_s is None else options.session_s
        self._session = self._new_session(model, settings, only_transcribes)
        self._stage = self._new_stage(draws, log)
        self._background = Background()
        self._hearing = Hearing(options, self._outbox, draws, self._background)
        self._input = InputBuffer(self._session, options.detector, keep=self._hearing.wants_audio)
        responses = Responses(self._stage, self._hearing, self._input, self._background)
        turns = UserTurns(self._stage, self._hearing, self._input, responses, self._background)
        self._heard = asyncio.Event()
        """The client has sent something."""
        self._handlers = self._handled_by(turns, responses)

    def _new_session(self, model: str, settings: Event, only_transcribes: bool) -> SessionState:
        session = SessionState(
            self._ids.new("sess"),
            model,
            None if self._session_s is None else int(time.time() + self._session_s),
            self._options.silence_ms,
            self._dialect,
            only_transcribes=only_transcribes,
        )
        if settings:
            session.update(settings)
        return session

    def _new_stage(self, draws: StageDraws, log: TurnLog) -> Stage:
        return Stage(
            number=self._link.number,
            outbox=self._outbox,
            session=self._session,
            conversation=Conversation(),
            conversation_id=self._ids.new("conv"),
            options=self._options,
            voice=voice_named(self._options.voice, ms_per_char=self._options.ms_per_char),
            meter=Meter(),
            draws=draws,
            log=log,
        )

    def _handled_by(self, turns: UserTurns, responses: Responses) -> dict[str, Callable[[Event], Awaitable[None]]]:
        return {
            "session.update": self._update_session,
            "input_audio_buffer.append": turns.append,
            "input_audio_buffer.commit": turns.commit,
            "input_audio_buffer.clear": turns.clear,
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": responses.create,
            "response.cancel": responses.cancel,
        }

    async def opened(self) -> None:
        """See `Wire.opened`."""
        if self._beta:
            message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            await self._outbox.error(ProtocolError("beta_api_shape_disabled", message))
            await self._link.close(4000, "beta_api_shape_disabled")
            return
        await self._input.configure()
        await self._outbox.send("session.created", session=self._session.shown())
        if not self._dialect.numbers_sessions:
            conversation = {"id": self._stage.conversation_id, "object": "realtime.conversation"}
            await self._outbox.send("conversation.created", conversation=conversation)
        for seconds, work in (
            (self._session_s, self._expire),
            (self._dialect.ping_s, self._ping),
            (self._dialect.idle_s, self._end_when_idle),
        ):
            if seconds is not None:
                self._background.start(work(seconds))

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        event: Any = None
        self._heard.set()
        try:
            event = parsed(frame)
            check_event(event, self._dialect.lacks)
            if self._session.only_transcribes and not event["type"].startswith(_HEARS):
                raise ProtocolError("invalid_value", f"A transcription session takes no {event['type']}.", "type")
            if event["type"] not in self._dialect.ignores:
                await self._handlers[event["type"]](event)
        except ProtocolError as error:
            await self._outbox.error(error, event.get("event_id") if isinstance(event, dict) else None)

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        await self._background.aclose()
        for part in (self._input, self._hearing, self._stage.voice):
            await part.aclose()
        self._closed()

    # The session

    async def _update_session(self, event: Event) -> None:
        if "session" not in event:
            raise missing("session")
        self._session.update(event["session"])
        await self._input.configure()
        await self._outbox.send("session.updated", session=self._session.shown())

    async def _expire(self, session_s: float) -> None:
        await asyncio.sleep(session_s)
        minutes = session_s / 60
        reason = f"Your session hit the maximum duration of {minutes:g} minutes."
        if self._options.session_end == "error":
            await self._outbox.error(ProtocolError("session_expired", reason))
        await self._link.close(1001, reason)

    async def _ping(self, seconds: float) -> None:
        while True:
            await self._outbox.send("ping")
            await asyncio.sleep(seconds)

    async def _end_when_idle(self, seconds: float) -> None:
        with suppress(TimeoutError):
            while True:
                self._heard.clear()
                await asyncio.wait_for(self._heard.wait(), seconds)
        await self._link.close(1000, f"No message for {seconds:g} seconds.")

    # The conversation

    async def _create_item(self, event: Event) -> None:
        if "item" not in event:
            raise missing("item")
        ids, audio = self._ids, self._session.input_format
        item, audio_ms = checked_item(event["item"], ids.new("item"), f"call_{ids.signs(16)}", audio)
        heard = " ".join(part.get("transcript") or "" for part in item.get("content", ()))
        await self._stage.add_item(
            Entry(item=item, audio_ms=audio_ms, heard=heard.strip()), event.get("previous_item_id")
        )

    async def _delete_item(self, event: Event) -> None:
        self._stage.conversation.delete(event.get("item_id"))
        await self._outbox.send("conversation.item.deleted", item_id=event["item_id"])

    async def _retrieve_item(self, event: Event) -> None:
        item = self._stage.conversation.retrieve(event.get("item_id"))
        await self._outbox.send("conversation.item.retrieved", item=item)

    async def _truncate_item(self, event: Event) -> None:
        for name in ("item_id", "content_index", "audio_end_ms"):
            if name not in event:
                raise missing(name)
        where = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        self._stage.conversation.truncate(**where)
        await self._outbox.send("conversation.item.truncated", **where)
