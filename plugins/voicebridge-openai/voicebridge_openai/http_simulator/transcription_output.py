"""The answer of POST /audio/transcriptions as bytes. Pure.

Shapes are those of the openai SDK 3.54. Guesses: that events come without an `event:` line and end with [DONE] (the SDK
reads both), and all that is told of segments and words but the text: they share the audio by their length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import orjson

from voicebridge.testing.simulator.pacing import text_tokens

from .dialects import HttpDialect
from .identity import Identity
from .known_models import Family
from .piece import Piece
from .transcription_request import Transcription

__all__ = ["media_type", "transcription_pieces", "whole_transcription"]

_TOKEN_S = 0.1
"""A token of audio."""
_LOGPROB = -0.05
_LANGUAGES = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "it": "italian", "nl": "dutch"}


def media_type(asked: Transcription) -> str:
    """Of the body that is not streamed."""
    return {"text": "text/plain; charset=utf-8", "srt": "text/plain", "vtt": "text/plain"}.get(
        asked.format, "application/json"
    )


def whole_transcription(asked: Transcription, text: str, family: Family | None, dialect: HttpDialect) -> bytes:
    """The body of an answer that is not streamed."""
    seconds = asked.upload.seconds
    answer: dict[str, Any]
    match asked.format:
        case "text":
            return text.encode() + b"\n"
        case "srt":
            return f"1\n{_clock(0, ',')} --> {_clock(seconds, ',')}\n{text}\n\n".encode()
        case "vtt":
            return f"WEBVTT\n\n{_clock(0, '.')} --> {_clock(seconds, '.')}\n{text}\n\n".encode()
        case "verbose_json":
            answer = _verbose(asked, text)
        case "diarized_json":
            answer = {"task": "transcribe", "duration": seconds, "text": text, "segments": [_spoken(asked, text)]}
        case _:
            answer = {"text": text, **_extras(asked, text, family)}
    if dialect.counts:
        answer["usage"] = _usage(asked, text, family)
    return orjson.dumps(answer)


def transcription_pieces(
    asked: Transcription, text: str, family: Family | None, dialect: HttpDialect, names: Identity
) -> Iterator[Piece]:
    """The body of an answer that is streamed."""
    if dialect.transcription_stream == "chunks":
        yield from _chunks(asked, text, names)
    else:
        yield from _events(asked, text, family, dialect)
    if dialect.done:
        yield Piece("done", b"data: [DONE]\n\n")


def _events(asked: Transcription, text: str, family: Family | None, dialect: HttpDialect) -> Iterator[Piece]:
    diarized = asked.format == "diarized_json"
    segment = {"segment_id": "seg_0"} if diarized else {}
    for token in text_tokens(text):
        logprobs = {"logprobs": [_logprob(token)]} if asked.logprobs else {}
        yield _event({"type": "transcript.text.delta", "delta": token, **logprobs, **segment})
    if diarized:
        yield _event(_spoken(asked, text))
    done = {"type": "transcript.text.done", "text": text, **_extras(asked, text, family)}
    if dialect.counts:
        done["usage"] = _usage(asked, text, family)
    yield _event(done)


def _event(fields: dict[str, Any]) -> Piece:
    return Piece(fields["type"], b"data: " + orjson.dumps(fields) + b"\n\n")


def _chunks(asked: Transcription, text: str, names: Identity) -> Iterator[Piece]:
    """As of a chat: what vLLM streams."""
    head: dict[str, Any] = {
        "id": names.new("trsc-"),
        "object": "transcription.chunk",
        "created": names.created,
        "model": asked.model,
    }
    for token in text_tokens(text):
        choice: dict[str, Any] = {"delta": {"content": token}, "finish_reason": None, "stop_reason": None}
        yield Piece("transcription.chunk", b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n")
    choice = {"delta": {"content": ""}, "finish_reason": "stop", "stop_reason": None}
    yield Piece("transcription.chunk", b"data: " + orjson.dumps({**head, "choices": [choice]}) + b"\n\n")


def _extras(asked: Transcription, text: str, family: Family | None) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if asked.logprobs:
        extras["logprobs"] = [_logprob(token) for token in text_tokens(text)]
    if family is not None and family.keywords:
        extras["languages"] = [{"code": asked.language or "en"}] if text else []
    return extras


def _logprob(token: str) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode()), "logprob": _LOGPROB}


def _usage(asked: Transcription, text: str, family: Family | None) -> dict[str, Any]:
    seconds = asked.upload.seconds
    if family is None or family.billed_by == "seconds":
        return {"type": "duration", "seconds": math.ceil(seconds)}
    heard, written = math.ceil(seconds / _TOKEN_S), len(text_tokens(text))
    return {
        "type": "tokens",
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
        "total_tokens": heard + written,
    }


def _verbose(asked: Transcription, text: str) -> dict[str, Any]:
    seconds, code = asked.upload.seconds, asked.language or "en"
    answer: dict[str, Any] = {
        "task": "transcribe",
        "language": _LANGUAGES.get(code, code),
        "duration": seconds,
        "text": text,
    }
    if asked.words:
        answer["words"] = _words(text, seconds)
    if asked.segments:
        segment = {
            "id": 0,
            "seek": 0,
            "start": 0.0,
            "end": seconds,
            "text": f" {text}",
            "tokens": list(range(1, len(text_tokens(text)) + 1)),
            "temperature": 0.0,
            "avg_logprob": _LOGPROB,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.01,
        }
        answer["segments"] = [segment] if text else []
    return answer


def _words(text: str, seconds: float) -> list[dict[str, Any]]:
    words = text.split()
    letters = sum(map(len, words))
    found, place = [], 0
    for word in words:
        start, place = place, place + len(word)
        bare = word.strip(".,!?;:") or word
        found.append({"word": bare, "start": seconds * start / letters, "end": seconds * place / letters})
    return found


def _spoken(asked: Transcription, text: str) -> dict[str, Any]:
    return {
        "type": "transcript.text.segment",
        "id": "seg_0",
        "start": 0.0,
        "end": asked.upload.seconds,
        "speaker": "A",
        "text": text,
    }


def _clock(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
