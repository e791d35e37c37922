"""A cascade whose stages raise, hang, die in mid-sentence or are over their limit, and what takes over.

In virtual time: every second is exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.commands import SendText
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    UserTurn,
)
from voicebridge.contract.fault import Category, Fault
from voicebridge.contract.session import Backend
from voicebridge.contract.stages import LanguageModelTraits, Prompt, Speech
from voicebridge.testing.script import Reply
from voicebridge.testing.scripted_session import ScriptedBackend
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice

from .managed_call import call, virtually

RESCUE = "I take over from here."


def fault(category: Category = "network", *, retryable: bool = True, **more: Any) -> VoiceBridgeError:
    return VoiceBridgeError(Fault(category=category, code="test", message="As planned.", retryable=retryable, **more))


def made(stage: Callable[..., Any], *args: Any, **settings: Any) -> Callable[[], Any]:
    """A function without parameters, which is what a cascade makes its stages with."""
    return lambda: stage(*args, **settings)


def cascade(stt: Any = None, llm: Any = None, tts: Any = None) -> CascadeBackend:
    """Each seat: a stage that is made for each connection; what is not given works."""
    return CascadeBackend(
        stt=stt or made(ScriptedRecogniser, ["hello there"], final_s=0.1),
        llm=llm or made(ScriptedModel, [RESCUE], first_s=0.1),
        tts=tts or made(ScriptedVoice, first_s=0.1),
        detector=lambda: EnergyDetector(frame_ms=20, eager_ms=40),
    )


FALLBACKS: dict[str, Callable[[], Backend]] = {
    "cascade": cascade,
    "realtime": lambda: ScriptedBackend(RESCUE, user=("hello there",)),
}


@pytest.mark.parametrize("kind", FALLBACKS)
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("boom"),
        ConnectionResetError("reset"),
        fault("network"),
        fault("busy"),
        fault("rate", retry_after_s=7.0),
        fault("quota", retryable=False),
        fault("auth", retryable=False),
        fault("protocol", retryable=False),
    ],
    ids=lambda error: getattr(error, "category", type(error).__name__),
)
def test_a_model_that_fails_is_replaced_and_the_answer_given(error: Exception, kind: str) -> None:
    @virtually
    async def test() -> None:
        broken = cascade(llm=made(ScriptedModel, [error], first_s=0.1))
        async with call(broken, FALLBACKS[kind]()) as user:
            ended_at = await user.speak(1000)
            restarted = await user.until(SessionRestarted)
            assert restarted.reason == "failover"
            sound = await user.until(OutputAudio)
            assert sound.at - ended_at < 2.0, "the caller hears the answer in time"
            assert (await user.until(ResponseEnded, status="completed")).fault is None
            assert user.said() == [RESCUE]
            assert user.remembered() == [("user", "hello there"), ("assistant", RESCUE)]
            lost = user.all(ResponseEnded)[0]
            assert lost.status == "lost"
            assert lost.fault is not None
            assert restarted.lost_audio_ms == 0
            assert len(user.all(SessionReady)) == 1

    test()


@virtually
async def test_a_model_that_dies_in_mid_sentence_is_gone_on_with() -> None:
    broken = cascade(llm=made(ScriptedModel, ["The first sentence.", " And then", fault("network")], piece_s=0.5))
    prompts: list[Prompt] = []

    def go_on(prompt: Prompt) -> list[str]:
        prompts.append(prompt)
        return ["Here is the rest."]

    async with call(broken, cascade(llm=lambda: ScriptedModel(go_on))) as user:
        await user.session.send(SendText(text="Tell me."))
        await user.until(ResponseEnded, status="completed")
        first, rest = user.said()
        assert rest == "Here is the rest."
        assert "The first sentence." in first
        [prompt] = [one for one in prompts if not one.speculative]
        assert "The first sentence." in prompt.instructions, "it is told what was heard, to go on from there"
        await user.pause(5000)
        whole = [text for role, text in user.remembered() if role == "assistant"]
        assert whole == ["The first sentence.", "Here is the rest."], "what was not spoken is not remembered"


class DyingVoice(ScriptedVoice):
    """Speaks the first clause and the half of the second, and dies."""

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        count = 0
        async for speech in super().speak(text):
            count += 1
            if count == 2:
                half = len(speech.pcm) // 4 * 2
                yield Speech(speech.pcm[:half], speech.text)
                raise ConnectionResetError("the voice is gone")
            yield speech


@virtually
async def test_a_voice_that_dies_in_mid_sentence_repeats_nothing() -> None:
    told: list[str] = []

    def go_on(prompt: Prompt) -> list[str]:
        told.append(prompt.instructions)
        return ["Third sentence."]

    sentences = ["First sentence. ", "Second sentence. ", "Third sentence."]
    broken = cascade(llm=made(ScriptedModel, sentences), tts=made(DyingVoice, first_s=0.1))
    async with call(broken, cascade(llm=lambda: ScriptedModel(go_on))) as user:
        await user.session.send(SendText(text="Tell me."))
        await user.until(ResponseEnded, status="completed")
        await user.pause(8000)
        assert len(told) == 1
        heard = user.all(OutputHeard)
        assert heard[0].text.startswith("First sentence."), "what was heard is kept"
        assert "Third" not in heard[0].text
        assert heard[0].text in told[0] or heard[0].text.strip() in told[0]
        texts = [text for role, text in user.remembered() if role == "assistant"]
        assert "".join(texts).count("First sentence.") == 1
        assert "".join(texts).count("Third sentence.") == 1


@pytest.mark.parametrize("seat", ["llm", "tts"])
def test_a_stage_that_hangs_is_replaced_within_its_time(seat: str) -> None:
    @virtually
    async def test() -> None:
        hanging = {"llm": made(ScriptedModel, ["Never."], first_s=1e6), "tts": made(ScriptedVoice, first_s=1e6)}
        async with call(cascade(**{seat: hanging[seat]}), cascade(), timeout_s=5.0) as user:
            ended_at = await user.speak(1000)
            sound = await user.until(OutputAudio)
            assert 5.0 <= sound.at - ended_at <= 5.7
            await user.until(ResponseEnded, status="completed")
            assert user.said()[-1] == RESCUE
            assert user.all(ResponseEnded)[0].fault.code == "stage_timeout"

    test()


@virtually
async def test_a_stream_of_keep_alives_is_replaced_within_its_time() -> None:
    llm = made(ScriptedModel, [""] * 10_000, first_s=0.5, piece_s=0.5)
    async with call(cascade(llm=llm), cascade(), timeout_s=5.0) as user:
        await user.session.send(SendText(text="Hello?"))
        restarted = await user.until(SessionRestarted)
        assert restarted.at == pytest.approx(5.0, abs=0.2)
        await user.until(ResponseEnded, status="completed")
        assert user.said() == [RESCUE]


class DeafRecogniser(ScriptedRecogniser):
    """Fails at the first text that it should give."""

    def __init__(self, error: Exception | None, **settings: Any) -> None:
        super().__init__(["never"], **settings)
        self._error = error

    async def _wait(self, seconds: float) -> None:
        if self._error is not None:
            raise self._error
        await asyncio.sleep(1e6)


@pytest.mark.parametrize("kind", FALLBACKS)
@pytest.mark.parametrize("error", [ConnectionResetError("reset"), fault("quota", retryable=False), None])
def test_a_recogniser_that_fails_is_replaced_and_the_sentence_heard_again(error: Exception | None, kind: str) -> None:
    @virtually
    async def test() -> None:
        fallback = FALLBACKS[kind]()
        async with call(cascade(stt=lambda: DeafRecogniser(error)), fallback, timeout_s=3.0) as user:
            ended_at = await user.speak(1000)
            await user.until(SessionRestarted)
            sound = await user.until(OutputAudio)
            assert sound.at - ended_at < (2.0 if error else 5.2)
            await user.until(ResponseEnded, status="completed")
            assert [one.text for one in user.all(InputTranscript, final=True) if one.fault is None] == ["hello there"]
            assert user.remembered() == [("user", "hello there"), ("assistant", RESCUE)]
            turns = [one.phase for one in user.all(UserTurn)]
            assert turns.count("committed") == 1

    test()


@virtually
async def test_a_voice_that_is_over_its_limit_before_the_first_word() -> None:
    class Limited(ScriptedVoice):
        async def speak(self, text: Any) -> AsyncIterator[Speech]:
            async for _ in text:
                raise fault("rate", retry_after_s=7.0)
            yield Speech(b"")

    async with call(cascade(tts=Limited), cascade()) as user:
        await user.session.send(SendText(text="Hello?"))
        await user.until(ResponseEnded, status="completed")
        assert user.said()[-1] == RESCUE
        assert user.all(OutputAudio)[0].at < 1.0


@virtually
async def test_the_preferred_cascade_is_returned_to_when_it_has_cooled_down() -> None:
    calls = 0

    def sometimes(prompt: Prompt) -> Any:
        nonlocal calls
        calls += 1
        return [fault("busy")] if calls <= 3 else ["Well again."]  # the seat tries three times by itself

    async with call(cascade(llm=lambda: ScriptedModel(sometimes)), cascade()) as user:
        await user.session.send(SendText(text="Hello?"))
        await user.until(ResponseEnded, status="completed")
        await user.pause(20_000)
        assert [one.reason for one in user.all(SessionRestarted)] == ["failover", "failover"]
        assert 10 <= user.all(SessionRestarted)[1].at <= 16
        await user.session.send(SendText(text="And now?"))
        await user.until(ResponseEnded, status="completed", count=2)
        assert user.said()[-1] == "Well again."


class Dead:
    """A backend that can't be reached."""

    capabilities = ScriptedBackend().capabilities

    @asynccontextmanager
    async def connect(self, config: Any, history: Any = (), resume: str | None = None) -> AsyncIterator[Any]:
        await asyncio.sleep(0.05)
        raise fault("network")
        yield


