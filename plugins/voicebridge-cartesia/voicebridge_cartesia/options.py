"""What only these stages know."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from voicebridge.core.stage_options import StageOptions

__all__ = ["VERSION", "InkOptions", "SonicOptions"]

VERSION = "2026-08-14"
"""The version of the API that `cartesia` 4.2 speaks, and these stages."""


class _Common(StageOptions):
    cartesia_version: str = Field(default=VERSION, pattern=r"^\d{4}-\d\d-\d\d$")
    """Sent as `Cartesia-Version`."""


class SonicOptions(_Common):
    """Of the voices."""

    transport: Literal["websocket", "http"] = "websocket"
    """`http` asks once for each clause, by server-sent events."""
    emotion: str | None = None
    """Such as `calm`. Sonic-3 and newer."""
    volume: float | None = Field(default=None, ge=0.5, le=2.0)
    """Sonic-3 and newer."""
    max_buffer_delay_ms: int = Field(default=0, ge=0, le=5_000)
    """How long text may wait for more text. 0: the cascade has cut clauses already."""
    pronunciation_dict_id: str | None = None


class InkOptions(_Common):
    """Of the recognisers."""

    keyterm: tuple[str, ...] = ()
    """Words to expect, beside `transcription.keywords`. Ink-2 only."""
    min_volume: float | None = Field(default=None, ge=0, le=1)
    """What is quieter is no speech. Not of a `-turns` model."""
    turn_start_threshold: float | None = Field(default=None, ge=0.5, le=0.9)
    """Of a `-turns` model; Cartesia takes 0.8."""
    turn_eager_end_threshold: float | None = Field(default=None, ge=0.3, le=0.6)
    """Of a `-turns` model; Cartesia takes 0.4."""
    turn_end_threshold: float | None = Field(default=None, ge=0.05, le=0.5)
    """Of a `-turns` model; Cartesia takes 0.2."""
    turn_end_timeout_ms: int | None = Field(default=None, ge=640, le=11_200)
    """Milliseconds of silence that end a turn in any case. Of a `-turns` model; Cartesia takes 5600."""
