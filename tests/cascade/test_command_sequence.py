"""Commands one after the other: before the session is ready, behind an end of turn, and before an interruption."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.commands import (
    Command,
    Configure,
    DiscardTurn,
    EndTurn,
    Interrupt,
    ReportPlayed,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import (
    CommandSettled,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.contract.items import MessageItem, ToolResultItem
from voicebridge.contract.stages import Prompt, ToolRequest
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation

PUSH_TO_TALK = {"mode": "manual"}


def texts(prompt: Prompt) -> list[str]:
    return [item.text for item in prompt.items if isinstance(item, MessageItem)]


def fates(user: User, *commands: Command) -> list[str | None]:
    """The code of each command's fault, in the order given."""
    faults = [user.all(CommandSettled, command_id=command.id)[0].fault for command in commands]
    return [fault and fault.code for fault in faults]


# Before the session is ready


def test_early_settings_add_up() -> None:
    async def main() -> None:
        llm, tts = ScriptedModel(["Hi."], warm_s=1), ScriptedVoice()
        async with scripted_conversation(llm=llm, tts=tts) as user:
            await user.session.send(Configure(patch={"instructions": "A"}))
            await user.session.send(Configure(patch={"voice": "x"}))
            await user.session.send(SendText(text="q"))
            await user.until(ResponseEnded)
            assert llm.prompts[0].instructions == "A"
            assert tts.config is not None
            assert tts.config.voice == "x"

    run_in_virtual_time(main())


def test_an_interrupt_before_the_session_is_ready_withdraws_what_was_asked_for() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."], warm_s=1)
        async with scripted_conversation(llm=llm) as user:
            note = SendText(text="note", respond=False)
            asked, say = SendText(text="q"), Respond(say="Hello.")
            for command in (note, asked, say, stop := Interrupt()):
                await user.session.send(command)
            later = SendText(text="q2")
            await user.session.send(later)
            await user.until(ResponseEnded)
            await user.pause(2000)
            assert fates(user, note, asked, say, stop, later) == [None, "withdrawn", "withdrawn", None, None]
            assert [e.answers for e in user.all(ResponseStarted)] == [(later.id,)]
            assert texts(llm.prompts[0]) == ["note", "q", "q2"], "it was said, though nobody waits for an answer"

    run_in_virtual_time(main())


# Behind an end of turn


def test_what_is_sent_after_end_turn_comes_after_its_words() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        stt = ScriptedRecogniser(["spoken"], final_s=0.2)
        async with scripted_conversation(stt=stt, llm=llm, turns=PUSH_TO_TALK) as user:
            await user.speak(500)
            end, typed = EndTurn(respond=False), SendText(text="typed after", respond=False)
            await user.session.send(end)
            await user.session.send(typed)
            await user.session.send(respond := Respond())
            await asyncio.sleep(1)
            assert texts(llm.prompts[0]) == ["spoken", "typed after"]
            assert [e.command_id for e in user.all(CommandSettled)] == [end.id, typed.id, respond.id]
            assert [e.answers for e in user.all(ResponseStarted)] == [(respond.id,)]

    run_in_virtual_time(main())


def test_respond_after_end_turn_answers_the_turn() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        stt = ScriptedRecogniser(["my words"], final_s=0.1)
        async with scripted_conversation(stt=stt, llm=llm, turns=PUSH_TO_TALK) as user:
            await user.speak(500)
            await user.session.send(EndTurn(respond=False))
            await user.session.send(Respond())
            await asyncio.sleep(1)
            assert [texts(prompt) for prompt in llm.prompts] == [["my words"]]

    run_in_virtual_time(main())


def test_two_ends_of_turn_come_in_order() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["one", "two"], final_s=0.5)
        async with scripted_conversation(stt=stt, turns=PUSH_TO_TALK) as user:
            await user.speak(200)
            await user.session.send(first := EndTurn(respond=False))
            await user.speak(200)
            await user.session.send(second := EndTurn())
            await user.session.send(nothing := EndTurn())
            await asyncio.sleep(3)
            assert fates(user, first, second, nothing) == [None, None, "empty_turn"]
            assert [e.answers for e in user.all(ResponseStarted)] == [(second.id, "t2")]

    run_in_virtual_time(main())


