"""The promises of every stage, kept before the simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.contract.stages import SpeechToTextContract, TextToSpeechContract


class _Simulated:
    options: ClassVar[Mapping[str, Any]] = {"pace": 20}
    death: ClassVar[str] = ""

    @asynccontextmanager
    async def world(self, *faults: str) -> AsyncIterator[Mapping[str, Any]]:
        settings = SimulatorSettings(options=self.options, faults=faults)
        async with registry().simulator("azure-speech", settings).serve() as url:
            yield {"base_url": url, "api_key": "any"}

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with self.world(self.death) as fields:
            yield fields


class TestSpeech(_Simulated, SpeechToTextContract):
    name = "azure/speech"
    death = "reset on body"


class TestNeural(_Simulated, TextToSpeechContract):
    name = "azure/neural"
    wrong_voice = "no such voice"
    death = "reset on audio occurrence 3"


class TestVoiceCutAtOddPlaces(_Simulated, TextToSpeechContract):
    name = "azure/en-US-JennyNeural"
    wrong_voice = "no such voice"
    options: ClassVar[Mapping[str, Any]] = {"pace": 20, "odd_pieces": True}
    death = "half-open on audio occurrence 3"
