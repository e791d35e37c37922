"""The promises of every stage, kept before the simulated vendor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

pytest.importorskip("botocore", reason="botocore is in the extra `aws`")

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.contract.stages import SpeechToTextContract, TextToSpeechContract


class _Simulated:
    options: ClassVar[Mapping[str, Any]] = {"pace": 20}
    death: ClassVar[str] = ""

    @asynccontextmanager
    async def world(self, *faults: str) -> AsyncIterator[Mapping[str, Any]]:
        settings = SimulatorSettings(options=self.options, faults=faults)
        async with registry().simulator("aws-speech", settings).serve() as url:
            yield {"base_url": url}

    @asynccontextmanager
    async def dying_world(self) -> AsyncIterator[Mapping[str, Any]]:
        async with self.world(self.death) as fields:
            yield fields


class TestPolly(_Simulated, TextToSpeechContract):
    name = "aws/polly"
    death = "reset on audio occurrence 3"


class TestPollyCutAtOddPlaces(TestPolly):
    name = "aws/polly-generative"
    options: ClassVar[Mapping[str, Any]] = {"pace": 20, "odd_pieces": True, "may_list": False}
    death = "half-open on audio occurrence 3"


class TestTranscribe(_Simulated, SpeechToTextContract):
    name = "aws/transcribe"
    death = "reset on transcript"


class TestTranscribeThatClosesNothing(TestTranscribe):
    options: ClassVar[Mapping[str, Any]] = {"closes": False}
    death = "half-open on transcript"