@pytest.mark.parametrize("error", [fault("network"), fault("busy"), RuntimeError("boom")], ids=["network", "busy", "x"])
def test_a_fallback_that_is_dead_does_not_end_the_call(error: Exception) -> None:
    @virtually
    async def test() -> None:
        answers = 0

        def at_first_not(prompt: Prompt) -> list[Any]:
            nonlocal answers
            answers += 1
            return [error] if answers == 1 else ["Here I am."]

        async with call(cascade(llm=lambda: ScriptedModel(at_first_not)), Dead()) as user:
            await user.pause(10_000)
            ended_at = await user.speak(1000)
            await user.until(ResponseEnded, status="completed")
            assert user.said() == ["Here I am."]
            assert user.all(OutputAudio)[0].at - ended_at < 2.0

    test()


@virtually
async def test_answers_that_fail_everywhere_leave_a_call_in_which_one_can_try_again() -> None:
    broken = made(ScriptedModel, [fault("busy")])
    async with call(cascade(llm=broken), cascade(llm=broken)) as user:
        for _ in range(3):
            await user.session.send(SendText(text="Hello?"))
            await user.pause(20_000)
        assert user.failure is None
        assert {one.status for one in user.all(ResponseEnded)} == {"lost", "failed"}
        assert len(user.all(ResponseStarted)) <= 12, "nobody asks for ever"


