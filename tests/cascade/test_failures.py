"""Stages that raise, hang or die; sessions that end: nothing is silent, nothing is left over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import voicebridge
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.contract.commands import EndTurn, Respond, SendAudio, SendText
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    InputTranscript,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    UserTurn,
)
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import scripted_conversation


def test_a_model_that_raises_fails_its_response_and_the_next_turn_works() -> None:
    async def main() -> None:
        scripts: list[list[Any]] = [["Well, I", RuntimeError("no memory")], ["Fine."]]
        llm = ScriptedModel(lambda prompt: scripts[min(len(prompt.items), 2) - 1])
        async with scripted_conversation(llm=llm) as user:
            await user.session.send(SendText(text="hi"))
            ended = await user.until(ResponseEnded)
            assert ended.status == "failed"
            assert ended.fault.category == "protocol"
            assert ended.fault.message == "The language model failed with RuntimeError: no memory"
            await user.session.send(SendText(text="again"))
            assert (await user.until(ResponseEnded, count=2)).status == "completed"

    run_in_virtual_time(main())


def test_a_model_that_raises_on_a_guess_fails_the_turn_it_guessed() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel([RuntimeError("boom")])) as user:
            await user.speak(500)
            ended = await user.until(ResponseEnded)
            assert (ended.status, ended.fault.code) == ("failed", "stage_failed")

    run_in_virtual_time(main())


@pytest.mark.parametrize("hanging", ["model", "voice"])
def test_a_stage_that_hangs_runs_into_the_time_out(hanging: str) -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."], first_s=10_000 if hanging == "model" else 0)
        tts = ScriptedVoice(first_s=10_000 if hanging == "voice" else 0)
        async with scripted_conversation(llm=llm, tts=tts, timeout_s=2.0) as user:
            command = SendText(text="hi")
            await user.session.send(command)
            ended = await user.until(ResponseEnded)
            assert ended.fault.category == "busy"
            assert ended.fault.retryable
            assert ("language model" if hanging == "model" else "voice") in ended.fault.message
            assert ended.at == pytest.approx(2.0, abs=0.05)

    run_in_virtual_time(main())


def test_a_recogniser_that_raises_fails_the_turn_and_hears_the_next() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["one", "two"], fails={0: ValueError("bad audio")})
        async with scripted_conversation(stt=stt, speculate="none") as user:
            await user.speak(500)
            transcript = await user.until(InputTranscript, final=True)
            assert transcript.fault.message == "The speech recogniser failed with ValueError: bad audio"
            assert user.all(UserTurn, turn_id="t1")[-1].phase == "discarded"
            await user.speak(500)
            assert (await user.until(ResponseEnded)).status == "completed"

    run_in_virtual_time(main())


def test_a_recogniser_that_fails_again_and_again_ends_the_session() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["x"])

        async def listen(audio: Any) -> Any:
            raise OSError("gone")
            yield

        stt.listen = listen  # type: ignore[method-assign]  # the fault under test
        async with scripted_conversation(stt=stt) as user:
            with pytest.raises(voicebridge.SessionClosed):
                await user.pause(200)
            assert isinstance(user.failure, voicebridge.SessionFailed)
            last = user.events[-1]
            assert isinstance(last, BackendError)
            assert last.fatal
            assert "OSError: gone" in last.fault.message

    run_in_virtual_time(main())


def test_a_stage_that_can_not_be_warmed_ends_the_session_and_says_which() -> None:
    async def main() -> None:
        tts = ScriptedVoice()

        async def warm() -> None:
            raise voicebridge.MissingExtra("No weights. Run: pip install '.[local]'")

        tts.warm = warm  # type: ignore[method-assign]  # the fault under test
        async with scripted_conversation(tts=tts) as user:
            early = SendText(text="hi")
            await user.session.send(early)
            await asyncio.sleep(0.01)
            assert not user.all(SessionReady)
            assert user.failure is not None
            assert "pip install" in str(user.failure)
            (settled,) = user.all(CommandSettled)
            assert (settled.command_id, settled.fault.category) == (early.id, "closed")

    run_in_virtual_time(main())


def test_close_settles_and_ends_what_is_open() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."], first_s=100)
        async with scripted_conversation(llm=llm) as user:
            running, held = Respond(), Respond(say="x")
            await user.session.send(running)
            await user.session.send(held)
            await user.until(ResponseStarted)
            await user.done()
            assert [e.status for e in user.all(ResponseEnded)] == ["lost"]
            assert {e.command_id for e in user.all(CommandSettled)} == {running.id, held.id}
            assert user.all(CommandSettled, command_id=held.id)[0].fault.category == "closed"
            assert llm.closed == 1
            assert user.failure is None
            with pytest.raises(voicebridge.SessionClosed):
                await user.session.send(SendAudio(pcm=b""))
            await user.session.aclose()

    run_in_virtual_time(main())


def test_close_goes_on_when_the_one_who_waits_for_it_is_cancelled() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])

        async def aclose() -> None:
            await asyncio.sleep(1)
            llm.closed += 1

        llm.aclose = aclose  # type: ignore[method-assign]  # a stage that takes its time
        async with scripted_conversation(llm=llm) as user:
            closing = asyncio.create_task(user.session.aclose())
            await asyncio.sleep(0.5)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            await user.session.aclose()
            assert llm.closed == 1

    run_in_virtual_time(main())


def test_a_stage_that_never_closes_does_not_hold_up_the_rest() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        llm.aclose = lambda: asyncio.sleep(10_000)  # type: ignore[method-assign]  # the fault under test
        async with scripted_conversation(llm=llm) as user:
            before = asyncio.get_running_loop().time()
            await user.session.aclose()
            assert asyncio.get_running_loop().time() - before <= 5.0

    run_in_virtual_time(main())


def test_a_slow_reader_bounds_the_audio_made() -> None:
    """Nobody reads: the voice stops at two minutes of undelivered audio, and goes on when it is read."""

    async def main() -> None:
        tts = ScriptedVoice(character_ms=1000)
        llm = ScriptedModel(["This is a sentence. "] * 60)
        backend = CascadeBackend(stt=ScriptedRecogniser(["x"]), llm=llm, tts=tts, detector="energy")
        async with voicebridge.connect_raw(backend, timeout_s=5.0) as session:
            await session.send(SendText(text="go"))
            await asyncio.sleep(1000)
            assert len(tts.spoken) <= 8
            total = 0.0
            async for event in session:
                if isinstance(event, OutputAudio):
                    total += len(event.pcm) / 48
                if isinstance(event, ResponseEnded):
                    assert event.status == "completed"
                    break
            assert total == pytest.approx(60 * 20 * 1000, rel=0.02)

    run_in_virtual_time(main())


def test_a_cancelled_send_of_audio_loses_and_doubles_nothing() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["x"], warm_s=5.0)
        backend = CascadeBackend(stt=stt, llm=ScriptedModel(["y"]), tts=ScriptedVoice(), detector="energy")
        async with voicebridge.connect_raw(backend, turns={"mode": "manual"}) as session:
            second = b"\x00\x20" * 24_000
            for _ in range(31):
                await session.send(SendAudio(pcm=second))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await session.send(SendAudio(pcm=second))
            await asyncio.sleep(10)
            await session.send(EndTurn())
            async for event in session:
                if isinstance(event, InputTranscript) and event.final:
                    break
            assert stt.heard_bytes[0] == pytest.approx(31 * 32_000, abs=100), "what was cancelled was not taken"

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"specullate": "none"}, "Did you mean 'speculate'"),
        ({"speculate": "maybe"}, "'reply', 'transcript' or 'none'"),
        ({"timeout_s": 0}, "timeout_s is a number of seconds above 0"),
        ({"timeout_s": True}, "timeout_s is a number of seconds above 0"),
        ({"ready_timeout_s": "soon"}, "ready_timeout_s is a number of seconds above 0"),
        ({"turns": {"mode": "full_duplex"}}, "turns.mode"),
        ({"markup": "html"}, "'strip' or 'keep'"),
        ({"llm": 42}, "int can't be"),
        ({"detector": len}, "can't be the turn detector"),
        ({"turns": {"silence": 3}}, "turns.silence"),
        ({"input_format": "pcm"}, "input_format"),
    ],
)
def test_bad_options_are_refused_in_words(options: dict[str, Any], message: str) -> None:
    async def main() -> None:
        backend = CascadeBackend(stt=ScriptedRecogniser(["x"]), llm=ScriptedModel(["y"]), tts=ScriptedVoice())
        with pytest.raises(voicebridge.VoiceBridgeError, match=message):
            async with voicebridge.connect_raw(backend, **options):
                pass

    run_in_virtual_time(main())
