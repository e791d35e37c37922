"""What is known of each model. Others work by their names, too.

Sources: types and docstrings of the SDK elevenlabs 2.78, and for languages the tables of pipecat-ai 1.14, which says
that a language outside of them is refused with a 400.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "DEFAULT_RECOGNISER",
    "DEFAULT_VOICE",
    "KEY_VARIABLE",
    "RECOGNISERS",
    "VOICES",
    "RecogniserModel",
    "VoiceModel",
    "is_live",
]

KEY_VARIABLE = "ELEVENLABS_API_KEY"
_V2_5 = frozenset(
    (
        "ar",
        "bg",
        "cs",
        "da",
        "de",
        "el",
        "en",
        "es",
        "fi",
        "fil",
        "fr",
        "hi",
        "hr",
        "hu",
        "id",
        "it",
        "ja",
        "ko",
        "ms",
        "nl",
        "no",
        "pl",
        "pt",
        "ro",
        "ru",
        "sk",
        "sv",
        "ta",
        "tr",
        "uk",
        "vi",
        "zh",
    )
)
DEFAULT_VOICE = "eleven_flash_v2_5"
DEFAULT_RECOGNISER = "scribe_v2_realtime"


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceModel:
    """A model that speaks."""

    name: str
    languages: frozenset[str] | None = None
    """Those that it can be told to speak, in ISO 639-1. None: it can't be told, and finds out by itself. Empty: it
    speaks English."""
    websocket: bool = True
    """Whether the stream-input websocket serves it."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecogniserModel:
    """A model that hears."""

    name: str
    kind: Literal["live", "upload"]
    note: str = ""


_SDK = "elevenlabs 2.78"
_NO_SOCKET = "only with transport='http': users report that the websocket does not serve it"
VOICES: tuple[VoiceModel, ...] = (
    VoiceModel(name="eleven_flash_v2_5", languages=_V2_5, note=_SDK),
    VoiceModel(name="eleven_turbo_v2_5", languages=_V2_5, note=_SDK),
    VoiceModel(name="eleven_flash_v2", languages=frozenset(), note="English only"),
    VoiceModel(name="eleven_turbo_v2", languages=frozenset(), note="English only"),
    VoiceModel(name="eleven_multilingual_v2", note=f"{_SDK}: it takes no language_code"),
    VoiceModel(name="eleven_v3", websocket=False, note=_NO_SOCKET),
)
RECOGNISERS: tuple[RecogniserModel, ...] = (
    RecogniserModel(name="scribe_v2_realtime", kind="live", note=_SDK),
    RecogniserModel(name="scribe_v3_live", kind="live", note=f"named in the types of {_SDK}, nothing else known"),
    RecogniserModel(name="scribe_v2", kind="upload", note=_SDK),
    RecogniserModel(name="scribe_v1", kind="upload", note=_SDK),
    RecogniserModel(name="scribe_v3", kind="upload", note=f"named in the docstrings of {_SDK}"),
)


def is_live(model: str) -> bool:
    """Whether a recogniser is one of the websocket. Those that nobody knows tell it by their name."""
    known = {row.name: row.kind for row in RECOGNISERS}
    return known.get(model, "live" if model.endswith(("_realtime", "_live")) else "upload") == "live"
