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
async def deepgram(*faults: str, **options: Any) -> AsyncIterator[Mapping[str, Any]]:
    settings = SimulatorSettings(faults=faults, options={"pace": 0.0, **options})
    async with simulator("deepgram", settings).serve() as url:
        yield {"base_url": url, "api_key": KEY}


class _World:
    dies_at = ""

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with deepgram() as fields:
            yield fields

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with deepgram(self.dies_at) as fields:
            yield fields


class TestNova(_World, SpeechToTextContract):
    name = "deepgram/nova-3"
    dies_at = "reset on Results"


class TestNovaThatFallsSilent(_World, SpeechToTextContract):
    name = "deepgram/nova-3"
    dies_at = "half-open on Results"


class TestNovaTurns(_World, SpeechToTextContract):
    name = "deepgram/nova-3-turns"
    dies_at = "cut on Results"


class TestFlux(_World, SpeechToTextContract):
    name = "deepgram/flux-general-en"
    dies_at = "reset on StartOfTurn"


class TestAura(_World, TextToSpeechContract):
    name = "deepgram/aura-2"
    wrong_voice = "nobody"
    dies_at = "reset on audio occurrence 3"


class TestAuraThatFallsSilent(_World, TextToSpeechContract):
    name = "deepgram/aura-2-luna-en"
    wrong_voice = "nobody"
    dies_at = "half-open on audio occurrence 3"


class TestAuraOverHttp(_World, TextToSpeechContract):
    name = "deepgram/aura-2"
    config: ClassVar[Mapping[str, Any]] = {"options": {"transport": "http"}}
    dies_at = "reset on audio occurrence 3"
