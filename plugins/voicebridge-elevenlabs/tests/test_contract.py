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
        async with registry().simulator("elevenlabs", settings).serve() as url:
            yield {"base_url": url, "api_key": "any"}

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with self.world(self.death) as fields:
            yield fields


class TestVoice(_Simulated, TextToSpeechContract):
    name = "elevenlabs/eleven_turbo_v2_5"
    death = "reset on audio occurrence 3"


class TestVoiceCutAtOddPlaces(TestVoice):
    options: ClassVar[Mapping[str, Any]] = {"pace": 20, "odd_pieces": True, "alignment": "message"}
    death = "half-open on audio occurrence 3"


class TestVoiceOverHttp(_Simulated, TextToSpeechContract):
    name = "elevenlabs/eleven_multilingual_v2"
    config: ClassVar[Mapping[str, Any]] = {"options": {"transport": "http"}}
    death = "reset on audio occurrence 3"


class TestVoiceWithoutTimes(_Simulated, TextToSpeechContract):
    name = "elevenlabs/eleven_flash_v2_5"
    config: ClassVar[Mapping[str, Any]] = {"options": {"transport": "http", "timestamps": False}}
    death = "cut at byte 5000"


class TestScribeRealtime(_Simulated, SpeechToTextContract):
    name = "elevenlabs/scribe_v2_realtime"
    death = "reset on committed_transcript"


class TestScribeByUpload(_Simulated, SpeechToTextContract):
    name = "elevenlabs/scribe_v2"
    death = "reset on response"