def test_an_interrupt_withdraws_the_answer_to_a_turn_that_waits_for_its_words() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi there."])
        stt = ScriptedRecogniser(["my words"], final_s=0.3)
        async with scripted_conversation(stt=stt, llm=llm, turns=PUSH_TO_TALK) as user:
            await user.speak(500)
            await user.session.send(end := EndTurn())
            await asyncio.sleep(0.1)
            await user.session.send(Interrupt())
            await asyncio.sleep(3)
            assert not user.all(ResponseStarted)
            assert fates(user, end) == [None]
            assert user.all(UserTurn)[-1].phase == "committed"
            await user.session.send(Respond())
            await user.until(ResponseEnded)
            assert texts(llm.prompts[0]) == ["my words"]

    run_in_virtual_time(main())


def test_and_of_one_that_waits_for_its_audio() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["my words"], warm_s=1)
        async with scripted_conversation(stt=stt, turns=PUSH_TO_TALK) as user:
            await user.speak(500)
            await user.session.send(end := EndTurn())
            await user.session.send(Interrupt())
            await asyncio.sleep(3)
            assert not user.all(ResponseStarted)
            assert fates(user, end) == [None]
            assert user.all(UserTurn)[-1].phase == "committed"

    run_in_virtual_time(main())


def test_and_what_was_asked_for_behind_it() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        stt = ScriptedRecogniser(["my words"], final_s=0.5)
        async with scripted_conversation(stt=stt, llm=llm, turns=PUSH_TO_TALK) as user:
            await user.speak(500)
            commands = [EndTurn(), SendText(text="q"), Respond(), Interrupt(), SendText(text="q2")]
            for command in commands:
                await user.session.send(command)
            await asyncio.sleep(3)
            assert fates(user, *commands) == [None, "withdrawn", "withdrawn", None, None]
            assert [e.answers for e in user.all(ResponseStarted)] == [(commands[-1].id,)]
            assert [texts(prompt) for prompt in llm.prompts] == [["my words", "q", "q2"]]

    run_in_virtual_time(main())


def test_and_the_answer_to_a_tool_result_behind_it() -> None:
    async def main() -> None:
        llm = ScriptedModel(lambda prompt: [ToolRequest("a", "f", "{}")] if len(prompt.items) == 1 else ["ok."])
        stt = ScriptedRecogniser(["my words"], final_s=0.5)
        async with scripted_conversation(stt=stt, llm=llm, turns=PUSH_TO_TALK) as user:
            await user.session.send(SendText(text="q"))
            await asyncio.sleep(0.1)
            assert user.all(ToolCall)
            await user.speak(500)
            await user.session.send(EndTurn(respond=False))
            await user.session.send(result := SendToolResult(call_id="a", output="42"))
            await user.session.send(Interrupt())
            await asyncio.sleep(3)
            assert fates(user, result) == [None]
            assert len(user.all(ResponseStarted)) == 1
            await user.session.send(Respond())
            await asyncio.sleep(1)
            assert [item.output for item in llm.prompts[-1].items if isinstance(item, ToolResultItem)] == ["42"]

    run_in_virtual_time(main())


def test_an_interrupt_of_one_response_withdraws_nothing() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["my words"], final_s=0.5)
        async with scripted_conversation(stt=stt, turns=PUSH_TO_TALK) as user:
            await user.speak(500)
            await user.session.send(end := EndTurn())
            await user.session.send(say := Respond(say="x"))
            await user.session.send(Interrupt(response_id="r7"))
            await asyncio.sleep(3)
            assert fates(user, end, say) == [None, None]
            assert len(user.all(ResponseStarted)) == 2

    run_in_virtual_time(main())


def test_discard_turn_holds_its_place_too() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        async with scripted_conversation(llm=llm, turns=PUSH_TO_TALK) as user:
            await user.speak(500)
            await user.session.send(discard := DiscardTurn())
            await user.session.send(text := SendText(text="q"))
            await asyncio.sleep(1)
            assert [e.command_id for e in user.all(CommandSettled)] == [discard.id, text.id]
            assert texts(llm.prompts[0]) == ["q"]

    run_in_virtual_time(main())


