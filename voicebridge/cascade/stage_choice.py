"""A stage together with settings of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

__all__ = ["StageChoice", "stage"]


@dataclass(frozen=True, slots=True)
class StageChoice:
    """What may sit in a seat, and its own settings. Made by `voicebridge.stage`."""

    stage: Any
    """A name, a class, a stage, or what can be lifted into the seat."""
    settings: Mapping[str, Any] = field(default_factory=dict)


def stage(
    choice: Any,
    *,
    voice: str | None = None,
    language: str | None = None,
    base_url: str | None = None,
    api_key: str | SecretStr | None = None,
    **options: Any,
) -> StageChoice:
    """A stage with settings of its own, for any seat of a cascade.

        voicebridge.connect(
            "openai/whisper-1+openai/gpt-4o+elevenlabs/eleven_turbo_v2",
            tts=voicebridge.stage("elevenlabs/eleven_turbo_v2", voice="Rachel", api_key=key, stability=0.4),
        )

    The same from a spec alone: `connect(spec, **{"tts.voice": "Rachel", "tts.stability": 0.4})`. Where a seat has
    several stages, those names mean the first one, and `tts.2.voice` the second one.

    Args:
        choice: a name, a class, a stage, or what can be lifted into the seat.
        voice, language, base_url, api_key: instead of those of the session.
        options: `speed`, `max_output_tokens`, `tool_choice`, `noise_reduction` or `transcription` instead of the
            session's, and whatever only this stage knows.

    Raises (when the session is opened):
        BadOption: the stage has no such option, or can't take its value.
        Unsupported: the seat has no use for a setting.
    """
    given = {"voice": voice, "language": language, "base_url": base_url, "api_key": api_key}
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None} | options
    if isinstance(settings.get("api_key"), str):
        settings["api_key"] = SecretStr(settings["api_key"])  # the choice may be shown
    return StageChoice(choice, settings)
