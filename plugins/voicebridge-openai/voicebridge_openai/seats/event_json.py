"""The JSON object of an event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from voicebridge.contract.errors import VoiceBridgeError

__all__ = ["event_object"]


def event_object(data: str | bytes) -> Mapping[str, Any]:
    """What an event holds.

    Raises:
        VoiceBridgeError: no JSON object (category protocol).
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise VoiceBridgeError(f"The server sent what is no JSON: {data[:80]!r}.", code="bad_json") from None
    if not isinstance(value, Mapping):
        raise VoiceBridgeError(f"The server sent what is no event: {data[:80]!r}.", code="bad_event")
    return value
