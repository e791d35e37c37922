"""The models of the vendor, and what is peculiar to each family: rows of data.

Names are those of the openai SDK 3.54 (`ChatModel`, `AudioModel`, `SpeechModel`), by pattern, so that dated versions
fit as well. Formats and limits are from the same types' docstrings; that a family takes text as a format is from the
vendor's own refusal ("Use 'json' or 'text' instead"); which voices tts-1 has is from the vendor's guide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["LISTED", "VOICES", "Family", "Use", "family_of"]

Use = Literal["chat", "transcriptions", "speech"]
_OLD_VOICES = ("alloy", "ash", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer")
VOICES = (*_OLD_VOICES, "ballad", "verse", "marin", "cedar")
"""Built in."""
_JSON_TEXT = ("json", "text")
_WHISPER = ("json", "text", "srt", "verbose_json", "vtt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that behave alike."""

    pattern: str
    use: Use
    reasons: bool = False
    """It takes `reasoning_effort` and `max_completion_tokens`, and neither `max_tokens` nor a temperature."""
    stops: bool = True
    """It takes `stop`."""
    formats: tuple[str, ...] = _WHISPER
    """Of a transcription."""
    streams: bool = True
    """A transcription; speech as events. A recogniser that does not ignores the wish, a voice refuses it."""
    billed_by: Literal["tokens", "seconds"] = "tokens"
    keywords: bool = False
    """A recogniser takes `keywords` and `languages`, and tells the languages that it heard."""
    prompt: bool = True
    """A recogniser takes `prompt`."""
    voices: tuple[str, ...] = VOICES


_FAMILIES = (
    Family(
        pattern=r"whisper-1",
        use="transcriptions",
        streams=False,
        billed_by="seconds",
    ),
    Family(
        pattern=r"gpt-4o(-mini)?-transcribe-diarize",
        use="transcriptions",
        formats=("json", "text", "diarized_json"),
        prompt=False,
    ),
    Family(pattern=r"gpt-4o(-mini)?-transcribe(-\d.*)?", use="transcriptions", formats=_JSON_TEXT),
    Family(pattern=r"gpt-transcribe(-\d.*)?", use="transcriptions", formats=_JSON_TEXT, keywords=True),
    Family(pattern=r"tts-1(-hd)?(-\d+)?", use="speech", streams=False, voices=_OLD_VOICES),
    Family(pattern=r"gpt-4o-mini-tts(-\d.*)?", use="speech"),
    Family(pattern=r"o3(-\d.*)?|o4-mini(-\d.*)?", use="chat", reasons=True, stops=False),
    Family(pattern=r"gpt-\d+(\.\d+)?-chat-latest", use="chat"),
    Family(pattern=r"o\d(-.*)?|gpt-([5-9]|\d\d)(\.\d+)?(-.*)?|codex-.*", use="chat", reasons=True),
    Family(pattern=r"gpt-(3\.5|4|4\.\d|4o)(-.*)?|gpt-audio.*|chatgpt-.*|ft:.*", use="chat"),
)
_COMPILED = tuple((re.compile(family.pattern), family) for family in _FAMILIES)
LISTED = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-5.4-mini",
    "gpt-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-mini-transcribe",
    "whisper-1",
    "gpt-4o-mini-tts",
    "tts-1",
    "tts-1-hd",
)
"""What the list of models shows: some of them."""


def family_of(model: str) -> Family | None:
    """The family of a model; None: the vendor has no such model, as far as the patterns tell."""
    return next((family for pattern, family in _COMPILED if pattern.fullmatch(model)), None)
