"""What a client asks of a voice: checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.wire import HttpRequest

from .account import Refusal
from .rendering import format_named

__all__ = ["SpeechRequest", "check_voice_settings"]

_SHARES = ("stability", "similarity_boost", "style")
_LONGEST_TEXT = 40_000
_NO_LANGUAGE = "eleven_multilingual_v2"


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One request over HTTP."""

    text: str
    model: str
    format: AudioFormat
    speed: float

    @classmethod
    def of(cls, request: HttpRequest) -> SpeechRequest:
        """Read it.

        Raises:
            Refusal: it does not fit.
        """
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            body = None
        text = body.get("text") if isinstance(body, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise Refusal(400, "invalid_request", "The body is a JSON object with a text.")
        if len(text) > _LONGEST_TEXT:
            raise Refusal(400, "max_character_limit_exceeded", f"A text has at most {_LONGEST_TEXT} characters.")
        model = str(body.get("model_id") or "eleven_multilingual_v2")
        if body.get("language_code") and model == _NO_LANGUAGE:
            raise Refusal(400, "unsupported_language", f"{model} takes no language_code.")
        target = format_named(request.query.get("output_format", "mp3_44100_128"))
        return cls(text, model, target, check_voice_settings(body.get("voice_settings")))


def check_voice_settings(settings: Any) -> float:
    """The speed that they ask for.

    Raises:
        Refusal: one of them does not fit.
    """
    if settings is None:
        return 1.0
    if not isinstance(settings, Mapping):
        raise Refusal(400, "invalid_voice_settings", "voice_settings is an object.")
    for name in _SHARES:
        value = settings.get(name)
        if value is not None and not (_is_number(value) and 0 <= value <= 1):
            raise Refusal(400, "invalid_voice_settings", f"{name} lies between 0 and 1.")
    speed = settings.get("speed")
    if speed is None:
        return 1.0
    if not (_is_number(speed) and 0.7 <= speed <= 1.2):
        raise Refusal(400, "invalid_voice_settings", "speed lies between 0.7 and 1.2.")
    return float(speed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
