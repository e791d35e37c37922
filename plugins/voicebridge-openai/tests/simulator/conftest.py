"""The simulator as a server, and bare clients before it."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.testing.simulator.bare_client import BareClient, bare_client, tone
from voicebridge.testing.simulator.engine import SimulatedServer
from voicebridge_openai.simulator import simulator

HEADERS = {"Authorization": "Bearer sk-test"}
Simulate = Callable[..., AbstractAsyncContextManager[tuple[SimulatedServer, BareClient]]]


@pytest.fixture
def simulate() -> Simulate:
    """`async with simulate(replies=["Hi."]) as (server, client)`: after `session.created`; faults by `faults=`."""

    @asynccontextmanager
    async def simulated(
        *, faults: tuple[str, ...] = (), profile: str = "instant", seed: int = 0, **options: Any
    ) -> AsyncIterator[tuple[SimulatedServer, BareClient]]:
        server = simulator(SimulatorSettings(faults=faults, profile=profile, seed=seed, options=options))
        async with server.serve() as url, bare_client(f"{url}/realtime?model=gpt-realtime-2", HEADERS) as client:
            await client.until("session.created")
            yield server, client

    return simulated


@pytest.fixture
def update() -> Callable[..., Awaitable[dict[str, Any]]]:
    """Change the session; the whole session that comes back."""

    async def updated(client: BareClient, **session: Any) -> dict[str, Any]:
        await client.send("session.update", session={"type": "realtime", **session})
        answer: dict[str, Any] = (await client.until("session.updated"))["session"]
        return answer

    return updated


@pytest.fixture
def write() -> Callable[..., Awaitable[None]]:
    """Put a message into the conversation, and ask for an answer unless told otherwise."""

    async def written(client: BareClient, text: str, *, respond: bool = True, **more: Any) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}
        await client.send("conversation.item.create", item=item)
        if respond:
            await client.send("response.create")

    return written


@pytest.fixture
def speak() -> Callable[..., Awaitable[None]]:
    """Say something `ms` long, then be silent: a tone to a level meter is speech."""

    async def spoken(client: BareClient, ms: float = 800, *, silence_ms: float = 400) -> None:
        pcm = tone(ms) + bytes(48 * round(silence_ms))
        for start in range(0, len(pcm), 960):
            await client.send("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + 960]).decode())

    return spoken


@pytest.fixture(scope="session")
def recorded() -> dict[str, Any]:
    """The shapes and orders of recorded sessions."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "recorded_shapes.json").read_text(encoding="utf-8"))
    return found
