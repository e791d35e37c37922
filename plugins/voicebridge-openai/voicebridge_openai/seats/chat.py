"""Chat completions: the answer out of a stream of events. Pure.

Shapes are those of `types/chat/chat_completion_chunk.py` of the `openai` SDK 3.54. What compatible servers leave out or
do otherwise is borne: no `[DONE]`, no usage, `content: null`, deltas with nothing but a role, an error in the middle of
the stream, one JSON object instead of a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Progress, ToolRequest, Usage
from voicebridge.transport.body import Body
from voicebridge.transport.sse import SseEvent, SseParser

from .event_json import event_object
from .http_errors import cut_off, error_in, filtered, only_thoughts, told
from .thoughts import ThoughtFilter, Thoughts
from .token_usage import estimated, model_usage
from .tool_calls import ToolCalls, new_call_id

__all__ = ["ChatBody"]

Output = str | ToolRequest | Usage | Progress
_TAIL_BYTES = 4096


class ChatBody(Body[Output]):
    """One answer.

    Args:
        asked: characters of the request, to estimate its tokens where the server tells none.
        thoughts: how the model's thoughts begin.
    """

    def __init__(
        self, asked: int = 0, new_id: Callable[[], str] = new_call_id, *, thoughts: Thoughts = "tagged"
    ) -> None:
        self._parser = SseParser()
        self._thoughts, self._calls = ThoughtFilter(thoughts), ToolCalls(new_id)
        self._asked, self._written = asked, 0
        self._usage: Usage | None = None
        self._finished = self._done = False
        self._answered = self._thought = False
        """Whether there was anything but thoughts, and whether there were thoughts."""
        self._whole: bytearray | None = None
        """An answer that is one JSON object."""
        self._begun = False
        self._tail = b""
        """The last bytes that came: Ollama writes the error that ends a stream as a bare line of JSON, no event."""

    def feed(self, data: bytes) -> Iterable[Output]:
        """See `Body.feed`."""
        if not self._begun and data.strip():
            self._begun = True
            if data.lstrip().startswith(b"{"):
                self._whole = bytearray()
        if self._whole is not None:
            self._whole += data
            return
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        for event in self._parser.feed(data):
            yield from self._event(event)

    def end(self) -> Iterable[Output]:
        """See `Body.end`."""
        if self._whole is not None:
            yield from self._event(SseEvent("message", self._whole.decode("utf-8", "replace")))
        else:
            for event in self._parser.end():
                yield from self._event(event)
        if not (self._done or self._finished):
            for line in self._tail.splitlines():
                if line.startswith(b"{") and (error := error_in(line.decode("utf-8", "replace"))):
                    raise VoiceBridgeError(told(error))
            raise cut_off("answer")
        yield from self._closing()

    def _event(self, event: SseEvent) -> Iterator[Output]:
        if event.data.strip() == "[DONE]":
            if not self._done:
                yield from self._closing()
            return
        chunk = event_object(event.data)
        if error := chunk.get("error"):
            raise VoiceBridgeError(told(error))
        self._usage = model_usage(chunk.get("usage")) or self._usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, Mapping) and choice.get("index") in (0, None):
                yield from self._choice(choice)

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Output]:
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, Mapping):
            yield from self._delta(delta)
        reason = choice.get("finish_reason")
        if reason == "content_filter":
            raise filtered()
        if reason:
            self._finished = True
            yield from self._rest(cut=reason == "length")

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Output]:
        for name in ("content", "refusal"):
            text = _text(delta.get(name))
            if text:
                self._written += len(text)
                yield from self._said(self._thoughts.feed(text))
        for name in ("reasoning_content", "reasoning"):
            if text := _text(delta.get(name)):
                self._written += len(text)
                self._thought = True
                yield Progress()
        calls = delta.get("tool_calls")
        for piece in calls if isinstance(calls, list) else ():
            self._calls.feed(piece)
            yield Progress()

    def _said(self, text: str) -> Iterator[Output]:
        if text:
            self._answered = True
            yield text
        if self._thoughts.thinking:
            self._thought = True
            yield Progress()

    def _rest(self, *, cut: bool = False) -> Iterator[Output]:
        """What was held back.

        Args:
            cut: the answer reached the limit of its length.
        """
        yield from self._said(self._thoughts.flush())
        for call in self._calls.take(cut=cut):
            self._answered = True
            yield call

    def _closing(self) -> Iterator[Output]:
        """The end, told once: the usage comes behind the last words, in an event of its own."""
        if self._done:
            return
        self._done = True
        yield from self._rest()
        if self._thought and not self._answered:
            raise only_thoughts()
        yield self._usage or estimated(self._asked, self._written)


def _text(value: object) -> str:
    """Text, or the texts of a list of parts: what a part of another type holds is no part of the answer."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = (part for part in value if isinstance(part, Mapping) and part.get("type") in ("text", None))
        return "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    return ""
