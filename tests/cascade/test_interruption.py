"""The user speaks while the agent does: what stops, what was heard, what the conversation keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicebridge.contract.commands import Interrupt, ReportPlayed, Respond, SendText
from voicebridge.contract.events import (
    CommandSettled,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import Prompt
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation

LONG = ["One two three four five six seven eight nine ten.", " And more of it follows."]


def said(prompt: Prompt) -> list[tuple[str, str]]:
    return [(item.role, item.text) for item in prompt.items if isinstance(item, MessageItem)]


def test_speech_stops_the_response_and_the_history_keeps_what_was_heard() -> None:
    async def main() -> None:
        llm = ScriptedModel(LONG, piece_s=0.1)
        stt = ScriptedRecogniser(["tell me", "stop"])
        async with scripted_conversation(llm=llm, stt=stt, tts=ScriptedVoice(character_ms=50)) as user:
            await user.speak(600)
            await user.until(OutputAudio)
            await user.pause(1000)
            await user.speak(600)
            heard = await user.until(OutputHeard)
            assert heard.basis == "estimated"
            assert heard.heard_ms == pytest.approx(1000 + 100, abs=25)  # the detector needs 100 ms to be sure
            assert heard.text == "One two three four"
            await user.until(ResponseStarted, count=2)
            assert said(llm.prompts[-1]) == [
                ("user", "tell me"),
                ("assistant", "One two three four"),
                ("user", "stop"),
            ]
            assert llm.prompts[-1].heard == "One two three four"

    run_in_virtual_time(main())


def test_interrupting_while_the_model_still_thinks() -> None:
    async def main() -> None:
        llm = ScriptedModel(LONG, first_s=5.0)
        async with scripted_conversation(llm=llm, stt=ScriptedRecogniser(["a", "b"])) as user:
            await user.speak(600)
            await user.until(ResponseStarted)
            await user.speak(600)
            ended = await user.until(ResponseEnded)
            assert ended.status == "interrupted"
            assert user.all(OutputHeard)[0].heard_ms == 0
            audio = await user.until(OutputAudio)
            assert audio.response_id == "r2"
            assert llm.cancelled == 1
            assert said(llm.prompts[-1]) == [("user", "a"), ("user", "b")]

    run_in_virtual_time(main())


def test_no_audio_after_interrupt_and_measured_hearing() -> None:
    async def main() -> None:
        llm = ScriptedModel(LONG, piece_s=0.2)
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(character_ms=50)) as user:
            await user.speak(600)
            started = await user.until(OutputAudio)
            await user.session.send(Interrupt(heard={started.response_id: 700}))
            pieces = len(user.all(OutputAudio))
            await user.pause(3000)
            assert len(user.all(OutputAudio)) == pieces
            (heard,) = user.all(OutputHeard)
            assert (heard.heard_ms, heard.basis, heard.text) == (700, "measured", "One two three")
            assert [e.status for e in user.all(ResponseEnded)] == ["interrupted"]

    run_in_virtual_time(main())


def test_an_answer_that_has_ended_but_still_plays_is_cut() -> None:
    """Speech is made faster than it plays: the response is over long before the user has heard it."""

    async def main() -> None:
        llm = ScriptedModel(LONG)
        stt = ScriptedRecogniser(["a", "b"])
        async with scripted_conversation(llm=llm, stt=stt, tts=ScriptedVoice(character_ms=50)) as user:
            await user.speak(600)
            await user.until(ResponseEnded, status="completed")
            for step in range(1, 6):
                await user.pause(100)
                await user.session.send(ReportPlayed(response_id="r1", ms=step * 80))
            await user.speak(600)
            heard = await user.until(OutputHeard)
            # 400 ms at the last report, and on from there for the 80 ms until the user was noticed.
            assert (heard.heard_ms, heard.basis, heard.text) == (480, "measured", "One two")
            assert len(user.all(ResponseEnded, response_id="r1")) == 1
            await user.until(ResponseStarted, count=2)
            assert said(llm.prompts[-1])[1] == ("assistant", "One two")

    run_in_virtual_time(main())


def test_a_player_at_another_rate_may_count_a_fraction_less() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel(["Hello."]), tts=ScriptedVoice(character_ms=100)) as user:
            await user.speak(600)
            await user.until(ResponseEnded)
            await user.session.send(ReportPlayed(response_id="r1", ms=575))
            await user.pause(1000)
            assert not user.all(OutputHeard)
            await user.session.send(ReportPlayed(response_id="r1", ms=585))
            (heard,) = await _heard(user)
            assert (heard.heard_ms, heard.text, heard.basis) == (600, "Hello.", "measured")

    run_in_virtual_time(main())


async def _heard(user: User) -> list[OutputHeard]:
    await user.pause(20)
    return user.all(OutputHeard)


def test_hearing_is_clamped_and_zero_deletes() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hello."])
        async with scripted_conversation(llm=llm, tts=ScriptedVoice(character_ms=100)) as user:
            await user.speak(600)
            await user.until(ResponseEnded)
            await user.session.send(Interrupt(heard={"r1": 99_999}))
            await user.session.send(Interrupt(heard={"r1": 0}))
            await user.pause(20)
            assert [(h.heard_ms, h.text) for h in user.all(OutputHeard)] == [(600, "Hello."), (0, "")]
            await user.session.send(SendText(text="and now?"))
            await user.until(ResponseStarted, count=2)
            assert said(llm.prompts[-1]) == [("user", "hello there"), ("user", "and now?")]

    run_in_virtual_time(main())


def test_without_auto_interrupt_the_response_goes_on_and_the_turn_is_answered_after_it() -> None:
    async def main() -> None:
        turns = {"silence_ms": 200, "auto_interrupt": False}
        llm = ScriptedModel(LONG, piece_s=3.0)
        async with scripted_conversation(llm=llm, stt=ScriptedRecogniser(["a", "b"]), turns=turns) as user:
            await user.speak(600)
            await user.until(OutputAudio)
            await user.speak(600)
            await user.until(UserTurn, count=2, phase="committed")
            assert not user.all(ResponseEnded)
            await user.until(ResponseStarted, count=2)
            kinds = [type(e).__name__ for e in user.events if isinstance(e, (ResponseStarted, ResponseEnded))]
            assert kinds == ["ResponseStarted", "ResponseEnded", "ResponseStarted"]
            assert user.all(ResponseStarted)[1].answers == ("t2",)

    run_in_virtual_time(main())


def test_interrupt_with_nothing_to_stop_settles_well() -> None:
    async def main() -> None:
        async with scripted_conversation() as user:
            command = Interrupt()
            await user.session.send(command)
            settled = await user.until(CommandSettled)
            assert (settled.command_id, settled.fault) == (command.id, None)
            await user.session.send(Interrupt(response_id="r7", heard={"r9": 5}))
            assert (await user.until(CommandSettled, count=2)).fault is None

    run_in_virtual_time(main())


def test_interrupt_withdraws_what_was_asked_for() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel(LONG, piece_s=9)) as user:
            await user.session.send(SendText(text="go on"))
            await user.until(ResponseStarted)
            asked = Respond(say="later")
            await user.session.send(asked)
            await user.session.send(Interrupt())
            await user.pause(1000)
            assert len(user.all(ResponseStarted)) == 1
            (settled,) = user.all(CommandSettled, command_id=asked.id)
            assert settled.fault.code == "withdrawn"

    run_in_virtual_time(main())


def after(first: str, then: str) -> Callable[[Prompt], list[str]]:
    return lambda prompt: [first if len(prompt.items) == 1 else then]


def test_a_pause_inside_a_sentence_drops_the_guess() -> None:
    """The user goes on before the turn has ended: nothing of the guess is told, and its work is counted."""

    async def main() -> None:
        llm = ScriptedModel(["Well, yes."])
        stt = ScriptedRecogniser(["hello there my friend"])
        async with scripted_conversation(llm=llm, stt=stt, tts=ScriptedVoice(character_ms=10)) as user:
            await user.speak(600)
            await user.pause(120)
            await user.speak(600)
            await user.until(OutputHeard)
            phases = [e.phase for e in user.all(UserTurn)]
            assert phases == ["speech", "pause", "speech", "pause", "committed"]
            assert len(user.all(ResponseStarted)) == 1
            count = user.session._session._session.speculation  # type: ignore[attr-defined]  # the cascade behind the door
            assert (count.guesses, count.used, count.used_share) == (2, 1, 0.5)
            assert count.wasted_characters == len("Well, yes.")
            assert count.wasted_audio_ms == pytest.approx(100)

    run_in_virtual_time(main())
