"""What a client asks of a voice: checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.wire import HttpRequest

from .refusal import Refusal

__all__ = ["VOICES", "SpeechRequest", "shown_voice"]

VOICES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Joanna": ("en-US", ("standard", "neural", "generative")),
    "Matthew": ("en-US", ("standard", "neural", "generative")),
    "Ruth": ("en-US", ("neural", "long-form", "generative")),
    "Danielle": ("en-US", ("neural", "long-form", "generative")),
    "Amy": ("en-GB", ("standard", "neural", "generative")),
    "Vicki": ("de-DE", ("standard", "neural", "generative")),
    "Lucia": ("es-ES", ("standard", "neural", "generative")),
    "Kajal": ("en-IN", ("neural", "generative")),
}
"""Languages and engines by the id of the voice: a few, for tests."""
_BILINGUAL = {"Kajal": ("en-IN", "hi-IN")}
_LONGEST = 3_000
_RATES = ("8000", "16000")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One request."""

    text: str
    """What is spoken: no tags."""
    characters: int
    """That are billed."""
    format: AudioFormat

    @classmethod
    def of(cls, request: HttpRequest) -> SpeechRequest:
        """Read it.

        Raises:
            Refusal: it does not fit.
        """
        body = _object(request.body)
        text, voice = body.get("Text"), body.get("VoiceId")
        if not isinstance(text, str) or not text.strip() or not isinstance(voice, str):
            raise Refusal(400, "ValidationException", "Text and VoiceId must not be null.")
        _check_voice(voice, str(body.get("Engine") or "standard"), body.get("LanguageCode"))
        if body.get("OutputFormat") != "pcm":
            raise Refusal(400, "ValidationException", "Only OutputFormat pcm is simulated.")
        rate = str(body.get("SampleRate") or "16000")
        if rate not in _RATES:
            raise Refusal(400, "InvalidSampleRateException", f"{rate} is no sample rate for pcm.")
        spoken = _spoken(text, str(body.get("TextType") or "text"))
        if len(spoken) > _LONGEST:
            raise Refusal(400, "TextLengthExceededException", "Maximum text length has been exceeded")
        return cls(spoken, len(spoken), AudioFormat(rate=int(rate)))


def shown_voice(name: str) -> dict[str, Any]:
    """A voice in a list of voices."""
    language, engines = VOICES[name]
    return {
        "Id": name,
        "Name": name,
        "Gender": "Female",
        "LanguageCode": language,
        "LanguageName": language,
        "SupportedEngines": list(engines),
    }


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, Mapping):
        raise Refusal(400, "SerializationException", "The body is a JSON object.")
    return body


def _check_voice(voice: str, engine: str, language: object) -> None:
    if voice not in VOICES:
        raise Refusal(400, "ValidationException", f"Value '{voice}' at 'voiceId' failed to satisfy constraint.")
    spoken, engines = VOICES[voice]
    if engine not in engines:
        message = f"This voice does not support the selected engine: {engine}"
        raise Refusal(400, "EngineNotSupportedException", message)
    if language is not None and language not in _BILINGUAL.get(voice, (spoken,)):
        message = f"The voice does not support the language: {language}"
        raise Refusal(400, "LanguageNotSupportedException", message)


def _spoken(text: str, kind: str) -> str:
    if kind != "ssml":
        return text
    if not (text.startswith("<speak>") and text.endswith("</speak>")):
        raise Refusal(400, "InvalidSsmlException", "Invalid SSML request")
    return _TAG.sub("", text)
