"""The backend against the simulator, held to what every session promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.session.door import backend_of
from voicebridge.testing.contract import CHECKS, BackendContract, Subject, run_check
from voicebridge_openai.simulator import simulator

CALL = {"call": "look_up_weather", "arguments": {"city": "Paris"}}
HOSTILE = (
    "unknown on * every",
    "garbage on rate_limits.updated every",
    "duplicate on response.output_item.* every",
)
TWICE = [CALL, {**CALL, "arguments": {"city": "Rome"}}]


@asynccontextmanager
async def served(*, faults: tuple[str, ...] = (), replies: tuple[Any, ...] = ()) -> AsyncIterator[Subject]:
    """The backend, and a simulator of its own that answers as told, then echoes."""
    async with simulator(SimulatorSettings(faults=faults, options={"replies": replies})).serve() as url:
        yield Subject(
            backend=backend_of("openai/gpt-realtime-2"),
            config={"base_url": url, "api_key": "sk-test"},
            voices=("cedar",),
            hostile=lambda: served(faults=HOSTILE),
            dropping=lambda: served(faults=("reset on response.output_audio.delta occurrence 3",)),
            tool_prompt="Please call look_up_weather.",
            parallel_prompt="Please call it for both.",
            patience_s=10,
            quiet_s=0.2,
        )


class TestOpenAI(BackendContract):
    """Every check with a model that echoes, and calls the tool that is named to it."""

    test_parallel_tools = None  # an echo calls one tool at a time: see below

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Subject]:
        async with served() as subject:
            yield subject


def test_parallel_tools() -> None:
    async def main() -> None:
        async with served(replies=(TWICE,)) as subject:
            verdict = await run_check(CHECKS["parallel_tools"], subject)
            assert verdict.status == "pass", str(verdict)

    asyncio.run(main())
