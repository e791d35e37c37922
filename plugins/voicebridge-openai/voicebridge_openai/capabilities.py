"""What a session can do, from the rows of its dialect and model."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from voicebridge.contract.capabilities import Capabilities

from .conversation import Conversation
from .dialects import Dialect
from .models import Model, model_of

__all__ = ["capabilities_of", "narrowed"]


def capabilities_of(dialect: Dialect, model: Model | None) -> Capabilities:
    """The upper bound: what some session of this dialect can do."""
    live = model_of(dialect.name, dialect.default_transcription or "")
    late: Literal["live", "late"] = "live" if live is None or live.live else "late"
    respond: set[Literal["verb", "instructions", "say", "aside"]] = {"verb", "instructions"}
    inputs: set[Literal["audio", "text", "image"]] = {"audio", "text"}
    outputs: set[Literal["audio", "text"]] = {"audio"}
    if dialect.asides:
        respond.add("aside")
    if dialect.images:
        inputs.add("image")
    if dialect.text_output:
        outputs.add("text")
    return Capabilities(
        turns=frozenset(dialect.turns),
        interrupt=frozenset({"verb", "auto", "auto_off"}),
        truncate="ms" if dialect.truncate else "none",
        respond=frozenset(respond),
        inputs=frozenset(inputs),
        outputs=frozenset(outputs),
        context="item",
        tools="blocking",
        seed=frozenset({"text", "tools"}),
        live_update=frozenset({"instructions", "tools", "voice", "turns"}),
        resume="replay",
        speech_events="reported",
        input_transcript="none" if dialect.transcribes == "never" else late,
        alignment="none",
        usage="exact" if dialect.usage else "none",
        formats_in=dialect.formats,
        formats_out=dialect.formats,
        max_session_s=(model.max_session_s if model else None) or dialect.max_session_s,
    )


def narrowed(bound: Capabilities, on: Conversation) -> Capabilities:
    """What this session can do: its formats are those that were chosen."""
    transcript: Literal["live", "late", "none"] = bound.input_transcript
    if on.dialect.transcribes == "asked":
        named = on.settings.transcription_model
        row = model_of(on.dialect.name, named or "")
        transcript = "none" if named is None else "live" if row is not None and row.live else "late"
    return replace(bound, formats_in=(on.input.format,), formats_out=(on.output.format,), input_transcript=transcript)
