"""Reads the body of POST /audio/speech. Pure.

Fields are those of the openai SDK 3.54. Guesses: the words of each refusal. Not the vendor's: only `pcm` and `wav` are
made here; another format is refused with 400, and the vendor's default is mp3, so a client has to name one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .api_error import ApiError, missing, unknown_value, wrong_type
from .body_fields import Check, flag, named, number, one_of, text
from .dialects import HttpDialect
from .known_models import Family

__all__ = ["SpeechAsk", "read_speech"]

_LONGEST = 4096
_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_MADE = ("wav", "pcm")


def _voice(param: str, value: Any) -> None:
    if isinstance(value, dict):
        if value.get("id") is None:
            raise missing(f"{param}.id")
        text()(f"{param}.id", value["id"])
    elif not isinstance(value, str):
        raise wrong_type(param, "one of a string or object", value)


_RULES: Mapping[str, Check] = {
    "model": text(),
    "input": text(_LONGEST),
    "voice": _voice,
    "instructions": text(_LONGEST),
    "response_format": one_of(*_FORMATS),
    "speed": number(0.25, 4),
    "stream_format": one_of("sse", "audio"),
}
_EXTRA: Mapping[str, Check] = {"stream": flag, "sample_rate": number(1, 200_000), "lang_code": text()}
"""Fields of compatible servers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechAsk:
    """What is asked."""

    model: str
    text: str
    format: str
    """`pcm` or `wav`."""
    events: bool
    speed: float


def read_speech(body: dict[str, Any], dialect: HttpDialect, family: Family | None) -> SpeechAsk:
    """What is asked.

    Args:
        family: of the model, with its own rules; None: it has none.

    Raises:
        ApiError: something does not fit.
    """
    for name in sorted(set(body) - set(_RULES)) if dialect.strict else ():
        raise ApiError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    named(body, _RULES if dialect.strict else {**_RULES, **_EXTRA}, ("model", "input", "voice"))
    if not body["input"].strip():
        message = "Invalid 'input': string too short. Expected a string with minimum length 1."
        raise ApiError(400, message, code="string_below_min_length", param="input")
    voice = body["voice"]
    if family is not None and not dialect.own_voices and isinstance(voice, str) and voice not in family.voices:
        raise unknown_value("voice", voice, family.voices)
    events = body.get("stream_format") == "sse" and dialect.speech_events
    if events and family is not None and not family.streams:
        message = f"Unsupported value: 'stream_format' does not support 'sse' with the model '{body['model']}'."
        raise ApiError(400, message, code="unsupported_value", param="stream_format")
    wanted = body.get("response_format") or "mp3"
    if wanted not in _MADE and not dialect.wav_always:
        message = f"This simulator speaks 'pcm' and 'wav', not '{wanted}': name one of them as response_format."
        raise ApiError(400, message, code="unsupported_value", param="response_format")
    return SpeechAsk(
        model=body["model"],
        text=body["input"],
        format="wav" if dialect.wav_always else wanted,
        events=events,
        speed=float(body.get("speed") or 1.0),
    )
