"""Tokens by the vendor's arithmetic: user audio 1 a 100 ms, assistant audio 1 a 50 ms. Pure.

Text is counted as 4 characters a token, an approximation: the true tokenizer is not here. The whole context is billed
again with each response; what was there in the response before is cached, in steps of 64 tokens as recorded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .conversation import Entry

__all__ = ["Meter", "Tokens", "text_tokens", "transcription_usage"]

_USER_MS = 100
_ASSISTANT_MS = 50
_CHARACTERS = 4
_CACHE_STEP = 64


@dataclass(frozen=True, slots=True)
class Tokens:
    """By kind."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio)


def text_tokens(text: str) -> int:
    """About as many tokens as the text has."""
    return math.ceil(len(text) / _CHARACTERS)


def _of_entry(entry: Entry) -> Tokens:
    item = entry.item
    if item["type"] != "message":
        texts = [str(item.get(name) or "") for name in ("name", "arguments", "output")]
        return Tokens(text=sum(map(text_tokens, texts)))
    text = sum(text_tokens(str(part.get("text") or "")) for part in item["content"])
    if item["role"] == "assistant":
        text += sum(text_tokens(str(part.get("transcript") or "")) for part in item["content"])
        return Tokens(text, math.ceil(entry.audio_ms / _ASSISTANT_MS))
    return Tokens(text, math.ceil(entry.audio_ms / _USER_MS))


def _produced(entry: Entry) -> Tokens:
    """What a response made, whatever was cut off since."""
    if entry.item["type"] != "message":
        return _of_entry(entry)
    return Tokens(text_tokens(entry.made_text), math.ceil(entry.made_ms / _ASSISTANT_MS))


class Meter:
    """Counts the responses of one session."""

    def __init__(self) -> None:
        self._known = Tokens()
        """What the last response left in the cache."""

    def usage(self, context: Iterable[Entry], given: str, output: Iterable[Entry]) -> dict[str, Any]:
        """The `usage` of a response.

        Args:
            context: the items that it saw.
            given: its instructions and tools.
            output: the items that it made, cut off or not: what was produced is billed.
        """
        read = sum(map(_of_entry, context), Tokens(text=text_tokens(given)))
        made = sum(map(_produced, output), Tokens())
        cached = Tokens(_whole(min(self._known.text, read.text)), _whole(min(self._known.audio, read.audio)))
        self._known = read + made
        return {
            "total_tokens": read.text + read.audio + made.text + made.audio,
            "input_tokens": read.text + read.audio,
            "output_tokens": made.text + made.audio,
            "input_token_details": {
                "text_tokens": read.text,
                "audio_tokens": read.audio,
                "image_tokens": 0,
                "cached_tokens": cached.text + cached.audio,
                "cached_tokens_details": {
                    "text_tokens": cached.text,
                    "audio_tokens": cached.audio,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": made.text, "audio_tokens": made.audio},
        }


def _whole(tokens: int) -> int:
    return tokens // _CACHE_STEP * _CACHE_STEP


def transcription_usage(model: str, audio_ms: float, transcript: str) -> dict[str, Any]:
    """The `usage` of a transcription: by tokens for the gpt-4o family, else by duration in whole seconds."""
    if not model.startswith("gpt-4o"):
        return {"type": "duration", "seconds": math.ceil(audio_ms / 1000)}
    heard, written = math.ceil(audio_ms / _USER_MS), text_tokens(transcript)
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
        "output_tokens": written,
    }
