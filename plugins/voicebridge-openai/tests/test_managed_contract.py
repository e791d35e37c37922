"""A managed session over the simulator keeps every promise of a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.session.door import backend_of, connect
from voicebridge.testing.contract import CHECKS, BackendContract, Subject, run_check
from voicebridge_openai.simulator import simulator

CALL = {"call": "look_up_weather", "arguments": {"city": "Paris"}}
HOSTILE = (
    "unknown on * every",
    "garbage on rate_limits.updated every",
    "duplicate on response.output_item.* every",
    "garbage truncated on response.content_part.done every",
)


class Managed:
    """The backend with sessions such as an application gets. Is a `Backend`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._backend.capabilities, formats_in=(DOOR_FORMAT,), formats_out=(DOOR_FORMAT,))

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        settings = {name: getattr(config, name) for name in type(config).model_fields if name != "options"}
        key = settings.pop("api_key")
        settings["api_key"] = None if key is None else key.get_secret_value()
        async with connect(self._backend, history=history, **settings, **config.options) as session:
            yield session


@asynccontextmanager
async def served(*faults: str, **more: object) -> AsyncIterator[Subject]:
    options = {"pace": 20.0, "transcripts": ("hello there",) * 20, **more}
    async with simulator(SimulatorSettings(options=options, faults=faults)).serve() as url:
        yield Subject(
            backend=Managed(backend_of("openai/gpt-realtime-2")),
            config={"base_url": url, "api_key": "sk-simulated"},
            prompt="Hello there.",
            long_prompt=" ".join(f"This is number {n} of a long story." for n in range(9)),
            tool_prompt="Please call look_up_weather.",
            hostile=lambda: served(*HOSTILE),
            pace=10.0,
            patience_s=5.0,
            quiet_s=0.1,
            unread_s=0.3,
            voices=("cedar",),
        )


class TestManaged(BackendContract):
    test_parallel_tools = None  # an echo calls one tool at a time: with a script, below
    test_lost_connection = None  # it outlives that: see test_managed_drop.py

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Subject]:
        async with served() as subject:
            yield subject


def test_parallel_tools() -> None:
    async def main() -> None:
        async with served(replies=([CALL, {**CALL, "arguments": {"city": "Rome"}}],)) as subject:
            subject = replace(subject, parallel_prompt="Please call it for both.")
            verdict = await run_check(CHECKS["parallel_tools"], subject)
            assert verdict.status == "pass", str(verdict)

    asyncio.run(main())
