"""What the vendors are like: whom a client talks to, and how long they take. Times are inputs of the benchmark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["REPLY", "ROUND_TRIP_MS", "SETTINGS", "TOKENS_PER_SECOND", "Setting", "Stage", "Vendor", "text_ms"]

ROUND_TRIP_MS = 50.0
TOKENS_PER_SECOND = 60.0
REPLY = "I can help you with that, and it will not take too long."
"""Fifteen tokens: its words are short, so that each is one, and so is each mark. The seventh ends the first clause."""
_ASKED = "What can you do for me today?"
_MANY = 20_000
_TOKENS = re.compile(r"\s*\w+|\s*[^\w\s]")
_CLAUSE_ENDS = re.compile(r"[.,!?;:]\s")


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage in the log of a simulator."""

    cause: str
    """Of the records that tell of it."""
    drawn: str
    """The name of its time."""
    first: str
    """The stamp of its first useful output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """One simulator."""

    simulator: str
    profile: str
    stages: Mapping[str, Stage]
    """By seat, how its log tells of it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    scheme: str = "http"
    """Of its base URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The three vendors of a cascade."""

    title: str
    about: str
    vendors: Mapping[str, Vendor]
    seats: Mapping[str, str]
    """By seat: which of the vendors."""
    models: Mapping[str, str]
    spec: str

    @property
    def is_plain(self) -> bool:
        """Whether all of it speaks the wire that the bare and the plain clients know."""
        return set(self.vendors) == {"openai"}


_OPENAI_STAGES = {
    "stt": Stage("transcription", "transcription", "first_text"),
    "llm": Stage("chat", "first_token", "first_token"),
    "tts": Stage("speech", "speech", "first_audio"),
}
_MODELS = {"stt": "whisper-1", "llm": "gpt-4o", "tts": "tts-1"}
_ALL_OPENAI = dict.fromkeys(("stt", "llm", "tts"), "openai")
_SPEC = "openai/whisper-1+openai/gpt-4o+openai/tts-1"


_CALM: Mapping[str, Any] = {"ms_per_char": 65.0, "audio_speed": 4.0}
"""A voice as slow as a person's, that comes four times faster than it plays: to wait for all of it is to wait long."""
_HASTY: Mapping[str, Any] = {"ms_per_char": 20.0}
"""Where only the first sound counts, nobody need listen for long."""
_CONSTANT = "transcription=350,first_token=350,speech=300"


def _openai(profile: str, voice: Mapping[str, Any]) -> Vendor:
    options = {
        "replies": (REPLY,) * _MANY,
        "transcripts": (_ASKED,),
        "tokens_per_second": TOKENS_PER_SECOND,
        **voice,
    }
    return Vendor(simulator="openai-http", profile=profile, stages=_OPENAI_STAGES, options=options)


def _hears(profile: str) -> Vendor:
    return Vendor(
        simulator="deepgram",
        profile=profile,
        stages={"stt": Stage("listen", "transcription", "first_text")},
        options={"transcripts": (_ASKED,)},
        scheme="ws",
    )


def _speaks(simulator: str, profile: str, stage: Stage) -> Vendor:
    return Vendor(
        simulator=simulator, profile=profile, stages={"tts": stage}, options={"ms_per_char": 20.0}, scheme="ws"
    )


def _one_vendor(title: str, about: str, profile: str, voice: Mapping[str, Any] = _HASTY) -> Setting:
    return Setting(
        title=title,
        about=about,
        vendors={"openai": _openai(profile, voice)},
        seats=_ALL_OPENAI,
        models=_MODELS,
        spec=_SPEC,
    )


SETTINGS: Mapping[str, Setting] = {
    "constants": _one_vendor(
        "constants", "350 ms to the text, 350 to the first token, 300 to the first audio in each turn", _CONSTANT
    ),
    "claimed": _one_vendor("claimed", "the article's 200 to 500 ms a stage, drawn with a seed", "claimed"),
    "published": _one_vendor("published", "medians and spreads that others have measured, drawn", "published"),
    "calm voice": _one_vendor(
        "calm voice", "the constants, with a voice that comes four times faster than it plays", _CONSTANT, _CALM
    ),
    "the article's vendors": Setting(
        title="the article's vendors",
        about="whisper-1, gpt-4o, ElevenLabs Turbo over its websocket; published medians and spreads, drawn",
        vendors={
            "openai": _openai("published", _HASTY),
            "elevenlabs": _speaks(
                "elevenlabs", "published", Stage("text-to-speech/stream-input", "speech_turbo", "first_audio")
            ),
        },
        seats={"stt": "openai", "llm": "openai", "tts": "elevenlabs"},
        models=_MODELS,
        spec="openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_turbo_v2_5",
    ),
    "the best mix": Setting(
        title="the best mix",
        about="Deepgram nova-3, gpt-4.1, Cartesia sonic-3; published medians and spreads, drawn",
        vendors={
            "deepgram": _hears("published"),
            "openai": _openai("transcription=637,first_token=162-1771,speech=2295", _HASTY),
            "cartesia": _speaks("cartesia", "published", Stage("speak", "speech", "first_audio")),
        },
        seats={"stt": "deepgram", "llm": "openai", "tts": "cartesia"},
        models=_MODELS | {"llm": "gpt-4.1"},
        spec="deepgram/nova-3+openai/gpt-4.1+cartesia/sonic-3",
    ),
}
"""By name. Of gpt-4.1: request to the first text p50 536 ms, p95 1771 ms (aiewf-eval)."""


def text_ms(reply: str, *, whole: bool) -> float:
    """From the first token of an answer to the one with the mark that ends its first clause, or to the end of the
    stream, which comes as a token would."""
    tokens = _TOKENS.findall(reply)
    if whole:
        return len(tokens) * 1000 / TOKENS_PER_SECOND
    found = _CLAUSE_ENDS.search(reply)
    if found is None:
        return text_ms(reply, whole=True)
    seen = 0
    for number, token in enumerate(tokens):
        seen += len(token)
        if seen > found.start():
            return number * 1000 / TOKENS_PER_SECOND
    return text_ms(reply, whole=True)
