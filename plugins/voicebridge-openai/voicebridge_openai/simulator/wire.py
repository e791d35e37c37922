"""One client's session: takes client events, keeps the conversation, begins and stops responses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.testing.simulator.profile import StageDraws
from voicebridge.testing.simulator.turn_log import TurnLog, TurnRecord
from voicebridge.testing.simulator.voice import voice_named
from voicebridge.testing.simulator.wire import Link

from .client_event import Event, check_event, parsed
from .conversation import Conversation, Entry
from .dialects import DIALECTS
from .hearing import Hearing
from .identifiers import Identifiers
from .input_buffer import Found, InputBuffer, Utterance
from .item_rules import checked_item, decoded_audio
from .options import WireOptions
from .outbox import Outbox
from .protocol_error import ProtocolError, missing, wrong_type
from .replies import Part, echo, read_reply
from .response_request import ResponseRequest, read_request
from .response_run import ResponseRun, Stage
from .session_state import SessionState
from .usage import Meter

__all__ = ["RealtimeWire"]

_logger = logging.getLogger("voicebridge.simulator")
_TOKENS_A_MINUTE = 15_000_000


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
        closed: Callable[[], None],
    ) -> None:
        self._link = link
        self._options = options
        self._ids = identifiers
        self._beta = beta
        self._closed = closed
        self._draws = draws
        self._dialect = DIALECTS[options.dialect]
        self._outbox = Outbox(link, identifiers, self._dialect)
        self._session_s = self._dialect.session_s if options.session_s is None else options.session_s
        expires = None if self._session_s is None else int(time.time() + self._session_s)
        self._session = SessionState(identifiers.new("sess"), model, expires, options.silence_ms, self._dialect)
        if settings:
            self._session.update(settings)
        self._hearing = Hearing(options, self._outbox, draws)
        self._input = InputBuffer(self._session, options.detector, keep=self._hearing.wants_audio)
        self._conversation = Conversation()
        self._script = [read_reply(reply) for reply in options.replies]
        self._stage = Stage(
            outbox=self._outbox,
            session=self._session,
            conversation=self._conversation,
            conversation_id=identifiers.new("conv"),
            options=options,
            voice=voice_named(options.voice, ms_per_char=options.ms_per_char),
            meter=Meter(),
            draws=draws,
            log=log,
        )
        self._heard = asyncio.Event()
        """The client has sent something."""
        self._active: ResponseRun | None = None
        """The response that writes into the conversation, or did last."""
        self._runs: dict[str, ResponseRun] = {}
        """All that run, those out of band too, by their id."""
        self._understanding: dict[str, asyncio.Task[str]] = {}
        """By the item's id: what it says, where that is not known yet."""
        self._turn_id: str | None = None
        """The item of the speech that goes on."""
        self._speech = self._new_record("speech")
        """Of the speech that goes on, or went on last."""
        self._unanswered: TurnRecord | None = None
        """Of audio that is committed, and that no response answers yet."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._remaining = _TOKENS_A_MINUTE
        self._handlers: dict[str, Callable[[Event], Awaitable[None]]] = {
            "session.update": self._update_session,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
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
                self._in_background(work(seconds))

    async def received(self, frame: str | bytes) -> None:
        """See `Wire.received`."""
        event: Any = None
        self._heard.set()
        try:
            event = parsed(frame)
            check_event(event, self._dialect.lacks)
            if event["type"] not in self._dialect.ignores:
                await self._handlers[event["type"]](event)
        except ProtocolError as error:
            await self._outbox.error(error, event.get("event_id") if isinstance(event, dict) else None)

    async def aclose(self) -> None:
        """See `Wire.aclose`."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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

    # The user's audio

    async def _append(self, event: Event) -> None:
        if "audio" not in event:
            raise missing("audio")
        steps = {"speech": self._speech_began, "end": self._speech_ended, "idle": self._waited}
        for found in await self._input.append(decoded_audio(event["audio"], "audio")):
            await steps[found.phase](found)

    async def _speech_began(self, found: Found) -> None:
        detection = self._session.turn_detection or {}
        self._turn_id = self._ids.new("item")
        self._speech = self._new_record("speech")
        start = self._input.speech_began(found.ms)
        self._speech.audio_ms["started"] = start
        interrupted = self._running() if detection.get("interrupt_response") else None
        if interrupted and self._dialect.stops_first:
            await interrupted.stop("turn_detected")
        await self._outbox.send("input_audio_buffer.speech_started", audio_start_ms=start, item_id=self._turn_id)
        _stamp(self._speech, "speech_started")
        if interrupted:
            await interrupted.stop("turn_detected")

    async def _speech_ended(self, found: Found) -> None:
        detection = self._session.turn_detection
        if self._turn_id is None or detection is None:
            return  # its audio was committed or cleared by hand
        item_id, self._turn_id = self._turn_id, None
        self._speech.audio_ms["last_speech"] = found.ms
        end, utterance = self._input.speech_ended(found.ms)
        self._speech.audio_ms["stopped"] = end
        await self._outbox.send("input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=item_id)
        _stamp(self._speech, "speech_stopped")
        entry, understanding = await self._add_spoken(item_id, utterance, self._speech)
        answer = None
        if detection["create_response"]:
            if self._running():
                await self._outbox.error(_already_active())
            else:
                answer = await self._begin(read_request(None, self._session))
        self._transcribe(entry, utterance, understanding, answer)

    async def _waited(self, found: Found) -> None:
        if self._running():
            return
        start, end, silence = self._input.waited(found.ms)
        item_id = self._ids.new("item")
        await self._outbox.send(
            "input_audio_buffer.timeout_triggered", audio_start_ms=start, audio_end_ms=end, item_id=item_id
        )
        entry, understanding = await self._add_spoken(item_id, silence, self._new_record("idle"), silent=True)
        answer = await self._begin(read_request(None, self._session))
        self._transcribe(entry, silence, understanding, answer)

    async def _commit(self, event: Event) -> None:
        utterance = await self._input.commit()
        item_id, self._turn_id = self._turn_id or self._ids.new("item"), None
        entry, understanding = await self._add_spoken(item_id, utterance, self._new_record("request"))
        self._transcribe(entry, utterance, understanding, None)

    async def _clear(self, event: Event) -> None:
        await self._input.clear()
        self._turn_id = None
        await self._outbox.send("input_audio_buffer.cleared")

    async def _add_spoken(
        self, item_id: str, utterance: Utterance, record: TurnRecord, *, silent: bool = False
    ) -> tuple[Entry, asyncio.Task[str]]:
        content = [{"type": "input_audio", "transcript": None}]
        item: Event = {"id": item_id, "type": "message", "status": "completed", "role": "user", "content": content}
        entry = Entry(item=item, audio_ms=utterance.ms)
        understanding = self._in_background(_nothing() if silent else self._understand(entry, utterance))
        self._understanding[item_id] = understanding
        understanding.add_done_callback(lambda _: self._understanding.pop(item_id, None))
        previous = self._conversation.last_id
        await self._outbox.send("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        _stamp(record, "committed")
        self._unanswered = record
        await self._add(entry)
        return entry, understanding

    async def _understand(self, entry: Entry, utterance: Utterance) -> str:
        entry.heard = await self._hearing.understand(utterance)
        return entry.heard

    def _transcribe(
        self, entry: Entry, utterance: Utterance, understanding: asyncio.Task[str], answer: ResponseRun | None
    ) -> None:
        if (wanted := self._session.transcription) is not None:
            self._in_background(self._hearing.tell(entry, utterance.ms, understanding, wanted["model"], answer))

    # The conversation

    async def _create_item(self, event: Event) -> None:
        if "item" not in event:
            raise missing("item")
        ids, audio = self._ids, self._session.input_format
        item, audio_ms = checked_item(event["item"], ids.new("item"), f"call_{ids.signs(16)}", audio)
        heard = " ".join(part.get("transcript") or "" for part in item.get("content", ()))
        await self._add(Entry(item=item, audio_ms=audio_ms, heard=heard.strip()), event.get("previous_item_id"))

    async def _add(self, entry: Entry, previous_item_id: Any = None) -> None:
        before = self._conversation.add(entry, previous_item_id)
        await self._outbox.send("conversation.item.added", previous_item_id=before, item=entry.item)
        await self._outbox.send("conversation.item.done", previous_item_id=before, item=entry.item)

    async def _delete_item(self, event: Event) -> None:
        self._conversation.delete(event.get("item_id"))
        await self._outbox.send("conversation.item.deleted", item_id=event["item_id"])

    async def _retrieve_item(self, event: Event) -> None:
        item = self._conversation.retrieve(event.get("item_id"))
        await self._outbox.send("conversation.item.retrieved", item=item)

    async def _truncate_item(self, event: Event) -> None:
        for name in ("item_id", "content_index", "audio_end_ms"):
            if name not in event:
                raise missing(name)
        where = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        self._conversation.truncate(**where)
        await self._outbox.send("conversation.item.truncated", **where)

    # Responses

    async def _create_response(self, event: Event) -> None:
        request = read_request(event.get("response"), self._session, event.get("event_id"))
        if self._options.start_ms:
            self._in_background(self._begin_later(request))
        else:
            await self._begin_requested(request)

    async def _begin_later(self, request: ResponseRequest) -> None:
        await asyncio.sleep(self._options.start_ms / 1000)
        try:
            await self._begin_requested(request)
        except ProtocolError as error:
            await self._outbox.error(error, request.event_id)

    async def _begin_requested(self, request: ResponseRequest) -> None:
        if not request.aside and self._running():
            raise _already_active()
        await self._begin(request, requested=True)

    async def _cancel_response(self, event: Event) -> None:
        wanted = event.get("response_id")
        if wanted is not None and not isinstance(wanted, str):
            raise wrong_type("response_id", "a string", wanted)
        run = self._running() if wanted is None else self._runs.get(wanted)
        if run is None:
            if self._dialect.silent_cancel:
                return
            message = "Cancellation failed: no active response found"
            raise ProtocolError("response_cancel_not_active", message)
        await run.stop("client_cancelled")

    def _running(self) -> ResponseRun | None:
        return self._active if self._active is not None and not self._active.over.is_set() else None

    async def _begin(self, request: ResponseRequest, *, requested: bool = False) -> ResponseRun:
        context = list(self._conversation) if request.input is None else self._inputs(request.input)
        record = (None if request.aside else self._unanswered) or self._new_record("request")
        if requested:
            _stamp(record, "requested")
        run = ResponseRun(self._stage, request, context, record)
        self._runs[run.id] = run
        if not request.aside:
            self._input.waits_no_more()
            self._active, self._unanswered = run, None
        await run.begin()
        self._in_background(self._finish(run, lambda: self._reply(request, context)))
        return run

    async def _finish(self, run: ResponseRun, reply: Callable[[], Awaitable[Sequence[Part]]]) -> None:
        try:
            await run.run(reply)
        finally:
            del self._runs[run.id]
        if not run.request.aside:
            self._input.answered(run.audio_ms)
        if self._options.rate_limits:
            self._remaining = max(self._remaining - 600, 0)
            limit = {"name": "tokens", "limit": _TOKENS_A_MINUTE, "remaining": self._remaining, "reset_seconds": 0.002}
            await self._outbox.send("rate_limits.updated", rate_limits=[limit])

    async def _reply(self, request: ResponseRequest, context: Sequence[Entry]) -> Sequence[Part]:
        if self._script and not request.aside:
            return self._script.pop(0)
        if context and (understanding := self._understanding.get(context[-1].id)):
            # The model hears for itself: it answers also where the transcription failed.
            await asyncio.wait({understanding})
        return echo(context, request.instructions, request.tools, request.tool_choice)

    def _inputs(self, items: list[Any]) -> list[Entry]:
        """What a response sees in place of the conversation.

        Raises:
            ProtocolError: an item does not fit, or one that is referred to does not exist.
        """
        entries = []
        for index, item in enumerate(items):
            if isinstance(item, dict) and item.get("type") == "item_reference":
                entry = self._conversation.entry(item.get("id"))
                if entry is None:
                    param = f"response.input[{index}].id"
                    raise ProtocolError("invalid_value", f"Item with id '{item.get('id')}' not found.", param)
                entries.append(entry)
                continue
            ids = self._ids
            kept, ms = checked_item(item, ids.new("item"), f"call_{ids.signs(16)}", self._session.input_format)
            entries.append(Entry(item=kept, audio_ms=ms))
        return entries

    # Tasks and records

    def _in_background(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        # A recogniser's failure is told by whoever waits for it.
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, VoiceBridgeError):
            _logger.error("A session failed.", exc_info=error)

    def _new_record(self, cause: str) -> TurnRecord:
        return TurnRecord(connection=self._link.number, cause=cause, profile=self._draws.profile.name)


async def _nothing() -> str:
    """What is understood of silence."""
    return ""


def _stamp(record: TurnRecord, name: str) -> None:
    record.stamps[name] = asyncio.get_running_loop().time()


def _already_active() -> ProtocolError:
    return ProtocolError(
        "conversation_already_has_active_response",
        "Conversation already has an active response in progress. Wait until the response is finished before creating "
        "a new one.",
    )
