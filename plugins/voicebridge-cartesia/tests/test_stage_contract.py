"""What every stage promises, over a real socket to the simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import simulator
from voicebridge.testing.contract.stages import SpeechToTextContract, TextToSpeechContract

KEY = "a-key-of-a-test"


@asynccontextmanager
async def cartesia(*faults: str, **options: Any) -> AsyncIterator[Mapping[str, Any]]:
    settings = SimulatorSettings(faults=faults, options={"pace": 0.0, **options})
    async with simulator("cartesia", settings).serve() as url:
        yield {"base_url": url, "api_key": KEY}


class _World:
    dies_at = ""

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with cartesia() as fields:
            yield fields

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with cartesia(self.dies_at) as fields:
            yield fields


class TestInkWhisper(_World, SpeechToTextContract):
    name = "cartesia/ink-whisper"
    dies_at = "reset on flush_done"


class TestInk2ThatFallsSilent(_World, SpeechToTextContract):
    name = "cartesia/ink-2"
    dies_at = "half-open on flush_done"


class TestInk2Turns(_World, SpeechToTextContract):
    name = "cartesia/ink-2-turns"
    hears = False  # nothing ends its turns by hand, and the sound of the checks has no end
    dies_at = "reset on turn.start"


class TestSonic3(_World, TextToSpeechContract):
    name = "cartesia/sonic-3"
    dies_at = "reset on chunk occurrence 3"


class TestSonic2ThatFallsSilent(_World, TextToSpeechContract):
    name = "cartesia/sonic-2"
    dies_at = "half-open on chunk occurrence 3"


class TestSonicOverHttp(_World, TextToSpeechContract):
    name = "cartesia/sonic-3"
    config: ClassVar[Mapping[str, Any]] = {"options": {"transport": "http"}, "voice": "Tessa"}
    dies_at = "reset on chunk occurrence 3"
