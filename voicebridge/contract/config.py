"""What every backend understands of a session's settings. Anything else is an option of one backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from .audio import DOOR_FORMAT, AudioFormat
from .errors import BadOption

__all__ = ["SessionConfig", "Tool", "Transcription", "TurnPolicy"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Tool(_Settings):
    """A function that the model may call."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = ""
    parameters: Mapping[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON schema of its arguments."""


class TurnPolicy(_Settings):
    """How the end of the user's turn is found, and what follows from the user's voice."""

    mode: Literal["server_vad", "semantic", "manual"] | None = None
    """`manual` is push-to-talk: turns end with `EndTurn`. None: as the backend does it, and push-to-talk with one that
    finds no turns itself."""
    silence_ms: int | None = Field(default=None, ge=0, le=10_000)
    """Milliseconds of silence that end a turn. None: the backend's own default."""
    sensitivity: float | None = Field(default=None, ge=0, le=1)
    """0 hears only clear speech, 1 hears everything. None: the backend's own default."""
    auto_respond: bool = True
    """Answer a turn without being asked."""
    auto_interrupt: bool = True
    """Stop the response when the user speaks."""


class Transcription(_Settings):
    """How the user's voice is written down."""

    model: str | None = None
    keywords: tuple[str, ...] = ()


class SessionConfig(_Settings):
    """The portable settings of a session."""

    model: str | None = None
    """The model's name without its vendor."""
    instructions: str | None = None
    voice: str | None = None
    speed: float | None = Field(default=None, ge=0.25, le=4)
    """Of the voice: 1 is normal."""
    language: str | None = None
    """BCP 47, as in `en` or `pt-BR`. None: the backend's default, or detected."""
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    """`auto`, `none`, `required` or the name of a tool."""
    outputs: frozenset[Literal["audio", "text"]] = frozenset({"audio", "text"})
    turns: TurnPolicy = TurnPolicy()
    transcription: Transcription | None = None
    noise_reduction: Literal["near_field", "far_field"] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    input_format: AudioFormat = DOOR_FORMAT
    output_format: AudioFormat = DOOR_FORMAT
    base_url: str | None = None
    api_key: SecretStr | None = None
    provider_events: bool = False
    """Let `ProviderEvent`s through."""
    options: Mapping[str, Any] = Field(default_factory=dict)
    """What only this backend knows. One that it does not know raises `BadOption`."""

    @field_validator("options")
    @classmethod
    def _hide_keys(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """A key of one stage (`stt.api_key`) is as secret as that of the session: settings are shown and recorded."""
        keys = {name for name, value in options.items() if name.endswith(".api_key") and isinstance(value, str)}
        return {**options, **{name: SecretStr(options[name]) for name in keys}} if keys else options

    def patched(self, patch: Mapping[str, Any]) -> SessionConfig:
        """A copy with the fields of `patch` replaced, and all of it checked again.

        Raises:
            BadOption: a field does not exist or a value does not fit.
        """
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return checked(fields | dict(patch))


def checked(fields: Mapping[str, Any]) -> SessionConfig:
    """The config with these fields, its errors in words that name the field.

    Raises:
        BadOption: a field does not exist or a value does not fit.
    """
    try:
        return SessionConfig.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadOption(f"The setting {where!r} does not fit: {first['msg']}.", code="bad_setting") from None