# Without a fallback


@virtually
async def test_alone_it_is_asked_once_more_and_goes_on() -> None:
    calls: list[Prompt] = []

    def sometimes(prompt: Prompt) -> Any:
        calls.append(prompt)
        return ["The beginning.", " Cut", fault("network")] if len(calls) == 1 else ["The rest."]

    async with call(cascade(llm=lambda: ScriptedModel(sometimes, piece_s=0.5))) as user:
        await user.session.send(SendText(text="Tell me."))
        ended = await user.until(ResponseEnded)
        assert (ended.status, ended.fault.category) == ("failed", "network")
        await user.until(ResponseEnded, status="completed")
        assert "The beginning." in calls[1].instructions
        await user.pause(3000)
        assert [text for role, text in user.remembered() if role == "assistant"] == ["The beginning.", "The rest."]
        assert not user.all(SessionRestarted)


@pytest.mark.parametrize(
    ("error", "tries"),
    [(fault("network"), 1), (fault("rate", retry_after_s=30.0), 1), (fault("quota", retryable=False), 1)],
    ids=["network", "rate", "quota"],
)
def test_alone_it_fails_in_the_end_and_the_call_goes_on(error: Exception, tries: int) -> None:
    @virtually
    async def test() -> None:
        async with call(cascade(llm=made(ScriptedModel, [error]))) as user:
            await user.session.send(SendText(text="Hello?"))
            await user.pause(5000)
            assert [one.status for one in user.all(ResponseEnded)] == ["failed"] * tries
            await user.session.send(SendText(text="Hello?"))
            await user.pause(5000)
            assert len(user.all(ResponseEnded)) == 2 * tries
            assert user.failure is None

    test()


@virtually
async def test_an_agent_that_may_have_acted_is_not_asked_again() -> None:
    acts = LanguageModelTraits(speculative="unsafe")
    asked: list[Prompt] = []

    def book(prompt: Prompt) -> list[Any]:
        asked.append(prompt)
        raise TimeoutError("its own tool")

    async with call(cascade(llm=made(ScriptedModel, book, traits=acts)), cascade()) as user:
        await user.session.send(SendText(text="Book it."))
        ended = await user.until(ResponseEnded)
        assert (ended.status, ended.fault.code) == ("failed", "may_have_acted")
        await user.pause(3000)
        assert len(asked) == len(user.all(ResponseStarted)) == 1


@virtually
async def test_it_waits_as_long_as_it_was_told_to_before_it_asks_again() -> None:
    # The seat waits and tries twice more by itself, within 4 s.
    scripts: Iterator[list[Any]] = iter([*([fault("rate", retry_after_s=2.0)] for _ in range(3)), ["Fine."]])
    async with call(cascade(llm=lambda: ScriptedModel(lambda prompt: next(scripts)))) as user:
        await user.session.send(SendText(text="Hello?"))
        await user.until(ResponseEnded, status="completed")
        first, second = user.all(ResponseStarted)
        assert second.at - first.at == pytest.approx(4.0 + 2.0, abs=0.05)


# Silence