# Held behind a response


def test_interrupting_stops_what_runs_and_withdraws_what_waits() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel(["Hi there.", " More."], piece_s=1)) as user:
            commands = [SendText(text="q"), SendText(text="q2"), Interrupt()]
            for command in commands:
                await user.session.send(command)
                await user.pause(100)
            await user.pause(3000)
            assert fates(user, *commands) == [None, "withdrawn", None]
            assert [e.status for e in user.all(ResponseEnded)] == ["interrupted"]
            assert len(user.all(ResponseStarted)) == 1
            assert not user.all(OutputAudio)

    run_in_virtual_time(main())


# What no command can carry


@pytest.mark.parametrize(
    "command",
    [
        ReportPlayed(response_id="r1", ms=-5),
        ReportPlayed(response_id="r1", ms=float("nan")),
        Interrupt(heard={"r1": -1}),
        Interrupt(heard={"r1": float("nan")}),
    ],
)
def test_times_that_can_not_be_are_refused_at_the_door(command: Command) -> None:
    async def main() -> None:
        async with scripted_conversation() as user:
            await user.session.send(SendText(text="q"))
            await user.until(ResponseEnded)
            with pytest.raises(ConfigError, match="milliseconds"):
                await user.session.send(command)
            heard = await user.until(OutputHeard)
            assert (heard.text, heard.basis) == ("Hi, nice to meet you.", "estimated")

    run_in_virtual_time(main())


def test_audio_does_not_pass_an_end_of_turn_before_the_session_is_ready() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["x"], warm_s=2)
        async with scripted_conversation(stt=stt, turns=PUSH_TO_TALK) as user:
            await user.session.send(SendAudio(pcm=b"\x00\x20" * 160_000))
            await user.session.send(EndTurn())
            await user.session.send(SendAudio(pcm=b"\x00\x20" * 1600))
            await asyncio.sleep(5)
            (committed,) = user.all(UserTurn, phase="committed")
            assert committed.audio_ms == 10_000
            assert stt.heard_bytes == [320_000, 3200]

    run_in_virtual_time(main())


def test_audio_does_not_pass_an_end_of_turn_behind_one_that_waits_for_its_words() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["one", "two"], final_s=2)
        async with scripted_conversation(stt=stt, turns=PUSH_TO_TALK) as user:
            await user.speak(200)
            await user.session.send(EndTurn(respond=False))
            note = SendText(text="between", respond=False)
            await user.session.send(note)
            await user.speak(400)
            await user.session.send(EndTurn())
            await user.speak(100)
            await user.session.send(DiscardTurn())
            await user.speak(300)
            await asyncio.sleep(5)
            assert stt.heard_bytes == [32 * ms for ms in (200, 400, 100, 300)]
            assert [(e.turn_id, e.phase, e.audio_ms) for e in user.all(UserTurn) if e.phase != "speech"] == [
                ("t3", "discarded", 700),
                ("t1", "committed", 200),
                ("t2", "committed", 600),
            ]
            order = [e for e in user.events if isinstance(e, CommandSettled | UserTurn)]
            (settled,) = user.all(CommandSettled, command_id=note.id)
            first, second = user.all(UserTurn, phase="committed")
            assert order.index(first) < order.index(settled) < order.index(second)

    run_in_virtual_time(main())


def test_early_push_to_talk() -> None:
    """The way to find turns is changed before the session is ready: it holds for the audio sent after it."""

    async def main() -> None:
        stt = ScriptedRecogniser(["x"], warm_s=1)
        async with scripted_conversation(stt=stt) as user:
            await user.session.send(Configure(patch={"turns": PUSH_TO_TALK}))
            await user.speak(300)
            await user.session.send(EndTurn())
            await user.until(ResponseEnded)
            told = [(e.phase, e.source) for e in user.all(UserTurn, turn_id="t1")]
            assert told == [("speech", "client"), ("committed", "client")]

    run_in_virtual_time(main())
