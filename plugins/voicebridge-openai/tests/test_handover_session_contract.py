"""A session that outlives its connections, over the simulator: the promises that a network could break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import ResponseEnded, SessionRestarted
from voicebridge.contract.items import Item
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.core.chronicle import Chronicle
from voicebridge.session.candidate import Candidate
from voicebridge.session.door import backend_of
from voicebridge.session.handover_session import handing_over
from voicebridge.testing.contract import CHECKS, Bench, Subject, run_check
from voicebridge_openai.simulator import simulator

QUICK = (
    "opens",
    "first_words",
    "text_turn",
    "spoken_turn",
    "several_turns",
    "held_request",
    "silent_note",
    "seeding",
    "end_turn",
    "interruption",
    "interruption_before_start",
    "truncation",
    "tool_round",
    "live_update",
    "refusals",
    "cancelled_send",
    "cancelled_wait",
    "close_while_connecting",
    "close_during_response",
    "cancelled_connect",
    "hostile_server",
)


class HandingOver:
    """The backend with sessions that outlive their connections. Is a `Backend`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def capabilities(self) -> Capabilities:
        return self._backend.capabilities

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[VoiceSession]:
        async with handing_over(config, [Candidate.of(self._backend, config)], Chronicle(history)) as session:
            yield session


@asynccontextmanager
async def served(*faults: str) -> AsyncIterator[Subject]:
    options = {"pace": 20.0, "transcripts": ("hello there",) * 20}
    async with simulator(SimulatorSettings(options=options, faults=faults)).serve() as url:
        yield Subject(
            backend=HandingOver(backend_of("openai/gpt-realtime-2")),
            config={"base_url": url, "api_key": "sk-simulated"},
            prompt="Hello there.",
            long_prompt=" ".join(f"This is number {n} of a long story." for n in range(9)),
            tool_prompt="Please call look_up_weather.",
            hostile=lambda: served("unknown on * every", "garbage on rate_limits.updated every"),
            pace=10.0,
            patience_s=5.0,
            quiet_s=0.1,
            unread_s=0.3,
        )


@pytest.mark.parametrize("name", QUICK)
def test_promise(name: str) -> None:
    async def main() -> None:
        async with served() as subject:
            verdict = await run_check(CHECKS[name], subject)
            due = "skipped" if name == "seeding" else "pass"  # an echo answers after any history, and knows none
            assert verdict.status == due, str(verdict)

    asyncio.run(main())


async def test_a_reset_in_the_middle_of_an_answer_breaks_no_rule_and_the_next_question_is_answered() -> None:
    async with served("reset on response.output_audio.delta occurrence 2 connection 1") as subject:
        bench = Bench(subject)
        async with bench.open() as talk:
            command = await talk.ask(subject.long_prompt)
            started = await talk.response_to(command)
            assert (await talk.end_of(started)).status == "lost"
            restarted = await talk.until(SessionRestarted)
            assert (restarted.reason, restarted.carried) == ("drop", "text")
            await talk.answered()
        lost, *others = [ended.status for ended in talk.all(ResponseEnded)]
        assert lost == "lost"
        assert set(others) == {"completed"}, "the answer that was lost is gone on with, and the next one is given"
