"""What comes over the vendor's wires, read without trust."""

from __future__ import annotations

import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.core.char_words import TimedChar

__all__ = ["HTTP_NAMES", "SOCKET_NAMES", "AlignmentNames", "audio_of", "chars_of", "message_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentNames:
    """How a wire writes times of characters."""

    as_sent: str
    """Where the characters of the text are timed as it was sent."""
    as_spoken: str
    """Where they are timed as the voice reads them: second best, for numbers are words there."""
    chars: str
    starts: str
    lasts: str
    """Durations or ends."""
    durations: bool
    unit_ms: float


SOCKET_NAMES = AlignmentNames(
    as_sent="alignment",
    as_spoken="normalizedAlignment",
    chars="chars",
    starts="charStartTimesMs",
    lasts="charDurationsMs",
    durations=True,
    unit_ms=1.0,
)
HTTP_NAMES = AlignmentNames(
    as_sent="alignment",
    as_spoken="normalized_alignment",
    chars="characters",
    starts="character_start_times_seconds",
    lasts="character_end_times_seconds",
    durations=False,
    unit_ms=1000.0,
)


def message_of(frame: str | bytes) -> Mapping[str, Any]:
    """The JSON object in a frame.

    Raises:
        VoiceBridgeError: it holds none (category protocol).
    """
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        message = None
    if not isinstance(message, dict):
        raise VoiceBridgeError(f"ElevenLabs sent what is no JSON object: {frame[:80]!r}.", code="bad_frame")
    return message


def audio_of(value: object) -> bytes:
    """Audio in base64; null and what is missing are none.

    Raises:
        VoiceBridgeError: it is no base64 (category protocol).
    """
    if not value:
        return b""
    try:
        return pybase64.b64decode(value, validate=True) if isinstance(value, str) else _no_audio()
    except (binascii.Error, ValueError):
        return _no_audio()


def _no_audio() -> bytes:
    raise VoiceBridgeError("ElevenLabs sent audio that is no base64.", code="bad_audio")


def chars_of(message: Mapping[str, Any], names: AlignmentNames) -> list[TimedChar] | None:
    """The times of characters. None: the message has none."""
    alignment = message.get(names.as_sent) or message.get(names.as_spoken)
    if not isinstance(alignment, Mapping):
        return None
    columns = [alignment.get(name) for name in (names.chars, names.starts, names.lasts)]
    chars = []
    for text, start, last in zip(*(column if isinstance(column, list) else () for column in columns), strict=False):
        if isinstance(text, str) and _is_time(start) and _is_time(last):
            end = start + last if names.durations else last
            chars.append(TimedChar(text, start * names.unit_ms, end * names.unit_ms))
    return chars or None


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
