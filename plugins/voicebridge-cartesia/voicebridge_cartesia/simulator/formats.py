"""Formats of audio as requests name them, and errors as answers do."""

from __future__ import annotations

import random
import uuid
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.wire import HttpAnswer

__all__ = ["ListenError", "error", "format_of", "identifier", "input_format", "output_format", "refused"]

_ENCODINGS = {"pcm_s16le": "pcm16", "pcm_mulaw": "ulaw", "pcm_alaw": "alaw"}
_RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
ListenError = dict[str, Any]


def identifier(*seed: object) -> str:
    """A name, the same for the same seed."""
    return str(uuid.UUID(int=random.Random("/".join(map(str, seed))).getrandbits(128), version=4))


def format_of(encoding: object, rate: object) -> AudioFormat | None:
    """None: this simulator has no such format."""
    known = _ENCODINGS.get(encoding) if isinstance(encoding, str) else None
    if known is None or not isinstance(rate, int) or rate not in _RATES:
        return None
    return AudioFormat(encoding=known, rate=rate)  # type: ignore[arg-type]  # of the table above


def output_format(asked: object) -> AudioFormat | None:
    """That of a request for speech."""
    if not isinstance(asked, dict) or asked.get("container") != "raw":
        return None
    return format_of(asked.get("encoding"), asked.get("sample_rate"))


def input_format(query: Any) -> AudioFormat | None:
    """That of a connection that listens."""
    rate = query.get("sample_rate", "")
    return format_of(query.get("encoding"), int(rate) if rate.isdecimal() else None)


def error(status: int, title: str, message: str, code: str, request_id: str = "") -> dict[str, Any]:
    """An error, as events and answers hold it."""
    return {
        "type": "error",
        "status_code": status,
        "title": title,
        "message": message,
        "error_code": code,
        "request_id": request_id or identifier("refused", code),
        "doc_url": "https://docs.cartesia.ai/api-reference/errors",
    }


def refused(status: int, title: str, message: str, code: str) -> HttpAnswer:
    """The same in HTTP."""
    return HttpAnswer(status=status, body=orjson.dumps(error(status, title, message, code)))
