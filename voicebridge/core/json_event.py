"""A frame of text as the object that it should be, and its fields as what they should be: read without trust."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault

__all__ = ["Event", "bad_frame", "number", "objects", "read_event", "text_of"]

Event = dict[str, Any]


def read_event(frame: Frame, who: str) -> Event:
    """The object in a frame of text.

    Args:
        who: sent it; for the error.

    Raises:
        VoiceBridgeError: there is none (category protocol).
    """
    if isinstance(frame, bytes):
        raise VoiceBridgeError(bad_frame(who, "bytes where it sends text"))
    try:
        event = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise VoiceBridgeError(bad_frame(who, "text that is no JSON")) from None
    if not isinstance(event, dict):
        raise VoiceBridgeError(bad_frame(who, "JSON that is no object"))
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


def objects(event: Mapping[str, Any], name: str) -> list[Event]:
    """The objects in a list."""
    value = event.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def bad_frame(who: str, what: str) -> Fault:
    """A frame that is none of this wire."""
    return Fault(category="protocol", code="bad_frame", message=f"{who} sent {what}.", retryable=True)
