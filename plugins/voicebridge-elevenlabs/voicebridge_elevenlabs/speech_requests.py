"""The two HTTP endpoints that stream speech: with times of characters (lines of JSON), and without (samples).

Facts: `text_to_speech.stream` and `stream_with_timestamps` of the SDK elevenlabs 2.78.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Speech
from voicebridge.transport.body import Body, JsonLinesBody
from voicebridge.transport.http import HttpCall

from .aligned_speech import AlignedSpeech
from .refusals import fault_of_message, named_fault
from .settings import VoiceSettings
from .wire_values import HTTP_NAMES, audio_of, chars_of

__all__ = ["call_for", "speech_body"]

_BEFORE_CHARS = 300
"""Of the text before, which the vendor is told so that the melody goes on."""


def call_for(text: str, before: str, voice_id: str, settings: VoiceSettings) -> HttpCall:
    """The request that speaks a clause.

    Args:
        before: what was said in the same answer.
    """
    options = settings.options
    asked = {
        "text": text,
        "model_id": settings.model,
        "language_code": settings.language,
        "voice_settings": settings.of_the_voice() or None,
        # The one model that knows no context refuses it (pipecat-ai 1.14).
        "previous_text": before[-_BEFORE_CHARS:] if before and not settings.model.startswith("eleven_v3") else None,
        "apply_text_normalization": options.apply_text_normalization,
        "seed": options.seed,
    }
    query: dict[str, str] = {"output_format": options.output_format}
    if options.enable_logging is not None:
        query["enable_logging"] = str(options.enable_logging).lower()
    return HttpCall(
        path=f"v1/text-to-speech/{voice_id}/stream{'/with-timestamps' if options.timestamps else ''}",
        query=query,
        json={name: value for name, value in asked.items() if value is not None},
    )


def speech_body(clause: str, format: AudioFormat, *, timed: bool) -> Body[Speech]:
    """Reads the answer to such a request, whose text was `clause` but for the white space around it.

    Args:
        timed: it comes with times.
    """
    speech = AlignedSpeech(format, going_on=True)
    speech.sent(clause)
    return _TimedLines(speech) if timed else _Samples(speech)


class _Samples(Body[Speech]):
    """Nothing but audio: the first of it covers the clause."""

    def __init__(self, speech: AlignedSpeech) -> None:
        self._speech = speech

    def feed(self, data: bytes) -> Iterable[Speech]:
        heard = self._speech.heard(data)
        return (heard,) if heard else ()

    def end(self) -> Iterable[Speech]:
        rest = self._speech.rest()
        return (rest,) if rest else ()


class _TimedLines(Body[Speech]):
    def __init__(self, speech: AlignedSpeech) -> None:
        self._speech = speech
        self._lines = JsonLinesBody(self._heard)

    def feed(self, data: bytes) -> Iterable[Speech]:
        return self._lines.feed(data)

    def end(self) -> Iterable[Speech]:
        yield from self._lines.end()
        if rest := self._speech.rest():
            yield rest

    def _heard(self, line: Any) -> Iterable[Speech]:
        if not isinstance(line, Mapping):
            raise VoiceBridgeError("ElevenLabs sent a line that is no JSON object.", code="bad_line")
        if fault := _fault_in(line):
            raise VoiceBridgeError(fault)
        heard = self._speech.heard(audio_of(line.get("audio_base64")), chars_of(line, HTTP_NAMES))
        return (heard,) if heard else ()


def _fault_in(line: Mapping[str, Any]) -> Fault | None:
    """The head has gone out by then, so what fails later is told in a line."""
    detail = line.get("detail")
    if isinstance(detail, Mapping):
        name, message = str(detail.get("status") or "error"), str(detail.get("message") or "")
        return named_fault(name, message) or fault_of_message({"error": name, "message": message})
    return fault_of_message(line)
