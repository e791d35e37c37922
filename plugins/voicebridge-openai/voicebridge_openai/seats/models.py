"""Models of OpenAI by seat: which there are, when they end, and what each takes.

Names and dates are those of the `openai` SDK 3.54: `types/shared/chat_model.py`, `types/audio_model.py`,
`types/audio/speech_model.py` and `types/audio/speech_create_params.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from voicebridge_openai.models import MODELS as REALTIME_MODELS
from voicebridge_openai.models import Model, model_of

__all__ = [
    "LANGUAGE_MODELS",
    "TRANSCRIBERS",
    "VOICES",
    "VOICE_MODELS",
    "LanguageModelRow",
    "VoiceModel",
    "reasons",
    "transcriber",
    "voice_model",
]

_SOURCE = "names and shutdowns: types of the openai SDK 3.54"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModelRow:
    """One language model."""

    name: str
    shuts_down: date | None = None
    note: str = _SOURCE


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceModel:
    """One model that speaks."""

    name: str
    events: bool = True
    """Whether it can stream events, which tell the exact usage."""
    instructions: bool = True
    """Whether it takes `instructions`."""
    shuts_down: date | None = date(2027, 1, 6)
    note: str = _SOURCE


_ENDS = date(2027, 1, 14)
LANGUAGE_MODELS: tuple[LanguageModelRow, ...] = (
    *(LanguageModelRow(name=name) for name in ("gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna", "gpt-5.5", "gpt-5.4")),
    LanguageModelRow(name="gpt-5.4-mini"),
    LanguageModelRow(name="gpt-5.4-nano", shuts_down=date(2027, 4, 1)),
    *(LanguageModelRow(name=name, shuts_down=_ENDS) for name in ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini")),
)
VOICE_MODELS: tuple[VoiceModel, ...] = (
    VoiceModel(name="gpt-4o-mini-tts"),
    VoiceModel(name="gpt-4o-mini-tts-2025-12-15"),
    VoiceModel(name="tts-1", events=False, instructions=False),
    VoiceModel(name="tts-1-hd", events=False, instructions=False),
)
VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar"),
)
"""The built-in ones. A custom voice is named by its id, as in `voice_1234`."""
TRANSCRIBERS: tuple[Model, ...] = tuple(
    row for row in REALTIME_MODELS if row.vendor == "openai" and row.kind == "transcription"
)


def reasons(model: str) -> bool:
    """Whether a model may think long before its first word. By the families that OpenAI documents as reasoning."""
    name = model.rpartition("/")[2]
    return name.startswith(("gpt-5", "o1", "o3", "o4", "gpt-oss")) and "chat" not in name


def transcriber(server: str, model: str) -> Model | None:
    """The row of a recogniser of OpenAI; None for one that is not listed, or of another server."""
    return model_of(server, model)


def voice_model(server: str, model: str) -> VoiceModel | None:
    """The row of a voice's model; None for one that is not listed, or of another server."""
    return next((row for row in VOICE_MODELS if server == "openai" and row.name == model), None)
