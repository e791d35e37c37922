"""What the three wires have in common: formats, identifiers, and objects with a type."""

from __future__ import annotations

import random
import uuid
from typing import Any

import orjson

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.client_work import ClientWork
from voicebridge.testing.simulator.wire import HttpRequest, Link

__all__ = ["ClientSocket", "audio_format", "identifier", "read"]

_NO_AUDIO = "NET-0001: Deepgram did not receive audio data or a text message within the timeout window."
_ENCODINGS = {"linear16": "pcm16", "mulaw": "ulaw", "alaw": "alaw"}


def identifier(*seed: object) -> str:
    """A name in the form that Deepgram gives, the same for the same seed."""
    return str(uuid.UUID(int=random.Random("/".join(map(str, seed))).getrandbits(128), version=4))


def audio_format(request: HttpRequest, default_rate: int) -> AudioFormat | None:
    """The format that the query names. None: there is no such format."""
    rate = request.query.get("sample_rate", str(default_rate))
    encoding = _ENCODINGS.get(request.query.get("encoding", "linear16"))
    if encoding is None or not rate.isdecimal() or not 8_000 <= int(rate) <= 48_000:
        return None
    return AudioFormat(encoding=encoding, rate=int(rate))  # type: ignore[arg-type]  # of the table above


class ClientSocket:
    """One client's connection.

    Args:
        idle_s: seconds without a sign of life until it is closed. None: never.
    """

    def __init__(self, link: Link, idle_s: float | None) -> None:
        self.link = link
        self.request_id = identifier("request", link.number)
        self.work = ClientWork(link, idle_s=idle_s, idle_close=(1011, _NO_AUDIO))

    async def tell(self, kind: str, **fields: Any) -> None:
        """Send an object of that type."""
        await self.tell_as(kind, kind, **fields)

    async def tell_as(self, kind: str, type_: str, **fields: Any) -> None:
        """The same, where fault scripts mean it by another name."""
        await self.link.send(kind, orjson.dumps({"type": type_, **fields}).decode())


def read(frame: str | bytes) -> dict[str, Any] | None:
    """The object in a frame of text. None: there is none."""
    try:
        event = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None
