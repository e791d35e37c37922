"""Every dialect keeps what sessions promise, over true sockets, against a server that speaks the wire.

The server speaks the wire as OpenAI does. Where a dialect's row says that settings or the model's name stand
elsewhere, that the user is written down unasked, or that usage is not told, that alone is taken back here; all else of
the row is as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, ClassVar

from voicebridge.contract.session import Backend
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.contract import BackendContract, Subject
from voicebridge_openai.backend import RealtimeBackend
from voicebridge_openai.dialects import DIALECTS

SERVER = {"pace": 20.0, "transcripts": ("hello there",) * 20, "require_key": False}
GARBAGE = (
    "garbage on rate_limits.updated every",
    "garbage binary on response.output_audio.done every",
    "garbage truncated on response.content_part.done every",
    "duplicate on response.output_audio_transcript.done every",
)
LONG = " ".join(f"This is number {n} of a long story." for n in range(9))


@asynccontextmanager
async def against_the_simulator(backend: Backend, faults: tuple[str, ...] = ()) -> AsyncIterator[Subject]:
    settings = SimulatorSettings(options=SERVER, faults=faults)
    async with registry().simulator("openai-realtime", settings).serve() as url:
        yield Subject(
            backend=backend,
            config={"base_url": url, "api_key": "sk-simulated"},
            prompt="Hello there.",
            long_prompt=LONG,
            tool_prompt="Please call look_up_weather.",
            hostile=lambda: against_the_simulator(backend, GARBAGE),
            dropping=lambda: against_the_simulator(backend, ("reset on response.output_audio.delta",)),
            pace=5.0,
            patience_s=5.0,
            quiet_s=0.15,
        )


class OnTheWire(BackendContract):
    dialect: ClassVar[str]
    model: ClassVar[str | None] = None
    plain: ClassVar[dict[str, Any]] = {}
    """Of the row, what this server does not know."""

    def backend(self) -> Backend:
        return RealtimeBackend(replace(DIALECTS[self.dialect], **self.plain), self.model)

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Subject]:
        async with against_the_simulator(self.backend()) as subject:
            yield subject


class TestAzure(OnTheWire):
    dialect, model = "azure", "my-deployment"


class TestXai(OnTheWire):
    dialect = "xai"
    plain: ClassVar[dict[str, Any]] = {"top_level": frozenset(), "transcribes": "asked"}


class TestElevenLabs(OnTheWire):
    dialect = "elevenlabs"
    plain: ClassVar[dict[str, Any]] = {"model_in": "query", "transcribes": "asked", "usage": True}


class TestCompatible(OnTheWire):
    dialect, model = "openai-compatible", "anything"


class TestSpeechToSpeech(OnTheWire):
    dialect = "speech-to-speech"
    plain: ClassVar[dict[str, Any]] = {"transcribes": "asked"}
