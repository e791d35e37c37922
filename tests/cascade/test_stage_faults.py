"""Stages that break their side of the contract: the fault is told, in words, and the conversation goes on if it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.commands import Configure, Interrupt, Respond, SendAudio, SendText
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import SessionClosed, SessionFailed
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import Flush, Prompt, Speech, TextToSpeechTraits
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation


def model(answer: Callable[[], AsyncIterator[Any]]) -> ScriptedModel:
    """A model whose every answer is that stream."""
    made = ScriptedModel([])

    def respond(prompt: Prompt) -> AsyncIterator[Any]:
        made.prompts.append(prompt)
        return answer()

    made.respond = respond  # type: ignore[method-assign]  # the stage under test
    return made


async def ask(user: User, text: str = "q") -> None:
    await user.session.send(SendText(text=text))


# The model


async def swallows_being_cancelled() -> AsyncIterator[str]:
    try:
        yield "One, "
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        pass
    yield "two."


async def raises_when_closed() -> AsyncIterator[str]:
    try:
        yield "One, "
        await asyncio.sleep(5)
        yield "two."
    finally:
        raise RuntimeError("the stream could not be closed")


@pytest.mark.parametrize("answer", [swallows_being_cancelled, raises_when_closed])
def test_how_a_model_takes_being_cancelled_is_of_no_interest(answer: Callable[[], AsyncIterator[str]]) -> None:
    async def main() -> None:
        async with scripted_conversation(llm=model(answer)) as user:
            await ask(user)
            await user.pause(500)
            await user.session.send(Interrupt())
            await ask(user, "q2")
            await user.pause(2000)
            assert [(e.response_id, e.status, e.fault) for e in user.all(ResponseEnded)] == [
                ("r1", "interrupted", None)
            ]
            assert "".join(e.delta for e in user.all(OutputText, response_id="r1")) == "One, "
            assert [e.response_id for e in user.all(ResponseStarted)] == ["r1", "r2"]
            assert user.failure is None

    run_in_virtual_time(main())


async def cancels_itself() -> AsyncIterator[str]:
    yield "One."
    raise asyncio.CancelledError


async def gives_a_number() -> AsyncIterator[Any]:
    yield "One."
    yield 5


FAULTS = [(cancels_itself, "CancelledError"), (gives_a_number, "TypeError: it gave a int")]


@pytest.mark.parametrize(("answer", "why"), FAULTS)
def test_a_response_ends_whatever_its_model_raises(answer: Callable[[], AsyncIterator[Any]], why: str) -> None:
    async def main() -> None:
        async with scripted_conversation(llm=model(answer)) as user:
            await ask(user)
            await ask(user, "q2")
            await user.until(ResponseEnded, count=2)
            for ended in user.all(ResponseEnded):
                assert ended.status == "failed"
                assert ended.fault.message == f"The language model failed with {why}"
                assert ended.fault.category == "protocol"

    run_in_virtual_time(main())


@pytest.mark.parametrize(("answer", "why"), FAULTS)
def test_nor_does_it_matter_that_it_was_a_guess(answer: Callable[[], AsyncIterator[Any]], why: str) -> None:
    async def main() -> None:
        async with scripted_conversation(llm=(llm := model(answer))) as user:
            await user.speak(500)
            ended = await user.until(ResponseEnded)
            assert llm.prompts[0].speculative
            assert ended.status == "failed"
            assert ended.fault.message == f"The language model failed with {why}"
            await user.pause(500)
            assert user.failure is None

    run_in_virtual_time(main())


def test_a_model_may_give_a_plain_iterator() -> None:
    class Pieces:
        def __init__(self) -> None:
            self._rest = ["Hi. ", "There."]

        def __aiter__(self) -> Pieces:
            return self

        async def __anext__(self) -> str:
            if not self._rest:
                raise StopAsyncIteration
            return self._rest.pop(0)

    async def main() -> None:
        async with scripted_conversation(llm=model(Pieces)) as user:
            await ask(user)
            ended = await user.until(ResponseEnded)
            assert (ended.status, ended.fault) == ("completed", None)
            assert "".join(e.delta for e in user.all(OutputText)) == "Hi. There."

    run_in_virtual_time(main())


def test_what_a_failed_response_did_not_speak_is_not_remembered() -> None:
    """The model wrote, and failed before the voice had a whole clause: the user heard nothing of it."""

    async def main() -> None:
        scripts: list[list[Any]] = [["Well, I", RuntimeError("no memory")], ["Fine."]]
        llm = ScriptedModel(lambda prompt: scripts.pop(0), piece_s=1.0)
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(character_ms=20)) as user:
            await ask(user)
            await user.until(ResponseEnded)
            heard = await user.until(OutputHeard)
            assert (heard.heard_ms, heard.text) == (100, "Well,")
            await ask(user, "q2")
            await user.until(ResponseEnded, count=2)
            texts = [item.text for item in llm.prompts[1].items if isinstance(item, MessageItem)]
            assert texts == ["q", "Well,", "q2"]

    run_in_virtual_time(main())


# The voice


class Silent(ScriptedVoice):
    async def speak(self, text: Any) -> AsyncIterator[Speech]:
        async for _ in text:
            pass
        return
        yield


def test_a_voice_that_gives_no_audio_fails_the_response() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        async with scripted_conversation(llm=llm, tts=Silent()) as user:
            await ask(user)
            ended = await user.until(ResponseEnded)
            assert ended.status == "failed"
            assert ended.fault.message == "The voice failed with RuntimeError: it gave no audio"
            assert [(e.heard_ms, e.text) for e in user.all(OutputHeard)] == [(0, "")]
            await ask(user, "q2")
            await user.until(ResponseEnded, count=2)
            assert [item.text for item in llm.prompts[1].items if isinstance(item, MessageItem)] == ["q", "q2"]

    run_in_virtual_time(main())


def test_nothing_to_pronounce_needs_no_audio() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel(["... "]), tts=Silent()) as user:
            await ask(user)
            assert (await user.until(ResponseEnded)).status == "completed"

    run_in_virtual_time(main())


def test_a_voice_that_takes_tokens_gets_them_as_they_come_and_a_flush_at_each_clause() -> None:
    taken: list[str | Flush] = []

    class Voice(ScriptedVoice):
        async def speak(self, text: Any) -> AsyncIterator[Speech]:
            async for piece in text:
                taken.append(piece)
                if not isinstance(piece, Flush):
                    yield Speech(b"\x00\x20" * 240, piece)

    async def main() -> None:
        tts = Voice(traits=TextToSpeechTraits(takes="tokens"))
        async with scripted_conversation(llm=ScriptedModel(["Hi", " there.", " So"]), tts=tts) as user:
            await ask(user)
            assert (await user.until(ResponseEnded)).status == "completed"
            assert taken == ["Hi", " there.", " So", Flush(), Flush()]
            assert (await user.until(OutputHeard)).text == "Hi there. So"

    run_in_virtual_time(main())


# The recogniser


class FailsFirst(ScriptedRecogniser):
    """Its first stream fails, by a function that reads it; the others work."""

    def __init__(self, first: Callable[[Any], Any]) -> None:
        super().__init__(["x"])
        self._first: Callable[[Any], Any] | None = first

    async def listen(self, audio: Any) -> AsyncIterator[Any]:
        if first := self._first:
            self._first = None
            await first(audio)
        async for transcript in super().listen(audio):
            yield transcript


def test_a_recogniser_that_fails_in_a_turn_hears_the_whole_turn_again() -> None:
    async def main() -> None:
        async def lose_the_socket(audio: Any) -> None:
            pieces = 0
            async for _ in audio:
                pieces += 1
                if pieces > 20:
                    raise ConnectionError("lost the socket")

        stt = FailsFirst(lose_the_socket)
        async with scripted_conversation(stt=stt) as user:
            await user.speak(2000)
            assert (await user.until(ResponseEnded)).status == "completed"
            (error,) = user.all(BackendError)
            assert (error.fatal, error.fault.message) == (
                False,
                "The speech recogniser failed with ConnectionError: lost the socket",
            )
            assert error.at < 2.0
            assert [turn.phase for turn in user.all(UserTurn)] == ["speech", "pause", "committed"]
            assert stt.heard_bytes[0] == 32 * 2200

    run_in_virtual_time(main())


def test_a_recogniser_that_reads_nothing_and_fails_holds_no_microphone_up() -> None:
    async def main() -> None:
        async def sleep_then_fail(_: Any) -> None:
            await asyncio.sleep(60)
            raise ConnectionError("lost the socket")

        stt = FailsFirst(sleep_then_fail)
        async with scripted_conversation(stt=stt, turns={"mode": "manual"}) as user:

            async def microphone() -> None:
                for _ in range(100):
                    await user.session.send(SendAudio(pcm=b"\x00\x20" * 16_000))

            speaking = asyncio.create_task(microphone())
            await asyncio.sleep(50)
            assert not speaking.done(), "audio is bounded"
            await asyncio.sleep(11)
            await speaking
            assert not user.failure

    run_in_virtual_time(main())


def test_a_recogniser_that_gives_no_text_runs_into_the_time_out() -> None:
    async def main() -> None:
        async def hang_at_the_mark(audio: Any) -> None:
            async for piece in audio:
                if not isinstance(piece, bytes):
                    await asyncio.sleep(1e6)

        async with scripted_conversation(stt=FailsFirst(hang_at_the_mark), timeout_s=5) as user:
            await user.speak(1000)
            transcript = await user.until(InputTranscript, final=True)
            assert transcript.at == pytest.approx(1.04 + 5)
            assert transcript.fault.code == "stage_timeout"
            assert "speech recogniser" in transcript.fault.message
            assert user.all(UserTurn)[-1].phase == "discarded"
            await user.speak(500)
            assert (await user.until(ResponseEnded)).status == "completed"

    run_in_virtual_time(main())


def test_a_recogniser_that_cancels_itself_has_failed() -> None:
    async def main() -> None:
        async def cancel(audio: Any) -> None:
            async for _ in audio:
                raise asyncio.CancelledError

        async with scripted_conversation(stt=FailsFirst(cancel)) as user:
            await user.speak(500)
            assert (await user.until(ResponseEnded)).status == "completed"
            (error,) = user.all(BackendError)
            assert error.fault.message == "The speech recogniser failed with CancelledError"

    run_in_virtual_time(main())


def test_one_that_always_does_ends_the_session() -> None:
    class Recogniser(ScriptedRecogniser):
        async def listen(self, audio: Any) -> AsyncIterator[Any]:
            async for _ in audio:
                raise asyncio.CancelledError
            yield

    async def main() -> None:
        async with scripted_conversation(stt=Recogniser([])) as user:
            with pytest.raises(SessionClosed):
                await user.speak(1000)
            assert isinstance(user.failure, SessionFailed)
            assert [e.fatal for e in user.all(BackendError)] == [False, False, True]

    run_in_virtual_time(main())


def test_a_recogniser_that_gives_what_is_no_transcript() -> None:
    async def main() -> None:
        class Recogniser(ScriptedRecogniser):
            async def listen(self, audio: Any) -> AsyncIterator[Any]:
                async for _ in audio:
                    yield "hello"

        async with scripted_conversation(stt=Recogniser([])) as user:
            with pytest.raises(SessionClosed):
                await user.speak(1000)
            assert "TypeError: it gave a str" in user.all(BackendError)[0].fault.message

    run_in_virtual_time(main())


# The detector, and what all have in common


class Detector(EnergyDetector):
    def __init__(self, push: Callable[[], Any]) -> None:
        super().__init__()
        self._push = push

    async def push(self, pcm: bytes, text: str = "") -> Sequence[Any]:
        return await self._push()


async def cancelled() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("push", "message", "at"),
    [
        (lambda: asyncio.sleep(1e6), "The turn detector did not answer in time.", 5.02),
        (lambda: asyncio.sleep(0), "The turn detector failed with TypeError: 'NoneType' object is not iterable", 0.02),
        (lambda: asyncio.sleep(0, [5]), "The turn detector failed with TypeError: it gave a int", 0.02),
        (cancelled, "The turn detector failed with CancelledError", 0.02),
    ],
)
def test_without_a_detector_there_is_no_session(push: Callable[[], Any], message: str, at: float) -> None:
    async def main() -> None:
        async with scripted_conversation(detector=Detector(push), timeout_s=5) as user:
            with pytest.raises(SessionClosed):
                await user.pause(20_000)
            last = user.events[-1]
            assert isinstance(last, BackendError)
            assert last.fatal
            assert last.fault.message.startswith(message)
            assert last.at == pytest.approx(at)
            assert isinstance(user.failure, SessionFailed)

    run_in_virtual_time(main())


def test_a_stage_that_is_never_ready_ends_the_session() -> None:
    async def main() -> None:
        llm = ScriptedModel([], warm_s=1e6)
        async with scripted_conversation(llm=llm, ready_timeout_s=7) as user:
            early = Respond()
            await user.session.send(early)
            await asyncio.sleep(10)
            last = user.events[-1]
            assert isinstance(last, BackendError)
            assert (last.at, last.fatal, last.fault.code) == (7.0, True, "not_ready")
            assert "language model" in last.fault.message
            assert "ready_timeout_s" in last.fault.message
            assert user.all(CommandSettled, command_id=early.id)[0].fault.code == "closed"

    run_in_virtual_time(main())


class Particular(ScriptedVoice):
    """Knows one voice."""

    def configure(self, config: SessionConfig) -> None:
        if config.voice not in (None, "amy"):
            raise ValueError("no such voice")
        super().configure(config)


def test_a_configure_that_a_stage_refuses_changes_nothing() -> None:
    async def main() -> None:
        tts, llm = Particular(), ScriptedModel(["Hi."])
        async with scripted_conversation(tts=tts, llm=llm, instructions="Old.") as user:
            change = Configure(patch={"voice": "zoe", "instructions": "New."})
            await user.session.send(change)
            settled = await user.until(CommandSettled, command_id=change.id)
            assert "ValueError: no such voice" in settled.fault.message
            for stage in (tts, llm):
                assert stage.config is not None
                assert (stage.config.voice, stage.config.instructions) == (None, "Old.")
            await ask(user)
            await user.until(OutputAudio)
            assert llm.prompts[0].instructions == "Old."
            await user.session.send(Configure(patch={"voice": "amy"}))
            assert (await user.until(CommandSettled, count=3)).fault is None

    run_in_virtual_time(main())