class SilentVoice(ScriptedVoice):
    """Gives audio in which there is nothing to hear."""

    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        async for speech in super().speak(text):
            for start in range(0, len(speech.pcm), 4800):
                await asyncio.sleep(0.1)
                yield Speech(bytes(len(speech.pcm[start : start + 4800])), speech.text if start == 0 else "")


LONG = "This is a sentence that takes five seconds, and some more of them, to be spoken by this voice in the end."


@virtually
async def test_an_answer_that_is_silence_is_given_by_another_one() -> None:
    broken = cascade(llm=made(ScriptedModel, [LONG]), tts=SilentVoice)
    async with call(broken, cascade()) as user:
        await user.session.send(SendText(text="Hello?"))
        error = await user.until(BackendError)
        assert (error.fault.category, error.fault.code, error.fatal) == ("content", "silent_audio", False)
        assert error.at <= 3.5
        await user.until(ResponseEnded, status="completed")
        await user.pause(3000)
        assert len(user.all(BackendError)) == 1
        assert user.said()[-1] == RESCUE
        assert user.remembered() == [("user", "Hello?"), ("assistant", RESCUE)], "nobody heard the other one"


@virtually
async def test_an_answer_that_is_silence_is_told_where_nobody_else_is() -> None:
    async with call(cascade(llm=made(ScriptedModel, [LONG]), tts=SilentVoice)) as user:
        await user.session.send(SendText(text="Hello?"))
        assert (await user.until(BackendError)).fault.code == "silent_audio"
        assert (await user.until(ResponseEnded)).status == "completed"
        assert len(user.all(BackendError)) == 1


# Realtime backends, too


@pytest.mark.parametrize("category", ["quota", "busy", "protocol"])
def test_a_realtime_backend_whose_answers_fail_is_replaced(category: Category) -> None:
    @virtually
    async def test() -> None:
        problem = replace(fault(category, retryable=category == "busy").fault)
        broken = ScriptedBackend(Reply("Well, I ", fault=problem), user=("hello there",))
        async with call(broken, cascade()) as user:
            await user.speak(1000)
            await user.until(ResponseEnded, status="completed")
            assert user.said()[-1] == RESCUE
            assert user.all(SessionRestarted)[0].reason == "failover"

    test()


@virtually
async def test_what_was_refused_for_its_content_is_not_asked_of_others() -> None:
    problem = fault("content", retryable=False).fault
    rescue = ScriptedBackend(RESCUE)
    async with call(ScriptedBackend(Reply("", fault=problem)), rescue) as user:
        await user.session.send(SendText(text="Something bad."))
        assert (await user.until(ResponseEnded)).status == "failed"
        await user.pause(3000)
        assert not rescue.sessions


@virtually
async def test_a_realtime_backend_that_says_it_has_no_money_left_is_replaced() -> None:
    broke = BackendError(fault=fault("quota", retryable=False).fault)
    async with call(ScriptedBackend("Hello.", moments=[(1.0, broke)]), cascade()) as user:
        restarted = await user.until(SessionRestarted)
        assert restarted.at < 1.5
        assert len(user.all(BackendError)) == 1


@pytest.mark.parametrize("category", ["quota", "auth", "rate", "busy", "network"])
@virtually
async def test_what_a_backend_has_no_means_for_another_one_is_asked(category: Category) -> None:
    refusing = ScriptedBackend("Hello.", faults={SendText: fault(category).fault})
    async with call(refusing, cascade()) as user:
        asked = SendText(text="Hello?")
        await user.session.send(asked)
        await user.until(ResponseEnded, status="completed")
        assert [one.fault for one in user.all(CommandSettled, command_id=asked.id)] == [None]
        assert user.remembered() == [("user", "Hello?"), ("assistant", RESCUE)]
        assert user.all(ResponseStarted)[0].answers == (asked.id,)


@pytest.mark.parametrize("category", ["config", "unsupported", "content", "protocol"])
@virtually
async def test_what_a_backend_refuses_for_a_reason_is_refused(category: Category) -> None:
    rescue = ScriptedBackend(RESCUE)
    async with call(ScriptedBackend("Hello.", faults={SendText: fault(category).fault}), rescue) as user:
        asked = SendText(text="Hello?")
        await user.session.send(asked)
        settled = await user.until(CommandSettled)
        assert settled.fault.category == category
        await user.pause(2000)
        assert not rescue.sessions


@virtually
async def test_a_note_that_is_refused_moves_nobody() -> None:
    rescue = ScriptedBackend(RESCUE)
    async with call(ScriptedBackend("Hello.", faults={SendText: fault("rate").fault}), rescue) as user:
        await user.session.send(SendText(text="By the way.", respond=False))
        assert (await user.until(CommandSettled)).fault.category == "rate"
        await user.pause(2000)
        assert not rescue.sessions
