"""The answering half by itself: what is asked, guessed, adopted and stopped, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from voicebridge.cascade.energy import EnergyDetector
from voicebridge.cascade.response_controller import ResponseController
from voicebridge.cascade.seats import Seats
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    Event,
    OutputAudio,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    UsageReported,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem, ToolResultItem
from voicebridge.contract.stages import LanguageModelTraits, Prompt, ToolRequest, Usage
from voicebridge.core.arbiter import Request
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.transport.delivery import Delivery


class Stage:
    def __init__(self, llm: ScriptedModel, tts: ScriptedVoice | None = None, **config: Any) -> None:
        self.llm, self.tts = llm, tts or ScriptedVoice(character_ms=10)
        names = {"stt": "a/stt", "llm": "a/llm", "tts": "a/tts"}
        seats = Seats(
            stt=ScriptedRecogniser(["x"]), detector=EnergyDetector(), llm=llm, tts=self.tts, names=names, placed=()
        )
        self.delivery = Delivery(self.tts.traits.format, asyncio.get_running_loop().time)
        self.settled: list[tuple[str, str | None]] = []
        self.controller = ResponseController(
            seats, SessionConfig(**config), [], self.delivery, self._settle, timeout_s=5
        )

    def _settle(self, command_id: str, fault: Fault | None) -> None:
        self.settled.append((command_id, fault and fault.code))

    def ask(self, command_id: str, **fields: Any) -> None:
        fields = {"cause": "request", "answers": (command_id,), "settles": (command_id,)} | fields
        self.controller.ask(Request(**fields))

    def commit(self, turn_id: str, text: str, *, respond: bool = True, command_id: str | None = None) -> None:
        self.controller.commit(turn_id, text, respond=respond, command_id=command_id)

    def told(self, *kinds: type[Event]) -> list[Any]:
        """What waits to be read."""
        return [event for event in self.delivery._events if isinstance(event, kinds or Event)]

    @property
    def said(self) -> str:
        return "".join(event.delta for event in self.told(OutputText))

    @property
    def prompts(self) -> list[list[str]]:
        return [[item.text for item in p.items if isinstance(item, MessageItem)] for p in self.llm.prompts]


def staged(
    *script: Any, speculative: Any = "safe", **options: Any
) -> Callable[[Callable[[Stage], Coroutine[Any, Any, None]]], Callable[[], None]]:
    """Run a test in virtual time, with a model of this script."""
    config = options.pop("config", {})

    def decorate(test: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        def run() -> None:
            async def main() -> None:
                traits = LanguageModelTraits(speculative=speculative, tools=True)
                stage = Stage(ScriptedModel(script or ["Hi."], traits=traits, **options), **config)
                await test(stage)
                stage.controller.stop()
                await asyncio.sleep(0.001)
                assert not stage.controller.open_tasks

            run_in_virtual_time(main())

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return decorate


# Guesses


@staged("Hi.", first_s=1)
async def test_a_right_guess_is_adopted(stage: Stage) -> None:
    stage.controller.guess("t1", "hello")
    await asyncio.sleep(2)
    assert stage.told() == []
    stage.commit("t1", "hello")
    (started,) = stage.told(ResponseStarted)
    assert (started.cause, started.answers, stage.said) == ("user", ("t1",), "Hi.")
    await asyncio.sleep(0)
    assert stage.told(ResponseEnded)[0].status == "completed"
    assert stage.prompts == [["hello"]]
    assert (stage.controller.speculation.guesses, stage.controller.speculation.used) == (1, 1)


@staged("Hi.", first_s=1)
async def test_a_guess_that_is_still_being_made_goes_on(stage: Stage) -> None:
    stage.controller.guess("t1", "hello")
    await asyncio.sleep(0.5)
    stage.commit("t1", "hello")
    await asyncio.sleep(0.6)
    assert stage.told(OutputText)[0].at == 1.0
    assert len(stage.llm.prompts) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stage: stage.commit("t1", "hello there"),
        lambda stage: stage.commit("t2", "hello"),
        lambda stage: (stage.commit("t1", "hello", respond=False), stage.ask("c1")),
        lambda stage: (stage.controller.append(MessageItem(role="system", text="x")), stage.commit("t1", "hello")),
        lambda stage: (stage.controller.configure(SessionConfig(instructions="x")), stage.commit("t1", "hello")),
        lambda stage: (stage.controller.interrupt(None, {}), stage.commit("t1", "hello")),
        lambda stage: (stage.controller.interrupt("r9", {"r1": 5}), stage.commit("t1", "hello")),
        lambda stage: (stage.controller.barge_in(), stage.commit("t1", "hello")),
        lambda stage: (stage.ask("c1", say="Wait."), stage.commit("t1", "hello")),
        lambda stage: (stage.controller.guess("t1", "hello you"), stage.commit("t1", "hello")),
        lambda stage: stage.ask("c1", cause="user", answers=("c1", "t1"), modality="text"),
        lambda stage: stage.ask("c1", cause="user", answers=("c1", "t1"), instructions="Rhyme."),
    ],
)
def test_a_guess_that_is_not_what_is_wanted_is_thrown_away(spoil: Callable[[Stage], object]) -> None:
    @staged("Hi.", Usage({"output_tokens": 7}))
    async def run(stage: Stage) -> None:
        stage.controller.guess("t1", "hello")
        await asyncio.sleep(1)
        spoil(stage)
        await asyncio.sleep(1)
        count = stage.controller.speculation
        assert count.used == 0
        assert count.wasted_characters >= len("Hi.")
        assert count.wasted_audio_ms >= 30
        usage = stage.told(UsageReported)[0]
        assert (usage.turn_id, usage.response_id, usage.model) == ("t1", None, "a/llm"), "it was used all the same"
        assert not stage.llm.prompts[-1].speculative or stage.controller.speculation.guesses == 2
        for ended in stage.told(ResponseEnded):
            assert ended.status == "completed"

    run()


@staged(speculative="unsafe")
async def test_a_model_that_acts_is_not_asked_on_a_guess(stage: Stage) -> None:
    stage.controller.guess("t1", "hello")
    await asyncio.sleep(1)
    assert stage.controller.speculation.guesses == 0
    stage.commit("t1", "hello")
    await asyncio.sleep(1)
    assert [prompt.speculative for prompt in stage.llm.prompts] == [False]


@staged("Hi.", first_s=5)
async def test_while_a_response_runs_nothing_is_guessed(stage: Stage) -> None:
    stage.ask("c1")
    stage.controller.guess("t1", "hello")
    assert stage.controller.speculation.guesses == 0


@staged()
async def test_a_guess_is_adopted_by_an_answer_that_takes_others_along(stage: Stage) -> None:
    stage.controller.user_speaks(True)
    stage.ask("c1")
    stage.controller.guess("t1", "hello")
    await asyncio.sleep(1)
    stage.commit("t1", "hello", command_id="c2")
    stage.controller.user_speaks(False)
    stage.controller.resume()
    (started,) = stage.told(ResponseStarted)
    assert started.answers == ("c1", "c2", "t1")
    assert stage.settled == [("c1", None)]
    assert stage.controller.speculation.used == 1


# Asking and stopping


@staged("One. ", "Two.", piece_s=1)
async def test_a_stopped_response_is_silent_at_once(stage: Stage) -> None:
    stage.ask("c1")
    await asyncio.sleep(0.5)
    assert stage.told(OutputAudio)
    stage.controller.interrupt(None, {})
    assert not stage.told(OutputAudio), "what was not read yet is dropped"
    await asyncio.sleep(5)
    assert not stage.told(OutputAudio)
    assert [(e.status, e.at) for e in stage.told(ResponseEnded)] == [("interrupted", 0.5)]
    assert stage.llm.cancelled == 1


@staged("One. ", "Two.", piece_s=1)
async def test_interrupting_another_response_stops_nothing(stage: Stage) -> None:
    stage.ask("c1")
    stage.ask("c2", say="Later.")
    stage.controller.interrupt("r9", {})
    await asyncio.sleep(5)
    assert [e.status for e in stage.told(ResponseEnded)] == ["completed", "completed"]
    assert stage.settled == [("c1", None), ("c2", None)]


@staged("One. ", "Two.", piece_s=1)
async def test_the_next_one_starts_when_the_running_one_is_interrupted(stage: Stage) -> None:
    stage.ask("c1")
    stage.ask("c2", say="Later.")
    stage.controller.interrupt("r1", {})
    assert [e.response_id for e in stage.told(ResponseStarted)] == ["r1", "r2"]
    stage.controller.interrupt(None, {})
    assert stage.settled == [("c1", None), ("c2", None)]


@staged("One. ", "Two.", piece_s=1)
async def test_barge_in_withdraws_nothing(stage: Stage) -> None:
    stage.ask("c1")
    stage.ask("c2", say="Later.")
    stage.controller.user_speaks(True)
    stage.controller.barge_in()
    assert [e.status for e in stage.told(ResponseEnded)] == ["interrupted"]
    assert stage.settled == [("c1", None)]
    stage.controller.user_speaks(False)
    stage.controller.resume()
    assert stage.settled == [("c1", None), ("c2", None)]


@staged("One. ", "Two.", piece_s=1)
async def test_stopping_for_good(stage: Stage) -> None:
    stage.ask("c1")
    stage.ask("c2")
    stage.controller.stop()
    assert [(e.status, e.reason) for e in stage.told(ResponseEnded)] == [("lost", "closed")]
    assert stage.settled == [("c1", None), ("c2", "withdrawn")]


@staged()
async def test_an_aside_is_in_no_history_and_has_no_tools(stage: Stage) -> None:
    stage.ask("c1", aside=True, instructions="Psst.")
    await asyncio.sleep(1)
    assert stage.controller.history.items() == ()
    assert stage.llm.prompts[0].instructions == "Psst."
    assert stage.told(ResponseStarted)[0].aside


@staged(config={"outputs": frozenset({"text"})})
async def test_a_session_without_audio_only_writes(stage: Stage) -> None:
    stage.ask("c1", modality="audio")
    await asyncio.sleep(1)
    assert stage.told(OutputText)[0].kind == "text"
    assert not stage.told(OutputAudio)
    assert stage.tts.spoken == []


@staged("One. ", RuntimeError("boom"), piece_s=1)
async def test_a_failed_response_says_no_more(stage: Stage) -> None:
    stage.ask("c1")
    stage.ask("c2", say="Next.")
    await asyncio.sleep(1.5)
    (failed, *_) = stage.told(ResponseEnded)
    assert (failed.status, failed.fault.code) == ("failed", "stage_failed")
    assert not [e for e in stage.told(OutputAudio) if e.response_id == "r1"], "what was not read yet is dropped"
    assert [e.response_id for e in stage.told(ResponseStarted)] == ["r1", "r2"]


# Tools


def calls_once(prompt: Prompt) -> list[Any]:
    known = any(isinstance(item, ToolResultItem) for item in prompt.items)
    return ["Done."] if known else [ToolRequest("k1", "f", "{}")]


def test_a_result_is_taken_once() -> None:
    async def main() -> None:
        stage = Stage(ScriptedModel(calls_once))
        stage.ask("c1")
        await asyncio.sleep(1)
        result = ToolResultItem(call_id="k1", output="42")
        assert not stage.controller.tool_result("c2", ToolResultItem(call_id="k9", output="42"), respond=True)
        assert stage.controller.tool_result("c3", result, respond=True)
        assert not stage.controller.tool_result("c4", result, respond=True)
        await asyncio.sleep(1)
        assert stage.settled == [("c1", None), ("c3", None)]
        assert [(e.cause, e.answers) for e in stage.told(ResponseStarted)][1:] == [("tool", ("c3",))]
        assert stage.said == "Done."

    run_in_virtual_time(main())


# What is told of the way it was made


@staged("Hi.", Usage({"output_tokens": 2}), first_s=0.5, config={"provider_events": True})
async def test_timing_is_told_before_the_end(stage: Stage) -> None:
    stage.controller.guess("t1", "hello")
    await asyncio.sleep(0.75)
    stage.commit("t1", "hello")
    await asyncio.sleep(1)
    timing, ended = stage.told(ProviderEvent, ResponseEnded)
    assert isinstance(ended, ResponseEnded)
    assert timing.kind == "cascade.timing"
    told = {name: timing.payload[name] for name in ("response_id", "turn_id", "guessed", "asked", "released")}
    assert told == {"response_id": "r1", "turn_id": "t1", "guessed": True, "asked": 0.0, "released": 0.75}
    assert timing.payload["first_token"] == timing.payload["first_speech"] == 0.5
    (usage,) = stage.told(UsageReported)
    assert (usage.response_id, usage.turn_id, usage.units) == ("r1", None, {"output_tokens": 2})
