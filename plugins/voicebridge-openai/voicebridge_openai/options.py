"""What only this wire knows: everything that is not portable, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voicebridge.contract.codec import Liveness, Timeouts
from voicebridge.contract.errors import BadOption

from .dialects import Dialect
from .models import Model

__all__ = ["RESPONSE_OPTIONS", "RealtimeOptions", "read_options"]

_CONNECTION = frozenset(
    {
        "acknowledge_timeout_s",
        "between_outputs_timeout_s",
        "connect_timeout_s",
        "dead_after_s",
        "first_output_timeout_s",
        "ping_interval_s",
        "response_timeout_s",
    }
)
_SECRET = frozenset({"client_secret", "client_secret_seconds"})
RESPONSE_OPTIONS = frozenset(
    {"input", "max_output_tokens", "metadata", "parallel_tool_calls", "prompt", "reasoning_effort", "tool_choice"}
)
"""Of a single response: the keys of `Respond.options`."""


class RealtimeOptions(BaseModel):
    """Given to `voicebridge.connect` by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reasoning_effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    """How much a reasoning model thinks before it speaks."""
    parallel_tool_calls: bool | None = None
    """Whether a reasoning model may make several calls at once."""
    truncation: Literal["auto", "disabled"] | Mapping[str, Any] | None = None
    """What happens when the context is full: drop the oldest, an error, or a `retention_ratio` object."""
    prefix_padding_ms: int | None = Field(default=None, ge=0, le=10_000)
    """Milliseconds of audio before the detected speech that belong to the turn. Server VAD; 300 unless given."""
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    """How soon semantic turn detection takes a turn as finished (it waits 8, 4 or 2 s at most)."""
    idle_timeout_ms: int | None = Field(default=None, ge=1)
    """Milliseconds of silence after a response until the model speaks again by itself. Server VAD."""
    input_transcription: bool = True
    """Whether the user's voice is written down, which costs extra."""
    transcription_prompt: str | None = None
    """Guides the transcription model's style."""
    transcription_languages: tuple[str, ...] = ()
    """Languages to expect, in ISO 639-1, where the transcription model takes several."""
    transcription_delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    """How long gpt-realtime-whisper waits before it writes."""
    noise_strength: float | None = Field(default=None, ge=0)
    """Of `noise_reduction`: higher suppresses more."""
    tracing: Literal["auto"] | Mapping[str, Any] | None = None
    """Traces at the vendor's dashboard. Can't be changed once set."""
    prompt: Mapping[str, Any] | None = None
    """A prompt template of the vendor: `id`, `version`, `variables`."""
    include: tuple[str, ...] = ()
    """Extra fields in events, such as `item.input_audio_transcription.logprobs`."""
    mcp_tools: tuple[Mapping[str, Any], ...] = ()
    """MCP servers that the vendor calls itself, as it describes them. Their events come as `ProviderEvent`s."""
    organization: str | None = None
    project: str | None = None
    safety_identifier: str | None = None
    """A stable, hashed name of the end user, for the vendor's abuse detection."""
    client_secret: bool = False
    """Exchange the key for an ephemeral secret first, and connect with that."""
    client_secret_seconds: int = Field(default=600, ge=10, le=7200)
    """How long that secret can open sessions."""
    connect_timeout_s: float | None = Field(default=10.0, gt=0, le=3600)
    """Seconds from the dial to `SessionReady`. None, here and below: no limit."""
    first_output_timeout_s: float | None = Field(default=20.0, gt=0, le=3600)
    """Seconds from the request for a response to its first output."""
    between_outputs_timeout_s: float | None = Field(default=20.0, gt=0, le=3600)
    """Seconds between two outputs of a response."""
    response_timeout_s: float | None = Field(default=600.0, gt=0, le=36_000)
    """Seconds that a response may take."""
    acknowledge_timeout_s: float | None = Field(default=30.0, gt=0, le=3600)
    """Seconds that the vendor may take to confirm any other command."""
    ping_interval_s: float | None = Field(default=None, gt=0, le=3600)
    """Seconds between pings while nothing is sent. None: as the dialect's row says."""
    dead_after_s: float | None = Field(default=None, gt=0, le=3600)
    """Seconds after a ping without any frame until the connection counts as dead. None: as the dialect's row says."""

    @property
    def timeouts(self) -> Timeouts:
        """For the link."""
        return Timeouts(
            connect_s=self.connect_timeout_s,
            first_output_s=self.first_output_timeout_s,
            between_outputs_s=self.between_outputs_timeout_s,
            total_s=self.response_timeout_s,
            acknowledge_s=self.acknowledge_timeout_s,
        )

    def liveness(self, usual: Liveness) -> Liveness:
        """For the link: what is given here before what is usual."""
        given = {"ping_interval_s": self.ping_interval_s, "dead_after_s": self.dead_after_s}
        return replace(usual, **{name: value for name, value in given.items() if value is not None})


def read_options(options: Mapping[str, Any], dialect: Dialect, model: Model | None) -> RealtimeOptions:
    """The options, checked.

    Raises:
        BadOption: one that this backend does not know or take, or a value that does not fit.
    """
    known = known_options(dialect)
    for name in options:
        if name not in known:
            raise unknown_option(name, known, dialect)
    try:
        read = RealtimeOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadOption(f"The option {where!r} does not fit: {first['msg']}.", code="bad_option") from None
    if model is not None and not model.reasoning:
        for name in ("reasoning_effort", "parallel_tool_calls"):
            if getattr(read, name) is not None:
                raise BadOption(f"{model.name} does not reason: it takes no {name}.", code="bad_option")
    return read


def known_options(dialect: Dialect) -> frozenset[str]:
    """The names that this dialect takes."""
    every = frozenset(RealtimeOptions.model_fields)
    if dialect.options is None:
        return every if dialect.client_secrets else every - _SECRET
    return dialect.options | _CONNECTION | (_SECRET if dialect.client_secrets else frozenset())


def unknown_option(name: str, known: frozenset[str], dialect: Dialect) -> BadOption:
    """An error that names the nearest one."""
    near = get_close_matches(name, sorted(known), 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It knows {', '.join(sorted(known))}."
    return BadOption(f"The backend {dialect.name!r} has no option {name!r}. {hint}", code="unknown_option")
