"""What `audio/transcriptions` answers: one JSON object, or a stream of events. Pure.

Shapes are those of `types/audio/transcription*.py` of the `openai` SDK 3.54. Who passes over `stream` answers with one
object; vLLM streams pieces in the shape of chat completions; whisper.cpp gives the text alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Transcript, Usage
from voicebridge.transport.body import Body
from voicebridge.transport.sse import SseEvent, SseParser
from voicebridge_openai.usage import transcription_units

from .event_json import event_object
from .http_errors import cut_off, page_in, told

__all__ = ["TranscriptBody"]

Output = Transcript | Usage
_MOST_BYTES = 16 * 1024 * 1024


class TranscriptBody(Body[Output]):
    """The transcript of one upload, growing, then final. It names no mark.

    Args:
        seconds: of audio that was sent: what counts as used where the server tells nothing.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._parser: SseParser | None = None
        self._whole: bytearray = bytearray()
        self._text = ""
        self._done = False

    def feed(self, data: bytes) -> Iterable[Output]:
        """See `Body.feed`."""
        if self._parser is None:
            self._whole += data
            if len(self._whole) > _MOST_BYTES:
                raise VoiceBridgeError("The server sent no end of a transcript.", code="answer_too_long")
            start = bytes(self._whole[:16]).lstrip()
            if not start.startswith((b"data:", b"event:", b":")):
                return
            self._parser, data = SseParser(), bytes(self._whole)
        for event in self._parser.feed(data):
            yield from self._event(event)

    def end(self) -> Iterable[Output]:
        """See `Body.end`."""
        if self._parser is None:
            yield from self._object()
            return
        for event in self._parser.end():
            yield from self._event(event)
        if not self._done:
            raise cut_off("transcript")

    def _object(self) -> Iterator[Output]:
        text = bytes(self._whole).strip()
        if not text:
            raise cut_off("transcript")
        if page := page_in(text):
            raise page
        if not text.startswith(b"{"):
            yield from self._final(text.decode("utf-8", "replace"), {})
            return
        answer = event_object(text)
        if (error := answer.get("error")) or not isinstance(answer.get("text"), str):
            raise VoiceBridgeError(told(error))
        yield from self._final(answer["text"], answer)

    def _event(self, received: SseEvent) -> Iterator[Output]:
        if received.data.strip() == "[DONE]":
            if not self._done:
                yield from self._final(self._text, {})
            return
        event = event_object(received.data)
        if error := event.get("error"):
            raise VoiceBridgeError(told(error))
        kind = event.get("type")
        if kind == "transcript.text.delta":
            yield from self._grown(event.get("delta"))
        elif kind == "transcript.text.done":
            text = event.get("text")
            yield from self._final(text if isinstance(text, str) else self._text, event)
        elif kind is None and isinstance(event.get("text"), str):  # speaches: a segment an event
            yield from self._grown(event["text"])
        elif kind is None:
            yield from self._grown(_content(event))

    def _grown(self, delta: object) -> Iterator[Output]:
        if isinstance(delta, str) and delta:
            self._text += delta
            if said := self._text.strip():
                yield Transcript(said)

    def _final(self, text: str, answer: Mapping[str, Any]) -> Iterator[Output]:
        if self._done:
            return
        self._done = True
        units = transcription_units(answer.get("usage"))
        yield Usage(units) if units else Usage({"audio_s": self._seconds}, basis="estimated")
        yield Transcript(" ".join(text.split()), final=True, language=_language(answer))


def _content(event: Mapping[str, Any]) -> str:
    choices = event.get("choices")
    texts = []
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, Mapping) else None
        content = delta.get("content") if isinstance(delta, Mapping) else None
        texts.append(content if isinstance(content, str) else "")
    return "".join(texts)


def _language(answer: Mapping[str, Any]) -> str | None:
    """The first one that was heard."""
    languages = answer.get("languages")
    first = languages[0] if isinstance(languages, list) and languages else None
    code = first.get("code") if isinstance(first, Mapping) else None
    return code if isinstance(code, str) and code else None
