"""What only these stages know: one table for each kind of stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from voicebridge.core.stage_options import StageOptions
from voicebridge.transport.http_call import HttpTimeouts

from .thoughts import Thoughts

__all__ = [
    "ChatOptions",
    "ModelOptions",
    "RequestOptions",
    "SpeechOptions",
    "TranscriptionOptions",
    "TranscriptionSessionOptions",
]


class RequestOptions(StageOptions):
    """What every stage over HTTP takes."""

    organization: str | None = None
    project: str | None = None
    connect_timeout_s: float = Field(default=3.0, gt=0, le=3600)
    """Seconds until a connection is open."""
    first_output_timeout_s: float | None = Field(default=None, gt=0, le=3600)
    """Seconds from a request to its first output. None: as the server's row says."""
    between_outputs_timeout_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds between two outputs of an answer."""
    response_timeout_s: float = Field(default=120.0, gt=0, le=36_000)
    """Seconds that an answer may take."""

    def timeouts(self, first_output_s: float) -> HttpTimeouts:
        """For the HTTP border.

        Args:
            first_output_s: what is usual, where nothing is given.
        """
        return HttpTimeouts(
            connect_s=self.connect_timeout_s,
            first_output_s=self.first_output_timeout_s or first_output_s,
            between_outputs_s=self.between_outputs_timeout_s,
            total_s=self.response_timeout_s,
        )


class ModelOptions(RequestOptions):
    """Of a language model, by either of its APIs."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """How much a reasoning model thinks before it speaks."""
    verbosity: Literal["low", "medium", "high"] | None = None
    parallel_tool_calls: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    """A stable, hashed name of the end user, for the vendor's abuse detection."""
    extra_body: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields of the request, as this server describes them."""
    thoughts: Thoughts = "tagged"
    """`opened`: the model's template opens its thoughts, so that the answer has only their end, `</think>`."""


class ChatOptions(ModelOptions):
    """Of a language model by chat completions."""

    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    seed: int | None = None
    stop: tuple[str, ...] = Field(default=(), max_length=4)
    """Texts that end the answer before they come."""


class TranscriptionOptions(RequestOptions):
    """Of a recogniser by upload."""

    prompt: str | None = None
    """Guides the model's style."""
    languages: tuple[str, ...] = ()
    """Languages to expect, in ISO 639-1, where the model takes several."""
    temperature: float | None = Field(default=None, ge=0, le=1)
    stream: bool | None = None
    """Ask for the transcript as it is written. None: as the model's or the server's row says."""
    extra_form: Mapping[str, str] = Field(default_factory=dict)
    """Further fields of the form, as this server describes them."""


class TranscriptionSessionOptions(StageOptions):
    """Of a recogniser by a realtime session."""

    prompt: str | None = None
    languages: tuple[str, ...] = ()
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    """How long gpt-realtime-whisper waits before it writes."""
    noise_strength: float | None = Field(default=None, ge=0)
    """Of `noise_reduction`: higher suppresses more."""
    detection: Literal["semantic_vad", "server_vad"] | None = None
    """How the vendor finds the ends of turns, where it does. None: by what was said, or by silence where
    `turns.silence_ms` or `turns.sensitivity` is set."""
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    """How soon semantic detection takes a turn as finished (it waits 8, 4 or 2 s at most)."""
    organization: str | None = None
    project: str | None = None
    connect_timeout_s: float = Field(default=3.0, gt=0, le=3600)


class SpeechOptions(RequestOptions):
    """Of a voice."""

    instructions: str | None = None
    """How to speak, for the models that take it: "calm and friendly"."""
    rate: int = Field(default=24_000, ge=8_000, le=48_000)
    """Samples a second of the server's raw PCM. OpenAI has 24,000."""
    stream_format: Literal["audio", "sse"] | None = None
    """`sse` tells the exact usage, and takes a third more bytes. None: as the model's row says."""
    extra_body: Mapping[str, Any] = Field(default_factory=dict)
    """Further fields of the request, as this server describes them."""
