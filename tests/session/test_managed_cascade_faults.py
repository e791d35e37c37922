"""What can happen to a call over cascades, beyond a stage that fails: one test a row of the fault matrix."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.commands import Configure, Interrupt, Respond, SendAudio, SendText
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    InputTranscript,
    Interruption,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem, ToolResultItem
from voicebridge.contract.stages import PCM_16K, Prompt, Speech, ToolRequest
from voicebridge.session.call_setup import ToolPolicy
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

from .managed_call import call, virtually
from .test_managed_cascade import RESCUE, cascade, fault, made

STORY = [f"This is sentence number {n} of the story. " for n in range(8)]


def lasting(broken_at: int) -> list[Any]:
    """A story that breaks off."""
    return [*STORY[:broken_at], fault("network")]


# 1: a reset in the middle of an answer


@pytest.mark.parametrize("seed", range(50))
@virtually
async def test_the_agent_is_heard_again_within_two_seconds_of_a_reset(seed: int) -> None:
    chance = random.Random(seed)
    broken_at, prompts = chance.randint(1, 6), 0

    def answer(prompt: Prompt) -> list[Any]:
        nonlocal prompts
        prompts += 1
        return lasting(broken_at) if prompts == 1 else ["And so on, to the end."]

    backend = cascade(llm=made(ScriptedModel, answer, first_s=0.2, piece_s=chance.uniform(0.05, 2.5)))
    others = [cascade(llm=made(ScriptedModel, answer, first_s=0.3))] if seed % 2 else []
    async with call(backend, *others) as user:
        await user.pause(chance.uniform(0, 3000))
        await user.session.send(SendText(text="Tell me a story."))
        lost = await user.until(ResponseEnded)
        assert lost.status in ("lost", "failed")
        again = await user.until(OutputAudio, response_id=(await user.until(ResponseStarted, count=2)).response_id)
        assert again.at - lost.at <= 2.0
        await user.until(ResponseEnded, count=2)
        heard = [text for role, text in user.remembered() if role == "assistant"]
        assert all("".join(heard).count(sentence.strip()) <= 1 for sentence in STORY), "nothing is spoken twice"


# 4: a stage that takes nothing any more


class Stuck:
    """A detector that stops after a second of audio."""

    traits = EnergyDetector(frame_ms=20, eager_ms=40).traits

    def __init__(self) -> None:
        self._heard = 0
        self._inner = EnergyDetector(frame_ms=20, eager_ms=40)

    def configure(self, config: Any) -> None:
        self._inner.configure(config)

    async def warm(self) -> None:
        return

    async def push(self, pcm: bytes, text: str = "") -> Any:
        self._heard += len(pcm)
        if self._heard > PCM_16K.size(1000):
            await asyncio.sleep(1e6)
        return await self._inner.push(pcm, text)

    async def aclose(self) -> None:
        return


@virtually
async def test_a_detector_that_is_stuck_is_replaced_and_nothing_of_the_sentence_is_lost() -> None:
    stuck = CascadeBackend(
        stt=made(ScriptedRecogniser, ["never"]), llm=made(ScriptedModel, ["never"]), tts=ScriptedVoice, detector=Stuck
    )
    heard = made(ScriptedRecogniser, ["all of it"])
    async with call(stuck, cascade(stt=heard), timeout_s=2.0) as user:
        began = user.managed.account.input.captured
        await user.speak(4000)
        assert user.managed.account.input.captured - began == PCM_16K.size(4000) // 2, "the microphone was not held up"
        await user.until(ResponseEnded, status="completed")
        assert user.remembered() == [("user", "all of it"), ("assistant", RESCUE)]
        assert user.all(SessionRestarted)[0].lost_audio_ms == 0


# 6: a recogniser with a short life


class Mortal(ScriptedRecogniser):
    """Ends its stream after a second and a half of audio, as vendors do after some minutes."""

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        lived = 0

        async def living() -> AsyncIterator[Any]:
            nonlocal lived
            async for piece in audio:
                lived += len(piece) if isinstance(piece, bytes) else 0
                if lived > PCM_16K.size(1500):
                    over = Fault(category="planned_end", code="over", message="Time is up.", retryable=True)
                    raise VoiceBridgeError(over)
                yield piece

        async for heard in super().listen(living()):
            yield heard


@virtually
async def test_a_recogniser_that_ends_by_itself_costs_no_turn() -> None:
    async with call(cascade(stt=made(Mortal, ["hello there"])), cascade()) as user:
        for count in range(1, 6):
            await user.speak(600)
            await user.until(ResponseEnded, count=count, status="completed")
            await user.pause(1500)
        assert len(user.all(InputTranscript, final=True, fault=None)) == 5
        assert not user.all(BackendError), "its ends are made good, and need not be told"
        assert not user.all(SessionRestarted), "and are no reason to move"


# 10: over the limit in the middle of a call


@virtually
async def test_a_quota_that_ends_in_mid_call_is_told_once_and_heard_in_time() -> None:
    answers = iter([["Yes."], ["Sure."], [fault("quota", retryable=False)]])
    async with call(cascade(llm=lambda: ScriptedModel(lambda prompt: next(answers))), cascade()) as user:
        for count in (1, 2, 3):
            at = await user.speak(600)
            await user.until(ResponseEnded, count=count, status="completed")
            await user.pause(1000)
        sounds = [one for one in user.all(OutputAudio) if one.at > at]
        assert sounds[0].at - at <= 3.0
        told = [one for one in user.events if getattr(one, "fault", None) and one.fault.category == "quota"]  # type: ignore[attr-defined]  # of those that have one
        assert len(told) == 1
        assert user.managed.backend == "CascadeBackend"
        await user.pause(120_000)
        assert len(user.all(SessionRestarted)) == 1, "without money it is not tried again so soon"


# 12: what is interrupted before it begins


@pytest.mark.parametrize("after_s", [0.2, 0.6, 0.95])
@virtually
async def test_an_answer_that_nobody_wants_any_more_is_not_given_by_the_next_one(after_s: float) -> None:
    slow = cascade(llm=made(ScriptedModel, [RESCUE], warm_s=1.0))
    async with call(cascade(llm=made(ScriptedModel, [fault("busy")])), slow) as user:
        await user.session.send(SendText(text="Hello?"))
        await user.until(ResponseEnded)
        await asyncio.sleep(after_s)
        stop = Interrupt()
        await user.session.send(stop)
        await user.pause(5000)
        assert user.all(SessionRestarted)
        assert not user.all(OutputAudio)
        assert [one.fault for one in user.all(CommandSettled, command_id=stop.id)] == [None]
        await user.session.send(SendText(text="Hello again?"))
        await user.until(ResponseEnded, status="completed")
        assert user.said() == [RESCUE]


# 13: any word of the player is good


@pytest.mark.parametrize("ms", [0.0, 1.0, 700.0, 1e9])
@pytest.mark.parametrize("when", ["running", "over"])
@virtually
async def test_what_was_heard_is_never_more_than_was_said(ms: float, when: str) -> None:
    async with call(cascade(llm=made(ScriptedModel, STORY[:3], piece_s=0.5))) as user:
        await user.session.send(SendText(text="Tell me a story."))
        audio = await user.until(OutputAudio)
        if when == "over":
            await user.until(ResponseEnded)
        await user.session.send(Interrupt(heard={audio.response_id: ms}))
        await user.pause(2000)
        received = user.managed.account.output.received
        last = user.all(OutputHeard)[-1]
        assert last.heard_ms <= received / 24
        assert last.heard_ms == pytest.approx(min(ms, received / 24), abs=1)
        kept = [text for role, text in user.remembered() if role == "assistant"]
        assert [text.strip() for text in kept] == ([last.text] if last.text else [])
        assert bool(kept) == (ms > 1)


# 14: ten seconds in the player's queue


@virtually
async def test_the_user_stops_ten_seconds_that_are_queued() -> None:
    async with call(cascade(llm=made(ScriptedModel, STORY))) as user:
        await user.session.send(SendText(text="Tell me a story."))
        first = await user.until(OutputAudio)
        await user.until(ResponseEnded)
        await user.speak(1000)
        decided = next(one for one in user.all(Interruption) if one.action == "interrupt")
        heard = user.all(OutputHeard)[0]
        assert heard.heard_ms <= (decided.at - first.at) * 1000 + 60
        output = user.managed.account.output
        assert output.received > 10 * 24_000
        assert output.received == output.played + sum(output.discarded.values()) + output.pending


# 16: order


@pytest.mark.parametrize("seed", range(25))
@virtually
async def test_the_conversation_is_in_the_order_in_which_it_was_had(seed: int) -> None:
    chance = random.Random(seed)
    broken: list[Any] = [["Hm."], [fault("busy")]]
    backend = cascade(
        stt=made(ScriptedRecogniser, ["one", "two", "three", "four", "five"], final_s=chance.uniform(0, 0.5)),
        llm=lambda: ScriptedModel(lambda prompt: chance.choice(broken), first_s=chance.uniform(0, 0.5)),
    )
    async with call(backend, cascade(stt=made(ScriptedRecogniser, ["six", "seven", "eight"]))) as user:
        for number in range(4):
            await user.speak(chance.choice([400, 700]))
            await user.session.send(SendText(text=f"note {number}", respond=False))
            await user.pause(chance.choice([300, 1500]))
        await user.pause(6000)
        notes = [text for role, text in user.remembered() if text.startswith("note")]
        assert notes == sorted(notes)
        turns = [one.turn_id for one in user.all(UserTurn, phase="committed")]
        texts = {one.turn_id: one.text for one in user.all(InputTranscript, final=True, fault=None)}
        said = [text for role, text in user.remembered() if role == "user" and not text.startswith("note")]
        assert said == [texts[turn] for turn in turns]
        assert [one.audio_ms for one in user.all(UserTurn, phase="committed")] == sorted(
            one.audio_ms for one in user.all(UserTurn, phase="committed")
        )


# 23: tools


def calling(*calls: ToolRequest) -> Any:
    def answer(prompt: Prompt) -> list[Any]:
        return ["Done."] if isinstance(prompt.items[-1], ToolResultItem) else list(calls)

    return made(ScriptedModel, answer)


@virtually
async def test_a_call_that_is_told_twice_is_done_once() -> None:
    done: list[str] = []

    def book(seat: str) -> str:
        """Book a seat."""
        done.append(seat)
        return "booked"

    request = ToolRequest("k1", "book", '{"seat": "12A"}')
    async with call(cascade(llm=calling(request, request)), tools=[book], tool_policy=ToolPolicy()) as user:
        await user.session.send(SendText(text="Book 12A."))
        await user.until(ResponseEnded, count=2)
        await user.pause(2000)
        assert done == ["12A"]


@pytest.mark.parametrize("others", [0, 1])
@virtually
async def test_an_answer_that_fails_after_its_call_is_not_asked_for_again(others: int) -> None:
    done: list[str] = []

    async def book(seat: str) -> str:
        """Book a seat."""
        done.append(seat)
        await asyncio.sleep(2)
        return "booked"

    def answer(prompt: Prompt) -> list[Any]:
        if any(isinstance(item, ToolResultItem) and item.output == "booked" for item in prompt.items):
            return ["It is booked."]
        return [ToolRequest(f"k{len(done)}", "book", '{"seat": "12A"}'), fault("network")]

    backends = [cascade(llm=made(ScriptedModel, answer)) for _ in range(1 + others)]
    async with call(*backends, tools=[book], tool_policy=ToolPolicy()) as user:
        await user.session.send(SendText(text="Book 12A."))
        await user.pause(10_000)
        assert done == ["12A"]
        assert user.said()[-1] == "It is booked."


@pytest.mark.parametrize("kind", ["hangs", "fails over"])
@virtually
async def test_a_tool_that_hangs_is_answered_when_its_time_is_up(kind: str) -> None:
    async def look_up() -> str:
        """Look it up."""
        await asyncio.sleep(1e6)
        return ""

    told: list[str] = []

    def answer(prompt: Prompt) -> list[Any]:
        if isinstance(last := prompt.items[-1], ToolResultItem):
            told.append(last.output)
            return ["It takes too long."]
        return [ToolRequest("k1", "look_up", "{}")]

    async with call(
        cascade(llm=made(ScriptedModel, answer)), tools=[look_up], tool_policy=ToolPolicy(deadline_s=2.0)
    ) as user:
        await user.session.send(SendText(text="Look it up."))
        if kind == "fails over":
            await user.until(ToolCall)
            await user.managed.switch(cascade(llm=made(ScriptedModel, answer)))
        await user.until(OutputText)
        assert len(told) == 1
        assert user.said() == ["It takes too long."]


@virtually
async def test_a_result_after_the_end_goes_to_its_hook() -> None:
    orphans: list[Any] = []

    async def slow() -> str:
        """Take a while, whatever happens."""
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "late"

    policy = ToolPolicy(orphaned=lambda *args: orphans.append(args))
    async with call(cascade(llm=calling(ToolRequest("k1", "slow", "{}"))), tools=[slow], tool_policy=policy) as user:
        await user.session.send(SendText(text="Go."))
        await user.until(ToolCall)
    await asyncio.sleep(10)
    assert len(orphans) <= 1


# 24: first words while it connects


@virtually
async def test_words_that_are_said_while_stages_get_warm_are_heard() -> None:
    heard: list[ScriptedRecogniser] = []

    def recogniser() -> ScriptedRecogniser:
        heard.append(ScriptedRecogniser(["first words"], warm_s=1.5))
        return heard[-1]

    async with call(cascade(stt=recogniser)) as user:
        await user.speak(1000)
        assert not user.all(SessionReady)
        await user.until(ResponseEnded, status="completed")
        assert user.all(SessionReady)[0].at == pytest.approx(1.5, abs=0.1)
        assert sum(heard[-1].heard_bytes) >= PCM_16K.size(1000)
        assert user.remembered() == [("user", "first words"), ("assistant", RESCUE)]


# 25: another voice, another cascade


@virtually
async def test_a_voice_is_changed_in_place() -> None:
    voices: list[ScriptedVoice] = []

    def voice() -> ScriptedVoice:
        voices.append(ScriptedVoice())
        return voices[-1]

    async with call(cascade(tts=voice)) as user:
        await user.session.send(SendText(text="Hi."))
        await user.until(ResponseEnded)
        change = Configure(patch={"voice": "other"})
        await user.session.send(change)
        settled = await user.until(CommandSettled, command_id=change.id)
        assert settled.fault is None
        assert voices[-1].config is not None
        assert voices[-1].config.voice == "other"
        assert not user.all(SessionRestarted)


@pytest.mark.parametrize("moment", ["silence", "user", "agent"])
@virtually
async def test_a_cascade_is_exchanged_for_another_one(moment: str) -> None:
    prompts: list[Prompt] = []

    def answer(prompt: Prompt) -> list[str]:
        prompts.append(prompt)
        return ["From the other one."]

    other = cascade(stt=made(ScriptedRecogniser, ["the whole sentence"]), llm=made(ScriptedModel, answer))
    async with call(cascade(llm=made(ScriptedModel, ["From the first."], piece_s=0.3))) as user:
        await user.speak(600)
        await user.until(OutputAudio)
        if moment != "agent":
            await user.pause(2500)
        if moment == "user":
            await user.speak(600)
        before = user.remembered()
        switching = asyncio.create_task(user.managed.switch(other))
        await user.speak(600)
        await switching
        await user.until(ResponseEnded, count=2, status="completed")
        restarted = user.all(SessionRestarted)[0]
        assert (restarted.reason, restarted.lost_audio_ms) == ("swap", 0)
        assert restarted.gap_ms <= 500
        known = [(item.role, item.text) for item in prompts[-1].items if isinstance(item, MessageItem)]
        if moment == "agent":  # who was cut off after the other one was told what it said
            assert [role for role, _ in known] == ["user", "assistant", "system", "user"]
            assert known[2][1].startswith("The user heard nothing of your answer")
        else:
            assert known == user.remembered()[: len(known)], "both sides know the same"
        assert before[0] == known[0] == ("user", "hello there")


# 29: beginnings that fail, and nothing left


@virtually
async def test_a_cascade_that_can_not_be_made_ready_is_replaced_and_its_stages_are_closed() -> None:
    stages: list[Any] = []

    class Broken(ScriptedVoice):
        async def warm(self) -> None:
            await asyncio.sleep(0.3)
            raise fault("network")

    def kept(stage: Any, *args: Any) -> Any:
        def make() -> Any:
            stages.append(stage(*args))
            return stages[-1]

        return make

    backend = cascade(kept(ScriptedRecogniser, ["x"]), kept(ScriptedModel, ["x"]), kept(Broken))
    async with call(backend, cascade()) as user:
        await user.session.send(SendText(text="Hello?"))
        await user.until(ResponseEnded, status="completed")
        assert user.all(OutputAudio)[0].at <= 1.0 + 0.3, "a failover at the start takes a second"
        await user.pause(1000)
        warmed = [stage for stage in stages if stage.config is not None]
        assert warmed
        assert all(stage.closed for stage in warmed)


@virtually
async def test_a_hundred_calls_leave_nothing() -> None:
    sizes: list[int] = []
    for number in range(100):
        broken = cascade(llm=made(ScriptedModel, [fault("busy")]))
        async with call(broken, cascade()) as user:
            if number % 3:
                await user.speak(200)
                await user.session.send(SendText(text="Hello?"))
            if number % 3 == 2:
                await user.until(ResponseEnded, status="completed")
        if number in (49, 99):
            gc.collect()
            sizes.append(len(gc.get_objects()))
    assert sizes[1] - sizes[0] < 2_000


@virtually
async def test_a_call_that_is_closed_while_it_fails_over_ends_at_once() -> None:
    slow = cascade(llm=made(ScriptedModel, [RESCUE], warm_s=60.0))
    clock = asyncio.get_running_loop().time
    async with call(cascade(llm=made(ScriptedModel, [fault("busy")])), slow) as user:
        await user.session.send(SendText(text="Hello?"))
        await user.until(ResponseEnded)
        await user.session.send(SendAudio(pcm=bytes(PCM_16K.size(500))))
        began = clock()
        await user.session.aclose()
        assert clock() - began <= 1.0


class HalfSilent(ScriptedVoice):
    """Speaks, and falls silent after the first clause."""

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        count = 0
        async for speech in super().speak(text):
            count += 1
            yield speech if count == 1 else Speech(bytes(len(speech.pcm)), speech.text)


@virtually
async def test_a_pause_in_what_was_heard_is_no_silence() -> None:
    async with call(cascade(llm=made(ScriptedModel, STORY), tts=HalfSilent), cascade()) as user:
        await user.session.send(SendText(text="Tell me a story."))
        await user.until(ResponseEnded, status="completed")
        assert not user.all(BackendError)


# A call with rules


@pytest.mark.parametrize("seat", ["llm", "tts"])
@virtually
async def test_what_must_be_said_first_is_said_first_by_the_next_one_and_the_answer_given(seat: str) -> None:
    class Mute(ScriptedVoice):
        async def speak(self, text: Any) -> AsyncIterator[Speech]:
            async for _ in text:
                raise fault("busy")
            yield Speech(b"")

    broken = cascade(llm=made(ScriptedModel, [fault("busy")])) if seat == "llm" else cascade(tts=Mute)
    policy = CallPolicy(disclosure="You talk to an AI.")
    async with call(broken, cascade(), policy=policy) as user:
        await user.session.send(SendText(text="Can you help?"))
        await user.pause(8000)
        heard = [one.text for one in user.all(OutputHeard) if one.heard_ms]
        assert heard == ["You talk to an AI.", RESCUE]
        spoken = list(dict.fromkeys(one.response_id for one in user.all(OutputAudio)))
        assert len(spoken) == 2


@pytest.mark.parametrize("others", [True, False])
@virtually
async def test_given_words_that_broke_off_are_said_to_their_end(others: bool) -> None:
    failures = 0

    class Breaking(ScriptedVoice):
        async def speak(self, text: Any) -> AsyncIterator[Speech]:
            nonlocal failures
            count = 0
            async for speech in super().speak(text):
                count += 1
                if count == 2 and not failures:
                    failures += 1
                    raise fault("network")
                yield speech

    words = "The first sentence of it. The second sentence of it. The third sentence of it."
    async with call(cascade(tts=Breaking), *([cascade()] if others else [])) as user:
        await user.session.send(Respond(say=words))
        await user.until(ResponseEnded, status="completed")
        await user.pause(6000)
        heard = [one.text for one in user.all(OutputHeard) if one.heard_ms]
        assert " ".join(heard) == words, "each of them once"


@virtually
async def test_how_an_answer_was_wanted_is_not_forgotten() -> None:
    prompts: list[Prompt] = []

    def answer(prompt: Prompt) -> list[Any]:
        prompts.append(prompt)
        return [fault("busy")] if len(prompts) == 1 else ["In French, then."]

    model = made(ScriptedModel, answer)
    async with call(cascade(llm=model), cascade(llm=model)) as user:
        await user.session.send(Respond(instructions="Answer in French."))
        await user.until(ResponseEnded, status="completed")
        assert [prompt.instructions for prompt in prompts] == ["Answer in French."] * 2
