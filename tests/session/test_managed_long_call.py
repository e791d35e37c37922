"""A call of twenty minutes, in virtual time: nothing grows, nothing is left, and every sample is accounted for."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import voicebridge
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import Event, SessionNotice
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, ToolResultItem
from voicebridge.contract.session import VoiceSession
from voicebridge.contract.stages import PCM_16K
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks, open_files
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend

MINUTES = 20
FRAME_MS = 40
LOST = Fault(category="network", code="reset", message="The connection was lost.", retryable=True)
DROP, RENEWAL = (31.0, LOST), (29.0, SessionNotice(expires_in_s=8.0))
ANSWER = "This is an answer of some words, which takes about four seconds to say, or five."


class Restless:
    """A backend whose connections last half a minute: one is lost, the next one says goodbye, and so on."""

    capabilities = SCRIPTED_CAPABILITIES

    def __init__(self) -> None:
        self.connections = 0
        self._answers = 0

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        """A connection."""
        self.connections += 1
        moments = (DROP,) if self.connections % 2 else (RENEWAL,)
        async with ScriptedBackend(self._reply, moments=moments).connect(config, history, resume) as session:
            yield session

    def _reply(self, said: tuple[Item, ...]) -> Reply:
        self._answers += 1
        asks = self._answers % 5 == 0 and not (said and isinstance(said[-1], ToolResultItem))
        return Reply(calls=(Call("look_up"),)) if asks else Reply(ANSWER)


async def look_up() -> str:
    """Find something."""
    await asyncio.sleep(0.3)
    return "found"


def test_it_stays_as_it_was() -> None:
    seen: Counter[str] = Counter()
    sizes: list[int] = []

    async def read(session: Any) -> None:
        async for event in session:
            seen[_name(event)] += 1

    async def speak(session: Any, seconds: float, *, loud: bool) -> None:
        pcm = (b"\x00\x20" if loud else b"\0\0") * (PCM_16K.size(FRAME_MS) // 2)
        for _ in range(round(seconds * 1000 / FRAME_MS)):
            await session.send(SendAudio(pcm=pcm))
            await asyncio.sleep(FRAME_MS / 1000)

    async def a_minute(session: Any) -> None:
        for turn in range(6):
            await speak(session, 0.8, loud=True)
            await speak(session, 2.2 if turn % 2 else 9.2, loud=False)  # every other answer is interrupted
            if turn % 2:
                await speak(session, 0.8, loud=True)
                await speak(session, 6.2, loud=False)

    async def main() -> None:
        backend = Restless()
        files = len(open_files())
        async with no_leaked_tasks(grace_s=5.0):
            patient = voicebridge.RetryPolicy(most_drops=100)  # a drop a minute is what is tested
            async with voicebridge.connect(
                backend, tools=[look_up], input_format=PCM_16K, turns={"silence_ms": 200}, retry=patient
            ) as session:
                reader = asyncio.create_task(read(session))
                for _ in range(MINUTES):
                    await a_minute(session)
                    gc.collect()
                    sizes.append(tracemalloc.get_traced_memory()[0])
                    assert len(asyncio.all_tasks()) < 15
                    assert session.account.balanced
            await reader
        assert len(open_files()) == files
        account = session.account
        assert account.closed
        assert account.balanced
        assert account.input.dropped.get("too_old", 0) == 0
        assert seen["SessionRestarted"] >= MINUTES * 2 - 3
        assert backend.connections - seen["SessionRestarted"] <= 1 + seen["SessionRestarted"] // 4

    tracemalloc.start()
    try:
        run_in_virtual_time(main())
    finally:
        tracemalloc.stop()
    assert seen["ResponseStarted"] == seen["ResponseEnded"]
    assert seen["interrupt"] >= MINUTES
    assert seen["ToolCall"] >= MINUTES / 2
    history_bytes = 1000 * seen["ResponseStarted"]
    assert sizes[-1] - sizes[4] < 300_000 + history_bytes, sizes


def _name(event: Event) -> str:
    return event.action if isinstance(event, voicebridge.Interruption) else type(event).__name__
