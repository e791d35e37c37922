"""What only these stages know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebridge.core.stage_options import StageOptions

__all__ = ["AuraOptions", "FluxOptions", "NovaOptions"]


class _Common(StageOptions):
    tag: tuple[str, ...] = ()
    """Labels of the requests in Deepgram's reports."""
    mip_opt_out: bool | None = None
    """Keep the data out of Deepgram's model improvement. It may cost more."""


class NovaOptions(_Common):
    """Of `deepgram/nova-3` and the other models of the listen v1 wire."""

    smart_format: bool = True
    """Punctuation, numbers and dates as they are written."""
    keyterm: tuple[str, ...] = ()
    """Words to expect, beside `transcription.keywords`. Nova-3 only."""
    profanity_filter: bool = False
    redact: tuple[str, ...] = ()
    """What is blotted out, such as `pci` or `numbers`."""
    endpointing_ms: int = Field(default=300, ge=10, le=5_000)
    """Milliseconds of silence that end a turn. Only of a `-turns` model."""
    utterance_end_ms: int | None = Field(default=1_000, ge=1_000, le=5_000)
    """The same by gaps between words, where noise hides the silence. Only of a `-turns` model."""


class FluxOptions(_Common):
    """Of `deepgram/flux-general-en` and `-multi`."""

    eot_threshold: float | None = Field(default=None, ge=0.5, le=1.0)
    """Confidence that ends a turn; Deepgram takes 0.7."""
    eager_eot_threshold: float | None = Field(default=0.5, ge=0.3, le=0.9)
    """Confidence at which an answer may be prepared. None: no eager ends, and no guessing."""
    eot_timeout_ms: int | None = Field(default=None, ge=500, le=60_000)
    """Milliseconds of silence that end a turn at any confidence; Deepgram takes 5000."""
    keyterm: tuple[str, ...] = ()
    """Words to expect, beside `transcription.keywords`."""
    numerals: bool | None = None
    profanity_filter: bool | None = None


class AuraOptions(_Common):
    """Of the voices."""

    transport: Literal["websocket", "http"] = "websocket"
    """`http` asks once for each clause."""
