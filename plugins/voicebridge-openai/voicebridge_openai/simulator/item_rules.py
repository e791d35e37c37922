"""What an item that a client makes must look like, and what the server makes of it. Pure."""

from __future__ import annotations

import binascii
from typing import Any

import pybase64

from voicebridge.contract.audio import AudioFormat

from .protocol_error import ProtocolError, missing, unsupported_value, wrong_type
from .shape import Check, array, constant, free, nullable, record, text

__all__ = ["LARGEST_AUDIO", "checked_item", "decoded_audio"]

LARGEST_AUDIO = 15 * 1024 * 1024
"""Bytes of audio in one event."""
_PARTS = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
}
_PART: dict[str, Check] = {
    "input_text": record({"type": free, "text": text()}, required=("text",)),
    "input_audio": record({"type": free, "audio": text(), "transcript": nullable(text())}),
    "input_image": record({"type": free, "image_url": text(), "detail": text()}, required=("image_url",)),
    "output_text": record({"type": free, "text": text()}, required=("text",)),
    "output_audio": record({"type": free, "audio": text(), "transcript": nullable(text())}),
}
_SHARED = {"id": text(longest=32), "type": free, "object": free, "status": free}
_ITEMS: dict[str, Check] = {
    "message": record(
        _SHARED | {"role": constant(*_PARTS), "content": array(free), "phase": free}, required=("role", "content")
    ),
    "function_call": record(
        _SHARED | {"name": text(), "call_id": text(), "arguments": text()}, required=("name", "arguments")
    ),
    "function_call_output": record(_SHARED | {"call_id": text(), "output": text()}, required=("call_id", "output")),
}


def checked_item(item: Any, item_id: str, call_id: str, audio: AudioFormat) -> tuple[dict[str, Any], float]:
    """The item as the server keeps it, and the milliseconds of audio that it holds.

    Args:
        item: what the client sent.
        item_id: for an item that has none.
        call_id: for a call that has none.
        audio: the session's format of user audio.

    Raises:
        ProtocolError: it does not fit.
    """
    if not isinstance(item, dict):
        raise wrong_type("item", "an object", item)
    if "type" not in item:
        raise missing("item.type")
    constant(*_ITEMS)(item["type"], "item.type")
    _ITEMS[item["type"]](item, "item")
    kept: dict[str, Any] = {"id": item.get("id") or item_id, "type": item["type"]}
    if item["type"] == "function_call_output":
        return kept | {"call_id": item["call_id"], "output": item["output"]}, 0.0
    kept["status"] = "completed"
    if item["type"] == "function_call":
        names = {"name": item["name"], "call_id": item.get("call_id") or call_id}
        return kept | names | {"arguments": item["arguments"]}, 0.0
    audio_ms = 0.0
    content = []
    for index, part in enumerate(item["content"]):
        kept_part, ms = _part(part, f"item.content[{index}]", item["role"], audio)
        content.append(kept_part)
        audio_ms += ms
    return kept | {"role": item["role"], "content": content}, audio_ms


def _part(part: Any, param: str, role: str, audio: AudioFormat) -> tuple[dict[str, Any], float]:
    if not isinstance(part, dict):
        raise wrong_type(param, "an object", part)
    if "type" not in part:
        raise missing(f"{param}.type")
    if part["type"] not in _PARTS[role]:
        raise unsupported_value(f"{param}.type", part["type"], _PARTS[role])
    _PART[part["type"]](part, param)
    if part["type"] in ("input_audio", "output_audio"):
        sound = decoded_audio(part.get("audio", ""), f"{param}.audio")
        # The audio itself is not told again: clients would get back what they sent.
        return {"type": part["type"], "transcript": part.get("transcript")}, audio.ms(len(sound))
    return dict(part), 0.0


def decoded_audio(value: Any, param: str) -> bytes:
    """The bytes of base64.

    Raises:
        ProtocolError: it is none, or too long.
    """
    if not isinstance(value, str):
        raise wrong_type(param, "a base64-encoded string", value)
    try:
        audio = pybase64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError(
            "invalid_value", f"Invalid '{param}'. Expected base64-encoded audio bytes, but got invalid data.", param
        ) from None
    if len(audio) > LARGEST_AUDIO:
        raise ProtocolError("invalid_value", f"Invalid '{param}': more than 15 MiB of audio in one event.", param)
    return audio
