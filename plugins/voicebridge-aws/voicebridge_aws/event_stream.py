"""Amazon's event-stream encoding: a message with headers, and two checksums. Pure.

    4 bytes  length of all          4 bytes  length of the headers     4 bytes  CRC32 of these two
    headers  each: length of the name (1 byte), name, type (1 byte), value
    payload
    4 bytes  CRC32 of all before

Source: "Event stream encoding" in the developer guide of Amazon Transcribe; tested both ways against the decoder of
botocore 1.44. Over a websocket each frame is one message.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from voicebridge.contract.errors import VoiceBridgeError

__all__ = ["Message", "decoded", "encoded"]

_PRELUDE = struct.Struct(">II")
_NUMBER = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_TEXT = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of the values of a fixed length, by type: true, false, byte, short, integer, long, time, UUID."""
_OVERHEAD = 16


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that are texts. No other kind means anything on this wire."""
    payload: bytes = b""


def encoded(headers: Mapping[str, str], payload: bytes) -> bytes:
    """The message as bytes."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = _PRELUDE.pack(_OVERHEAD + len(head) + len(payload), len(head))
    message = b"".join((prelude, _NUMBER.pack(crc32(prelude)), head, payload))
    return message + _NUMBER.pack(crc32(message))


def decoded(message: bytes) -> Message:
    """The message that these bytes are.

    Raises:
        VoiceBridgeError: they are none, or were damaged on the way (category protocol).
    """
    if len(message) < _OVERHEAD:
        raise _broken(f"{len(message)} bytes")
    total, head = _PRELUDE.unpack_from(message)
    if _NUMBER.unpack_from(message, 8)[0] != crc32(message[:8]):
        raise _broken("a damaged beginning")
    if total != len(message) or head > total - _OVERHEAD:
        raise _broken(f"{len(message)} bytes that say to be {total}")
    if _NUMBER.unpack_from(message, total - 4)[0] != crc32(message[:-4]):
        raise _broken("damaged content")
    try:
        return Message(_headers(message[12 : 12 + head]), message[12 + head : -4])
    except (struct.error, IndexError, KeyError, UnicodeDecodeError):
        raise _broken("headers that can't be read") from None


def _header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + bytes((_TEXT,)) + _LENGTH.pack(len(value)) + value


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    while at < len(head):
        name, at = _cut(head, at + 1, head[at])
        kind, at = head[at], at + 1
        if kind in _SIZES:
            _, at = _cut(head, at, _SIZES[kind])
            continue
        if kind not in (6, _TEXT):  # bytes, or a text
            raise KeyError(kind)
        value, at = _cut(head, at + 2, _LENGTH.unpack_from(head, at)[0])
        if kind == _TEXT:
            headers[name.decode()] = value.decode()
    return headers


def _cut(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(data):
        raise IndexError(at)
    return data[at : at + size], at + size


def _broken(what: str) -> VoiceBridgeError:
    return VoiceBridgeError(f"Amazon sent what is no event: {what}.", code="bad_event")
