"""A request to speak, read and checked; and the voices there are."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voicebridge.contract.audio import AudioFormat
from voicebridge.testing.simulator.wire import HttpRequest

from ..models import NAMES
from .recognition import body_of, invalid

__all__ = ["Synthesis", "listed_voices", "wav"]

_VOICE = re.compile(rf"([a-z]{{2,3}}-[A-Z]{{2}})-Chirp3-HD-(?:{'|'.join(NAMES)})")
_LONGEST_BYTES = 5_000
_FILE, _SAMPLES = ("LINEAR16", 1), ("PCM", 7)
"""Encodings by name, or by number, as protobuf has them."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What is to be said."""

    text: str
    format: AudioFormat
    speed: float
    header: bool
    """Whether it is a file."""

    @classmethod
    def of(cls, request: HttpRequest) -> Synthesis:
        """Read it.

        Raises:
            Refusal: it does not fit.
        """
        body = body_of(request)
        text = _part(body, "input").get("text")
        if not isinstance(text, str) or not text.strip():
            raise invalid("input.text is missing: these voices take no SSML.")
        if len(text.encode()) > _LONGEST_BYTES:
            raise invalid(f"input.text has more than {_LONGEST_BYTES} bytes.")
        _check_voice(_part(body, "voice"))
        audio = _part(body, "audioConfig")
        encoding = audio.get("audioEncoding")
        if encoding not in (*_FILE, *_SAMPLES):
            raise invalid(f"audioEncoding {encoding!r} is not simulated: ask for LINEAR16.")
        rate, speed = audio.get("sampleRateHertz", 24_000), audio.get("speakingRate", 1.0)
        if not isinstance(rate, int) or not 8_000 <= rate <= 48_000:
            raise invalid("sampleRateHertz lies between 8000 and 48000.")
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 2:
            raise invalid("speakingRate lies between 0.25 and 2.")
        return cls(text, AudioFormat(rate=rate), float(speed), encoding in _FILE)


def listed_voices(language: str) -> list[dict[str, Any]]:
    """Those of a language; of none, those of English."""
    code = language if re.fullmatch(r"[a-z]{2,3}-[A-Z]{2}", language) else "en-US"
    return [
        {"languageCodes": [code], "name": f"{code}-Chirp3-HD-{name}", "naturalSampleRateHertz": 24_000}
        for name in NAMES
    ]


def wav(pcm: bytes, source: AudioFormat) -> bytes:
    """PCM16 as a file."""
    fmt = struct.pack(
        "<HHIIHH", 1, source.channels, source.rate, source.rate * source.frame_bytes, source.frame_bytes, 16
    )
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    if not isinstance(part, Mapping):
        raise invalid(f"{name} is missing.")
    return part


def _check_voice(voice: Mapping[str, Any]) -> None:
    name = voice.get("name")
    known = _VOICE.fullmatch(name) if isinstance(name, str) else None
    if known is None:
        raise invalid(f"Voice {name!r} does not exist.")
    if known[1] != voice.get("languageCode"):
        raise invalid(f"Requested language code {voice.get('languageCode')!r} does not fit voice {name!r}.")
