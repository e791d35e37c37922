"""What each event of the vendor does: to the state of the connection, to the application, and back to the vendor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.events import (
    Limit,
    OutputHeard,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    SessionNotice,
    SessionReady,
    ToolCall,
    UsageReported,
    UserTurn,
)

from .conversation import Conversation, Outcome
from .output import Response
from .refusals import refused
from .requests import Asked
from .sent import What
from .session_settings import format_from
from .usage import response_units
from .vendor_errors import fault_of

__all__ = ["Received"]

Fields = Mapping[str, Any]
_STATUS: dict[object, Literal["completed", "interrupted", "incomplete", "failed"]] = {
    "completed": "completed",
    "cancelled": "interrupted",
    "incomplete": "incomplete",
    "failed": "failed",
}
_SILENT = frozenset(
    {
        "output_audio_buffer.cleared",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "ping",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.output_text.done",
    }
)
"""Events that say nothing that another one of the same moment does not say, too. What shows that a response goes on
though it has nothing to say yet (its calls being written, tools of the vendor's) is not among them."""
_OUTPUT_ITEMS = ("message", "function_call")


class Received:
    """Takes the vendor's events, one by one."""

    def __init__(self, conversation: Conversation, capabilities: Callable[[], Capabilities]) -> None:
        self._on, self._capabilities = conversation, capabilities
        self._handlers: dict[str, Callable[[Fields], list[Outcome]]] = {
            "conversation.created": self._conversation_created,
            "conversation.item.added": self._item_added,
            "conversation.item.created": self._item_added,
            "conversation.item.deleted": self._item_deleted,
            "conversation.item.done": self._item_added,
            "conversation.item.input_audio_transcription.completed": self._transcript_completed,
            "conversation.item.input_audio_transcription.delta": self._transcript_grew,
            "conversation.item.input_audio_transcription.failed": self._transcript_failed,
            "conversation.item.input_audio_transcription.updated": self._transcript_grew,
            "conversation.item.truncated": self._item_truncated,
            "error": self._error,
            "input_audio_buffer.cleared": self._cleared,
            "input_audio_buffer.committed": self._committed,
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.speech_stopped": self._speech_stopped,
            "input_audio_buffer.timeout_triggered": self._timed_out,
            "rate_limits.updated": self._rate_limits,
            "response.created": self._response_created,
            "response.done": self._response_done,
            "response.function_call_arguments.done": self._arguments_done,
            "response.output_audio_transcript.delta": self._speech_text,
            "response.output_item.added": self._output_item_added,
            "response.output_item.done": self._output_item_done,
            "response.output_text.delta": self._plain_text,
            "session.created": self._session_created,
            "session.updated": self._session_updated,
        }

    def take(self, kind: str, frame: Fields) -> list[Outcome]:
        """What follows from one event."""
        handler = self._handlers.get(kind)
        if handler is not None:
            return handler(frame)
        return [] if kind in _SILENT else self._passed_on(kind, frame)

    def _passed_on(self, kind: str, frame: Fields) -> list[Outcome]:
        """In the vendor's own words. What is of a response says of which, so that it counts as a sign of life."""
        of = self._on.output.find(frame.get("response_id")) or self._on.output.owner(frame.get("item_id"))
        if of is None:
            return [ProviderEvent(kind=kind, payload=frame)]
        return [ProviderEvent(kind=kind, payload={**frame, "response_id": of.id})] if of.told else []

    # The session

    def _session_created(self, frame: Fields) -> list[Outcome]:
        session = _object(frame, "session")
        self._on.session_id = _text(session, "id") or self._on.session_id
        self._on.served_model = _text(session, "model") or self._on.served_model
        return []

    def _conversation_created(self, frame: Fields) -> list[Outcome]:
        """The dialect that does not number its sessions numbers its conversations."""
        self._on.session_id = self._on.session_id or _text(_object(frame, "conversation"), "id")
        return []

    def _session_updated(self, frame: Fields) -> list[Outcome]:
        sent = self._on.sent.take_oldest("update")
        if sent is not None:
            self._on.taken.answered(sent.command_id, taken=True)
        self._session_created(frame)
        session = _object(frame, "session")
        self._learn(session)
        if self._on.ready:
            return self._on.settle(sent.command_id) if sent else []
        self._on.ready = True
        on, audio = self._on, _object(session, "audio")
        on.input.format = format_from(_object(audio, "input").get("format"), on.input.format)
        on.output.format = format_from(_object(audio, "output").get("format"), on.output.format)
        return [
            SessionReady(
                session_id=on.session_id,
                model=f"{on.dialect.name}/{on.served_model}",
                capabilities=self._capabilities(),
                input_format=on.input.format,
                output_format=on.output.format,
                expires_in_s=on.max_session_s,
            )
        ]

    def _learn(self, session: Fields) -> None:
        """What the vendor adds to the times of the user's turns."""
        detection = session.get("turn_detection") or _object(_object(session, "audio"), "input").get("turn_detection")
        if not isinstance(detection, Mapping) or detection.get("type") != "server_vad":
            return
        turns = self._on.turns
        turns.padding_ms = _number(detection, "prefix_padding_ms", turns.padding_ms)
        turns.silence_ms = _number(detection, "silence_duration_ms", turns.silence_ms)

    def _rate_limits(self, frame: Fields) -> list[Outcome]:
        rows = frame.get("rate_limits")
        limits = tuple(
            Limit(
                name=row["name"],
                limit=_number(row, "limit", None),
                remaining=_number(row, "remaining", None),
                reset_s=_number(row, "reset_seconds", None),
            )
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, Mapping) and isinstance(row.get("name"), str)
        )
        return [SessionNotice(limits=limits)] if limits else []

    def _error(self, frame: Fields) -> list[Outcome]:
        return refused(self._on, _object(frame, "error"))

    # The user

    def _speech_started(self, frame: Fields) -> list[Outcome]:
        events = self._on.turns.started(frame)
        self._on.heed_the_floor()
        return [*events]

    def _speech_stopped(self, frame: Fields) -> list[Outcome]:
        return [*self._on.turns.stopped(frame)]

    def _timed_out(self, frame: Fields) -> list[Outcome]:
        self._on.turns.timed_out(frame)
        return [ProviderEvent(kind="input_audio_buffer.timeout_triggered", payload=frame)]

    def _committed(self, frame: Fields) -> list[Outcome]:
        on = self._on
        turn = on.turns.knows(frame.get("item_id"))
        if turn is not None and turn.over:
            return []
        by_vendor = on.turns.silent(frame.get("item_id")) or (turn is not None and turn.phase == "pause")
        sent = None if by_vendor else on.sent.take_oldest("commit")
        if sent is not None:
            ended, end_ms = sent.about
            events: list[Outcome] = [*on.turns.committed(frame.get("item_id"), by=ended, end_ms=end_ms)]
            on.heed_the_floor()
            return [*events, *on.settle(sent.command_id), *on.turns.told_late(), *on.requests.resume()]
        events = [*on.turns.committed(frame.get("item_id"))]
        on.input.take(on.turns.committed_ms or None)
        on.heed_the_floor()
        for event in events[-1:] if on.answers_by_itself else ():
            if isinstance(event, UserTurn):
                on.turns.will_be_answered(event.turn_id)
        return events if on.answers_by_itself or on.mode == "manual" else [*events, *on.requests.resume()]

    def _cleared(self, frame: Fields) -> list[Outcome]:
        on = self._on
        sent = on.sent.take_oldest("clear")
        if sent is None:
            return []
        events: list[Outcome] = [*on.turns.discarded("client")]
        on.heed_the_floor()
        return [*events, *on.settle(sent.command_id), *on.requests.resume()]

    def _transcript_grew(self, frame: Fields) -> list[Outcome]:
        return [*self._on.turns.transcript_grew(frame)]

    def _transcript_completed(self, frame: Fields) -> list[Outcome]:
        events = self._on.turns.transcript_completed(frame)
        # The vendor should have answered by now; if it does not, what waited for its answer waits no longer.
        return [*events, *self._on.requests.resume()] if events else []

    def _transcript_failed(self, frame: Fields) -> list[Outcome]:
        return [*self._on.turns.transcript_failed(frame, fault_of(frame.get("error")))]

    # Items

    def _item_added(self, frame: Fields) -> list[Outcome]:
        on, item = self._on, _object(frame, "item")
        item_id = item.get("id")
        if not isinstance(item_id, str) or on.turns.knows(item_id) or on.output.owner(item_id) or _is_the_vendors(item):
            return []
        if on.seen(item_id):
            return []
        sent = on.sent.take_item(item)
        if sent is None or sent.command_id is None:
            return []
        on.requests.unsettled_items.discard(sent.command_id)
        return [] if sent.command_id in on.settled_by_response else on.settle(sent.command_id)

    def _item_truncated(self, frame: Fields) -> list[Outcome]:
        return self._cut(frame, "cut", frame.get("audio_end_ms"))

    def _item_deleted(self, frame: Fields) -> list[Outcome]:
        return self._cut(frame, "delete", 0)

    def _cut(self, frame: Fields, what: What, end_ms: object) -> list[Outcome]:
        """An item was shortened, by an `Interrupt` or by a command in the vendor's own words."""
        on, item_id = self._on, frame.get("item_id")
        if not isinstance(item_id, str):
            return []
        if (sent := on.sent.take_oldest(what, item_id)) is not None:
            return [*on.interruptions.cut(sent.command_id, item_id)]
        found = on.output.holding(item_id)
        if found is None or isinstance(end_ms, bool) or not isinstance(end_ms, int | float) or not found[0].told:
            return []
        response, item = found
        if what == "delete":
            response.deleted.add(item_id)
        audio = on.output.format
        heard_ms = audio.ms(item.start) + max(0.0, min(float(end_ms), audio.ms(item.size)))
        text = response.text_until(heard_ms, audio)
        return [OutputHeard(response_id=response.id, heard_ms=heard_ms, text=text, basis="estimated")]

    # Responses

    def _response_created(self, frame: Fields) -> list[Outcome]:
        on, body = self._on, _object(frame, "response")
        response_id = body.get("id")
        if not isinstance(response_id, str) or not response_id or on.output.find(response_id):
            return []
        asked = on.requests.claim(body.get("metadata"), vendor_answers=bool(on.turns.unanswered))
        if asked is not None:
            response = Response(response_id)
            response.passes_over = () if asked.request.aside else tuple(on.turns.unanswered)
            return self._start(response, asked)
        ended = self._inferred_end()
        turn_ids, unwanted = on.turns.answered()
        if unwanted:
            on.requests.arbiter.busy = True
            return [*ended, *self._start(Response(response_id), None)]
        return [*ended, *self._start(Response(response_id), Asked(on.requests.absorbed(turn_ids), ""))]

    def _inferred_end(self) -> list[Outcome]:
        """Some servers answer a turn and never say that they have committed it."""
        on, turn = self._on, self._on.turns.open
        if on.turns.unanswered or turn is None or turn.phase != "pause":
            return []
        events = on.turns.committed(None, source="inferred")
        on.input.take(on.turns.committed_ms)
        on.turns.will_be_answered(turn.id)
        on.heed_the_floor()
        return [*events]

    def _start(self, response: Response, asked: Asked | None) -> list[Outcome]:
        """A response begins; one that nobody waits for any more is cancelled, and nothing of it is told."""
        on = self._on
        on.output.start(response)
        response.aside = asked is not None and asked.request.aside
        if asked is None or asked.withdrawn:
            response.told = response.wanted = False
            return [on.sent.write("cancel", None, _cancel(response.id), response.id)]
        request = asked.request
        outcomes: list[Outcome] = [
            ResponseStarted(response_id=response.id, cause=request.cause, answers=request.answers, aside=request.aside)
        ]
        for command_id in (*request.answers, *request.settles):
            outcomes += on.settle(command_id)
        return outcomes

    def _speech_text(self, frame: Fields) -> list[Outcome]:
        return [*self._on.output.text(frame, "speech")]

    def _plain_text(self, frame: Fields) -> list[Outcome]:
        return [*self._on.output.text(frame, "text")]

    def _output_item_added(self, frame: Fields) -> list[Outcome]:
        self._on.output.item_added(frame)
        return self._other_item("response.output_item.added", frame)

    def _output_item_done(self, frame: Fields) -> list[Outcome]:
        response = self._on.output.find(frame.get("response_id"))
        other = self._other_item("response.output_item.done", frame)
        return other + self._calls([*self._on.output.item_done(response, frame.get("item"))])

    def _other_item(self, kind: str, frame: Fields) -> list[Outcome]:
        """Items that become no output: reasoning, and what the vendor's own tools do."""
        item_type = _object(frame, "item").get("type")
        return self._passed_on(kind, frame) if isinstance(item_type, str) and item_type not in _OUTPUT_ITEMS else []

    def _arguments_done(self, frame: Fields) -> list[Outcome]:
        return self._calls([*self._on.output.arguments_done(frame)])

    def _calls(self, outcomes: list[Outcome]) -> list[Outcome]:
        for outcome in outcomes:
            if isinstance(outcome, ToolCall):
                self._on.requests.arbiter.open_call(outcome.call_id, outcome.response_id)
        return outcomes

    def _response_done(self, frame: Fields) -> list[Outcome]:
        on, body = self._on, _object(frame, "response")
        response = on.output.find(body.get("id"))
        if response is None or not response.running:
            return []
        items = body.get("output")
        outcomes: list[Outcome] = []
        for item in items if isinstance(items, list) else ():
            outcomes += self._calls([*on.output.item_done(response, item)])
        response.running = False
        on.turns.passed_over(response.passes_over)
        on.sent.take_oldest("cancel", response.id)
        units = response_units(body.get("usage") or frame.get("usage")) if on.dialect.usage else {}
        if units:
            of = response.id if response.told else None
            model = f"{on.dialect.name}/{on.served_model}"
            outcomes.append(UsageReported(units=units, model=model, basis="exact", response_id=of))
        if response.told:
            outcomes.append(self._ending(response, body))
        outcomes += on.interruptions.cancelled(response.id)
        if on.dialect.delete and not response.aside:
            for item_id in response.unheard():
                response.deleted.add(item_id)
                delete = {"type": "conversation.item.delete", "item_id": item_id}
                outcomes.append(on.sent.write("delete", None, delete, item_id))
        return [*outcomes, *on.requests.ended(response.id, others_run=on.in_the_way(response))]

    def _ending(self, response: Response, body: Fields) -> ResponseEnded:
        details = _object(body, "status_details")
        status = _STATUS.get(body.get("status") if isinstance(body.get("status"), str) else "completed", "failed")
        if not response.wanted:
            status = "interrupted"  # even if it was complete before the vendor read our cancellation
        fault = fault_of(details.get("error")) if status == "failed" else None
        reason = _text(details, "reason") or None
        return ResponseEnded(response_id=response.id, status=status, reason=reason, fault=fault)


def _is_the_vendors(item: Fields) -> bool:
    """Whether an item can't be one that we sent: the user's voice, or an answer that has only begun."""
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    spoken = any(isinstance(part, Mapping) and part.get("type") == "input_audio" for part in parts)
    return spoken or (item.get("role") == "assistant" and item.get("status") == "in_progress")


def _cancel(response_id: str) -> dict[str, str]:
    return {"type": "response.cancel", "response_id": response_id}


def _object(of: Fields, name: str) -> Fields:
    value = of.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(of: Fields, name: str) -> str:
    value = of.get(name)
    return value if isinstance(value, str) else ""


def _number(of: Fields, name: str, otherwise: Any) -> Any:
    value = of.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
