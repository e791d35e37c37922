"""The answer of POST /audio/speech as bytes. Pure.

Seen in public reports: a WAV header that is sent before the length is known holds 0xFFFFFFFF twice. Guesses: the media
type of PCM, that events come without an `event:` line, and how many tokens audio has (20 a second).
"""

from __future__ import annotations

import struct
from base64 import b64encode

import orjson

from voicebridge.testing.simulator.pacing import text_tokens

from .piece import Piece
from .speech_request import SpeechAsk

__all__ = ["audio_piece", "first_piece", "last_piece", "media_type"]

_UNKNOWN = 0xFFFFFFFF
_TOKENS_PER_SECOND = 20


def media_type(asked: SpeechAsk) -> str:
    """Of the body."""
    return "text/event-stream; charset=utf-8" if asked.events else f"audio/{asked.format}"


def first_piece(asked: SpeechAsk, rate: int) -> bytes:
    """What stands before the first sample."""
    if asked.format != "wav":
        return b""
    layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
    return b"".join((b"RIFF", struct.pack("<I", _UNKNOWN), b"WAVEfmt ", layout, b"data", struct.pack("<I", _UNKNOWN)))


def audio_piece(asked: SpeechAsk, audio: bytes, after_ms: float) -> Piece:
    """A piece of it."""
    if not asked.events:
        return Piece("audio", audio, after_ms)
    data = b'data: {"type":"speech.audio.delta","audio":"%b"}\n\n' % b64encode(audio)
    return Piece("speech.audio.delta", data, after_ms)


def last_piece(asked: SpeechAsk, spoken_ms: float) -> Piece | None:
    """What stands behind the last sample, if anything."""
    if not asked.events:
        return None
    read, made = len(text_tokens(asked.text)), round(spoken_ms * _TOKENS_PER_SECOND / 1000)
    usage = {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}
    done = {"type": "speech.audio.done", "usage": usage}
    return Piece("speech.audio.done", b"data: " + orjson.dumps(done) + b"\n\n", spoken_ms)
