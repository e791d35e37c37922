"""Answers of HTTP servers, from bytes as the network cut them to values. Pure: one instance a response."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import orjson

from voicebridge.contract.errors import VoiceBridgeError

from .sse import SseEvent, SseParser

__all__ = ["Body", "JsonBody", "JsonLinesBody", "PcmBody", "SseBody"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_MAX_BYTES = 64 * 1024 * 1024


class Body(Protocol[T_co]):
    """Reads one answer."""

    def feed(self, data: bytes) -> Iterable[T_co]:
        """What these bytes make whole.

        Raises:
            VoiceBridgeError: they are none of this format (category protocol).
        """

    def end(self) -> Iterable[T_co]:
        """The answer has ended: what is left.

        Raises:
            VoiceBridgeError: it ended too early (category protocol).
        """


class SseBody(Body[T]):
    """Server-sent events.

    Args:
        on_event: what an event means. It also knows the wire's own sign of the end, such as `[DONE]`.
    """

    def __init__(self, on_event: Callable[[SseEvent], Iterable[T]]) -> None:
        self._parser, self._on_event = SseParser(), on_event

    def feed(self, data: bytes) -> Iterable[T]:
        for event in self._parser.feed(data):
            yield from self._on_event(event)

    def end(self) -> Iterable[T]:
        for event in self._parser.end():
            yield from self._on_event(event)


class JsonBody(Body[T]):
    """One JSON value.

    Args:
        on_value: what it means.
        max_bytes: of the whole text.
    """

    def __init__(self, on_value: Callable[[Any], Iterable[T]], *, max_bytes: int = _MAX_BYTES) -> None:
        self._on_value, self._max, self._text = on_value, max_bytes, bytearray()

    def feed(self, data: bytes) -> Iterable[T]:
        self._text += data
        _check(len(self._text), self._max)
        return ()

    def end(self) -> Iterable[T]:
        return self._on_value(_json(bytes(self._text)))


class JsonLinesBody(Body[T]):
    """A JSON value a line.

    Args:
        on_value: what each means.
        max_bytes: of one line.
    """

    def __init__(self, on_value: Callable[[Any], Iterable[T]], *, max_bytes: int = _MAX_BYTES) -> None:
        self._on_value, self._max, self._rest = on_value, max_bytes, bytearray()

    def feed(self, data: bytes) -> Iterable[T]:
        self._rest += data
        if b"\n" not in data:
            _check(len(self._rest), self._max)
            return
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest[:] = rest
        _check(len(rest), self._max)
        for line in lines:
            if line.strip():
                yield from self._on_value(_json(line))

    def end(self) -> Iterable[T]:
        rest = bytes(self._rest).strip()
        return self._on_value(_json(rest)) if rest else ()


class PcmBody(Body[bytes]):
    """Samples: whole frames come out, and what is less waits for the rest.

    Args:
        frame_bytes: of one sample of each channel: 2 for mono PCM16.
    """

    def __init__(self, frame_bytes: int = 2) -> None:
        self._frame, self._rest = frame_bytes, b""

    def feed(self, data: bytes) -> Iterable[bytes]:
        pcm = self._rest + data if self._rest else data
        whole = len(pcm) - len(pcm) % self._frame
        self._rest = pcm[whole:]
        return (pcm[:whole],) if whole else ()

    def end(self) -> Iterable[bytes]:
        """Nothing: half a sample at the very end is no sound."""
        self._rest = b""
        return ()


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise VoiceBridgeError(f"The server sent more than {limit} bytes at once.", code="answer_too_long")


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        shown = text[:80].decode("utf-8", "replace")
        raise VoiceBridgeError(f"The server sent what is no JSON: {shown!r}.", code="bad_json") from None
