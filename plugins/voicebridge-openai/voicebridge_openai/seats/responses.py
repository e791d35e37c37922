"""The responses API: the answer out of a stream of events. Pure.

Shapes are those of `types/responses/response_*_event.py` of the `openai` SDK 3.54.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Progress, ToolRequest, Usage
from voicebridge.transport.body import Body
from voicebridge.transport.sse import SseEvent, SseParser

from .event_json import event_object
from .http_errors import call_cut_off, cut_off, filtered, only_thoughts, told
from .thoughts import ThoughtFilter, Thoughts
from .token_usage import estimated, model_usage
from .tool_calls import new_call_id, tool_request

__all__ = ["ResponsesBody"]

Output = str | ToolRequest | Usage | Progress
_WORDS = ("response.output_text.delta", "response.refusal.delta")
_ENDS = ("response.completed", "response.incomplete")


class ResponsesBody(Body[Output]):
    """One answer.

    Args:
        asked: characters of the request, to estimate its tokens where the server tells none.
        thoughts: how the model's thoughts begin.
    """

    def __init__(self, asked: int = 0, *, thoughts: Thoughts = "tagged") -> None:
        self._parser, self._thoughts = SseParser(), ThoughtFilter(thoughts)
        self._asked, self._written = asked, 0
        self._told: set[str] = set()
        """Ids of the calls that were passed on."""
        self._ended = False
        self._answered = self._thought = False
        """Whether there was anything but thoughts, and whether there were thoughts."""

    def feed(self, data: bytes) -> Iterable[Output]:
        """See `Body.feed`."""
        for event in self._parser.feed(data):
            yield from self._event(event)

    def end(self) -> Iterable[Output]:
        """See `Body.end`."""
        for event in self._parser.end():
            yield from self._event(event)
        if not self._ended:
            raise cut_off("answer")

    def _event(self, received: SseEvent) -> Iterator[Output]:
        if received.data.strip() == "[DONE]":  # compatible servers send it here, too
            return
        event = event_object(received.data)
        kind = event.get("type") or received.event
        if kind in _WORDS:
            text = event.get("delta")
            if isinstance(text, str) and text:
                self._written += len(text)
                yield from self._said(self._thoughts.feed(text))
        elif kind == "response.output_item.done":
            yield from self._call(event.get("item"))
        elif kind in _ENDS:
            yield from self._end(event.get("response"))
        elif kind == "response.failed":
            response = event.get("response")
            raise VoiceBridgeError(told(response.get("error") if isinstance(response, Mapping) else None))
        elif kind == "error" or "error" in event:
            raise VoiceBridgeError(told(event.get("error") or {**event, "type": None}))
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self._thought = self._thought or kind.startswith("response.reasoning")
            yield Progress()

    def _said(self, text: str) -> Iterator[Output]:
        if text:
            self._answered = True
            yield text
        if self._thoughts.thinking:
            self._thought = True
            yield Progress()

    def _call(self, item: object) -> Iterator[Output]:
        if not isinstance(item, Mapping) or item.get("type") != "function_call":
            return
        call_id = item.get("call_id") or item.get("id")
        call_id = call_id if isinstance(call_id, str) and call_id else new_call_id()
        if call_id not in self._told:
            self._told.add(call_id)
            name, arguments = item.get("name"), item.get("arguments")
            name, self._answered = name if isinstance(name, str) else "", True
            if item.get("status") == "incomplete":
                raise call_cut_off(name)
            yield tool_request(call_id, name, "" if arguments is None else arguments)

    def _end(self, response: object) -> Iterator[Output]:
        response = response if isinstance(response, Mapping) else {}
        details = response.get("incomplete_details")
        if isinstance(details, Mapping) and details.get("reason") == "content_filter":
            raise filtered()
        self._ended = True
        yield from self._said(self._thoughts.flush())
        output = response.get("output")
        for item in output if isinstance(output, list) else ():
            yield from self._call(item)
        if self._thought and not self._answered:
            raise only_thoughts()
        yield model_usage(response.get("usage")) or estimated(self._asked, self._written)
