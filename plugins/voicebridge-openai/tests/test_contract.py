"""The backend against the simulator, held to what every session promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.session.door import backend_of
from voicebridge.testing.contract import CHECKS, BackendContract, Subject, run_check
from voicebridge_openai.simulator import simulator

CALL = {"call": "look_up_weather", "arguments": {"city": "Paris"}}
HOSTILE = ("garbage on rate_limits.updated every", "duplicate on response.output_item.* every")


@asynccontextmanager
async def served(
    *, faults: tuple[str, ...] = (), replies: tuple[Any, ...] = (), **prompts: str
) -> AsyncIterator[Subject]:
    """The backend, and a simulator of its own that answers as told, then echoes."""
    async with simulator(SimulatorSettings(faults=faults, options={"replies": replies})).serve() as url:
        yield Subject(
            backend=backend_of("openai/gpt-realtime-2"),
            config={"base_url": url, "api_key": "sk-test"},
            voices=("cedar",),
            hostile=lambda: served(faults=HOSTILE),
            dropping=lambda: served(faults=("reset on response.output_audio.delta occurrence 3",)),
            patience_s=10,
            **prompts,
        )


class TestOpenAI(BackendContract):
    """Every check with a model that echoes. Those of tools need one that calls: see below."""

    @asynccontextmanager
    async def world(self) -> AsyncIterator[Subject]:
        async with served() as subject:
            yield subject


@pytest.mark.parametrize(
    ("name", "replies"),
    [
        ("tool_round", (CALL,)),
        ("parallel_tools", ([CALL, {**CALL, "arguments": {"city": "Rome"}}],)),
        ("tool_result_without_answer", (CALL,)),
    ],
)
def test_tools(name: str, replies: tuple[Any, ...]) -> None:
    async def main() -> None:
        async with served(replies=replies, tool_prompt="Call it.", parallel_prompt="Call it twice.") as subject:
            verdict = await run_check(CHECKS[name], subject)
            assert verdict.status == "pass", str(verdict)

    asyncio.run(main())
