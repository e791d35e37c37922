"""Every dialect, its row as it is, keeps what sessions promise over true sockets, against a server of its dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from voicebridge.contract.session import Backend
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.contract import CHECKS, BackendContract, Subject, run_check
from voicebridge_openai.backend import RealtimeBackend
from voicebridge_openai.dialects import DIALECTS

SERVER = {"pace": 20.0, "transcripts": ("hello there",) * 20}
HOSTILE = (
    "unknown on * every",
    "garbage on rate_limits.updated every",
    "duplicate on response.output_item.* every",
    "garbage binary on response.output_audio.done every",
    "garbage truncated on response.content_part.done every",
    "duplicate on response.output_audio_transcript.done every",
)
LONG = " ".join(f"This is number {n} of a long story." for n in range(9))
CALL = {"call": "look_up_weather", "arguments": {"city": "Paris"}}
BOTH = [CALL, {**CALL, "arguments": {"city": "Rome"}}]
SERVERS = {
    "openai": "openai",
    "azure": "azure",
    "xai": "xai",
    "elevenlabs": "elevenlabs",
    "openai-compatible": "openai",
    "speech-to-speech": "speech-to-speech",
}
"""Of each dialect, the one of the simulator."""
MODELS = {"azure": "my-deployment", "openai-compatible": "anything"}


def backend_for(dialect: str) -> Backend:
    return RealtimeBackend(DIALECTS[dialect], MODELS.get(dialect))


@asynccontextmanager
async def served(dialect: str, *faults: str, **more: Any) -> AsyncIterator[Subject]:
    """The backend, and a server that speaks as its vendor does."""
    options = {**SERVER, "dialect": SERVERS[dialect], **more}
    async with (
        registry().simulator("openai-realtime", SimulatorSettings(options=options, faults=faults)).serve() as url
    ):
        yield Subject(
            backend=backend_for(dialect),
            config={"base_url": url, "api_key": "sk-simulated"},
            prompt="Hello there.",
            long_prompt=LONG,
            tool_prompt="Please call look_up_weather.",
            parallel_prompt="Please call it for both.",
            hostile=lambda: served(dialect, *HOSTILE),
            dropping=lambda: served(dialect, "reset on response.output_audio.delta"),
            pace=10.0,
            patience_s=5.0,
            quiet_s=0.1,
            unread_s=0.3,
            voices=("cedar",),
        )


class OnTheWire(BackendContract):
    dialect: ClassVar[str]
    test_parallel_tools = None  # an echo calls one tool at a time: with a script, below

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Subject]:
        async with served(self.dialect) as subject:
            yield subject


class TestOpenAI(OnTheWire):
    dialect = "openai"


class TestAzure(OnTheWire):
    dialect = "azure"


class TestXai(OnTheWire):
    dialect = "xai"


class TestElevenLabs(OnTheWire):
    dialect = "elevenlabs"


class TestCompatible(OnTheWire):
    dialect = "openai-compatible"


class TestSpeechToSpeech(OnTheWire):
    dialect = "speech-to-speech"


def test_none_is_forgotten() -> None:
    assert set(SERVERS) == set(DIALECTS)


@pytest.mark.parametrize("dialect", SERVERS)
def test_parallel_tools(dialect: str) -> None:
    async def main() -> None:
        async with served(dialect, replies=(BOTH,)) as subject:
            verdict = await run_check(CHECKS["parallel_tools"], subject)
            assert verdict.status == "pass", str(verdict)

    asyncio.run(main())
