"""Backends that do less than others are right all the same, and what was not looked at is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.contract import CHECKS, BackendContract, Subject, Verdict, run_check
from voicebridge.testing.contract.subject import loud_sound
from voicebridge.testing.script import SCRIPTED_CAPABILITIES
from voicebridge.testing.scripted_session import ScriptedBackend

TRANSCRIBES: dict[str, Any] = {
    "inputs": frozenset({"audio"}),
    "outputs": frozenset(),
    "respond": frozenset(),
    "interrupt": frozenset(),
    "seed": frozenset(),
    "truncate": "none",
    "context": "none",
    "tools": "none",
    "alignment": "none",
    "formats_out": (),
}


def subject(settings: dict[str, Any] | None = None, **less: Any) -> Subject:
    can = replace(SCRIPTED_CAPABILITIES, **less)
    return Subject(backend=ScriptedBackend("Hello.", capabilities=can), virtual_time=True, **(settings or {}))


class TestTranscription(BackendContract):
    virtual_time = True

    def subject(self) -> Subject:
        return subject(**TRANSCRIBES)


class TestTranscriptionByHand(BackendContract):
    virtual_time = True

    def subject(self) -> Subject:
        return subject(**TRANSCRIBES, turns=frozenset({"manual"}), live_update=frozenset())


class TestWriting(BackendContract):
    virtual_time = True

    def subject(self) -> Subject:
        return subject(
            inputs=frozenset({"text"}),
            outputs=frozenset({"text"}),
            turns=frozenset(),
            interrupt=frozenset({"verb"}),
            live_update=frozenset({"instructions"}),
            tools="none",
            truncate="none",
            speech_events="none",
            input_transcript="none",
            alignment="none",
            formats_in=(),
            formats_out=(),
        )


def verdict(check: str, given: Subject) -> Verdict:
    return run_in_virtual_time(run_check(CHECKS[check], given))


def test_live_transcripts_take_speech_of_some_length() -> None:
    buzz = verdict("spoken_turn", subject(input_transcript="live"))
    assert (buzz.status, "give a recording" in buzz.reason) == ("pass", True), buzz
    spoken = verdict("spoken_turn", subject({"speech": loud_sound(2.5)}, input_transcript="live"))
    assert (spoken.status, "no text before the final" in spoken.reason) == ("fail", True), spoken


def test_what_no_check_tries_is_said() -> None:
    paper = verdict("opens", subject(resume="native", tools="async"))
    assert (paper.status, paper.reason) == ("pass", "not checked: resume 'native'; tools 'async'")
    assert verdict("opens", subject()).reason == ""


def test_without_a_question_nobody_knows_whether_it_remembers() -> None:
    blind = verdict("seeding", subject())
    assert (blind.status, "recall" in blind.reason) == ("skipped", True), blind


def test_threads_of_the_loops_own_pool_are_not_the_backends() -> None:
    class Threads(ScriptedBackend):
        count = 0

        @asynccontextmanager
        async def connect(self, *given: Any, **more: Any) -> AsyncIterator[Any]:
            self.count += 1
            await asyncio.gather(*[asyncio.to_thread(time.sleep, 0.05) for _ in range(self.count)])
            async with super().connect(*given, **more) as session:
                yield session

    kept = asyncio.run(run_check(CHECKS["nothing_left"], Subject(backend=Threads("Hello."))))
    assert kept.status == "pass", kept


def test_who_runs_a_check_may_stop_it() -> None:
    async def main() -> None:
        task = asyncio.create_task(run_check(CHECKS["nobody_reads"], subject()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_in_virtual_time(main())


def test_a_check_that_hangs_is_told_from_a_backend_that_times_out() -> None:
    class Hangs(ScriptedBackend):
        def connect(self, *given: Any, **more: Any) -> Any:
            class Never:
                async def __aenter__(self) -> None:
                    await asyncio.sleep(1e6)

                async def __aexit__(self, *error: object) -> None:
                    pass

            return Never()

    class TimesOut(ScriptedBackend):
        def connect(self, *given: Any, **more: Any) -> Any:
            raise TimeoutError("the server did not answer")

    def reason(backend: ScriptedBackend) -> str:
        return verdict("text_turn", Subject(backend=backend, virtual_time=True)).reason

    assert reason(Hangs()) == "it was not over after 190 s"
    assert reason(TimesOut()) == "TimeoutError, which is no VoiceBridgeError: the server did not answer"
