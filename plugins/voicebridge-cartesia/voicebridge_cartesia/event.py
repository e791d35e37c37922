"""A frame of text as the object that it should be, and its fields as what they should be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Word

from .faults import broken

__all__ = ["Event", "number", "read_event", "text_of", "timed_words"]

Event = dict[str, Any]


def read_event(frame: Frame) -> Event:
    """The object in a frame of text.

    Raises:
        VoiceBridgeError: there is none.
    """
    if isinstance(frame, bytes):
        raise VoiceBridgeError(broken("bytes where it sends text"))
    try:
        event = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise VoiceBridgeError(broken("text that is no JSON")) from None
    if not isinstance(event, dict):
        raise VoiceBridgeError(broken("JSON that is no object"))
    return event


def text_of(event: Mapping[str, Any], name: str) -> str:
    """A field of text. What is none counts as empty."""
    value = event.get(name)
    return value if isinstance(value, str) else ""


def number(event: Mapping[str, Any], name: str) -> float | None:
    """A finite number, or None."""
    value = event.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def timed_words(event: Event) -> list[Word]:
    """`word_timestamps`, three lists of one length, as words with milliseconds."""
    stamps = event.get("word_timestamps")
    if not isinstance(stamps, dict):
        return []
    lists = [stamps.get(name) for name in ("words", "start", "end")]
    if not all(isinstance(one, list) for one in lists):
        return []
    words = []
    for text, start, end in zip(*lists, strict=False):
        begin, finish = number({"at": start}, "at"), number({"at": end}, "at")
        if isinstance(text, str) and begin is not None and finish is not None:
            words.append(Word(text, begin * 1000, max(begin, finish) * 1000))
    return words
