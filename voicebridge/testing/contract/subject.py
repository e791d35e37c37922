"""What is checked: a backend, and how to get it to do what a check is about."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import Tool
from voicebridge.contract.session import Backend
from voicebridge.contract.stages import PCM_16K

__all__ = ["Subject", "loud_sound"]

TOOL = Tool(
    name="look_up_weather",
    description="The weather of a city right now.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A backend, and how to talk to it.

    The defaults fit a real model. Where what a check needs does not come about with a default, the check is skipped
    and says which of these to give; where it was given and still does not come about, the check fails.
    """

    backend: Backend
    config: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `SessionConfig` for every session: `api_key`, `base_url`, `options`, ..."""
    speech: bytes | None = None
    """What the user says, in `speech_format`. None: a loud sound, which is speech to a detector of loudness alone."""
    speech_format: AudioFormat = PCM_16K
    asks_by: Literal["text", "speech"] | None = None
    """How a response with audio is brought about. None: by text where the backend takes any."""
    prompt: str = "Say hello in one short sentence."
    long_prompt: str = "Count from one to sixty in words, slowly, and say nothing else."
    """Its answer must go on for some seconds."""
    flood_prompt: str | None = None
    """Its answer has more than two minutes of audio, which come within `patience_s`. None: that is not checked."""
    tool_prompt: str | None = None
    """Makes the model call `tool`. None: a question about the weather, which it may answer otherwise."""
    parallel_prompt: str | None = None
    """Makes the model call `tool` twice in one response. None: likewise."""
    tool: Tool = TOOL
    recall: tuple[str, str, str] | None = None
    """A sentence of an earlier conversation, a question about it, and a word that the answer must hold."""
    voices: tuple[str, ...] = ()
    """Names for a change of voice."""
    hostile: Callable[[], AbstractAsyncContextManager[Subject]] | None = None
    """Gives a subject whose server sends garbage and unheard-of events between what is right."""
    dropping: Callable[[], AbstractAsyncContextManager[Subject]] | None = None
    """Gives a subject whose server goes away in the middle of its first response."""
    late_usage: bool = False
    """The vendor tells what a response used only after its end."""
    virtual_time: bool = False
    """Waits take no time. For backends that do nothing but wait on the event loop."""
    pace: float = 1.0
    """How many times faster than a microphone the user's audio comes. Above 1 only where turns are found by the audio
    itself, whatever the clock says."""
    patience_s: float = 30.0
    """How long to wait for what must come."""
    quiet_s: float = 0.5
    """How long to look out for what must not come."""
    unread_s: float = 1.0
    """How long nobody reads, where that is checked: some audio must come in that time."""

    def spoken(self, format: AudioFormat) -> bytes:
        """What the user says, in the session's format."""
        pcm, source = (self.speech, self.speech_format) if self.speech is not None else (loud_sound(1.0), PCM_16K)
        converter = Converter(source, format)
        return converter.convert(pcm) + converter.flush()


def loud_sound(seconds: float) -> bytes:
    """PCM16 mono at 16 kHz: a buzz that swells and falls as syllables do, never quiet."""
    samples = []
    for n in range(round(seconds * PCM_16K.rate)):
        t = n / PCM_16K.rate
        swell = 0.6 + 0.4 * math.sin(2 * math.pi * 4 * t)
        wave = math.sin(2 * math.pi * 180 * t) + 0.5 * math.sin(2 * math.pi * 720 * t)
        samples.append(round(9000 * swell * wave / 1.5))
    return struct.pack(f"<{len(samples)}h", *samples)
