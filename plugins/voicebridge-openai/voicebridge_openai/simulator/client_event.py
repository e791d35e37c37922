"""Events of the client: which there are, and what a frame must be to be one. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from .protocol_error import ProtocolError, missing, unknown_parameter, unsupported_value

__all__ = ["Event", "check_event", "parsed"]

Event = dict[str, Any]
_FIELDS = {
    "session.update": ("session",),
    "input_audio_buffer.append": ("audio",),
    "input_audio_buffer.commit": (),
    "input_audio_buffer.clear": (),
    "conversation.item.create": ("item", "previous_item_id"),
    "conversation.item.delete": ("item_id",),
    "conversation.item.retrieve": ("item_id",),
    "conversation.item.truncate": ("item_id", "content_index", "audio_end_ms"),
    "response.create": ("response",),
    "response.cancel": ("response_id",),
}
"""The client's events and their fields, beside `type` and `event_id`."""


def parsed(frame: str | bytes) -> Event:
    """The event in a frame.

    Raises:
        ProtocolError: it is no JSON object in text.
    """
    if isinstance(frame, bytes):
        raise ProtocolError("invalid_event", "Binary frames are not supported: send events as JSON text.")
    try:
        event = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise ProtocolError("invalid_json", f"We could not parse the event as JSON: {error}") from None
    if not isinstance(event, dict):
        raise ProtocolError("invalid_event", "An event must be a JSON object.")
    return event


def check_event(event: Event, lacking: frozenset[str] = frozenset()) -> None:
    """See that the event exists, and has no fields but its own.

    Args:
        lacking: events that this server does not know.

    Raises:
        ProtocolError: it does not, or has.
    """
    if "type" not in event:
        raise missing("type")
    kind = event["type"]
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise unsupported_value("type", kind, _FIELDS)
    if kind in lacking:
        raise ProtocolError("unknown_or_invalid_event", f"Unknown event: '{kind}'.", "type")
    for name in event:
        if name not in ("type", "event_id", *_FIELDS[kind]):
            raise unknown_parameter(name)
