"""The promises of every stage, kept before the simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.contract.stages import SpeechToTextContract, TextToSpeechContract


class _Simulated:
    death: ClassVar[str] = "reset on body"

    @asynccontextmanager
    async def world(self, *faults: str) -> AsyncIterator[Mapping[str, Any]]:
        async with registry().simulator("google-speech", SimulatorSettings(faults=faults)).serve() as url:
            yield {"base_url": url, "api_key": "any"}

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with self.world(self.death) as fields:
            yield fields


class TestChirp3(_Simulated, SpeechToTextContract):
    name = "google/chirp_3"
    config: ClassVar[Mapping[str, Any]] = {"options": {"project": "demo"}}


class TestChirp3CutShort(TestChirp3):
    death = "cut at byte 20"


class TestVoice(_Simulated, TextToSpeechContract):
    name = "google/chirp-3-hd"
    wrong_voice = "nobody"


class TestVoiceCutShort(_Simulated, TextToSpeechContract):
    name = "google/en-GB-Chirp3-HD-Puck"
    wrong_voice = "nobody"
    death = "cut at byte 5000"
