"""Whose turn it is: what opens and ends the user's turns, what the recogniser hears of them, and who may speak when."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.commands import Configure, DiscardTurn, EndTurn, Respond, SendAudio, SendText, SendToolResult
from voicebridge.contract.events import (
    CommandSettled,
    InputTranscript,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    UserTurn,
)
from voicebridge.contract.items import MessageItem
from voicebridge.contract.stages import PCM_16K, Prompt, SpeechToTextTraits, ToolRequest
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation


def sound(ms: int) -> bytes:
    return b"\x00\x20" * (16 * ms)


def silence(ms: int) -> bytes:
    return bytes(32 * ms)


def turns(user: User) -> list[tuple[str, str, float]]:
    return [(turn.turn_id, turn.phase, turn.audio_ms) for turn in user.all(UserTurn)]


def texts(prompt: Prompt) -> list[str]:
    return [item.text for item in prompt.items if isinstance(item, MessageItem)]


def heard_ms(stt: ScriptedRecogniser) -> list[float]:
    return [PCM_16K.ms(size) for size in stt.heard_bytes]


def test_it_makes_no_difference_in_which_pieces_audio_comes() -> None:
    spoken = sound(1000) + silence(600) + sound(1000) + silence(600)

    async def conversation(piece_ms: int) -> tuple[object, ...]:
        stt = ScriptedRecogniser(["one", "two"])
        async with scripted_conversation(stt=stt) as user:
            size = PCM_16K.size(piece_ms)
            for start in range(0, len(spoken), size):
                await user.session.send(SendAudio(pcm=spoken[start : start + size]))
                await asyncio.sleep(piece_ms / 1000)
            await asyncio.sleep(3)
            finals = [(e.turn_id, e.text) for e in user.all(InputTranscript, final=True)]
            return turns(user), finals, heard_ms(stt), [e.answers for e in user.all(ResponseStarted)]

    results = [run_in_virtual_time(conversation(piece_ms)) for piece_ms in (20, 100, 3200)]
    assert results[0] == results[1] == results[2]
    phases, finals, heard, answers = results[0]
    assert phases == [
        ("t1", "speech", 0),
        ("t1", "pause", 1000),
        ("t1", "committed", 1000),
        ("t2", "speech", 1600),
        ("t2", "pause", 2600),
        ("t2", "committed", 2600),
    ]
    assert finals == [("t1", "one"), ("t2", "two")]
    assert heard == [1200, 1350, 0], "a turn and its silence; and a little before it"
    assert answers == [("t1",), ("t2",)]


# A noise after the user's words


def test_a_cough_does_not_cost_the_turn_before_its_answer() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["what time is it", "", ""], final_s=0.5)
        async with scripted_conversation(stt=stt) as user:
            await user.speak(500)
            await user.pause(260)
            await user.speak(200)
            started = await user.until(ResponseStarted)
            assert (started.cause, started.answers) == ("user", ("t1",))
            heard = await user.until(OutputHeard)
            assert heard.text == "Hi, nice to meet you."
            assert [turn.phase for turn in user.all(UserTurn, turn_id="t2")] == ["speech", "pause", "discarded"]
            assert len(user.all(ResponseStarted)) == 1

    run_in_virtual_time(main())


def test_words_after_the_turn_are_answered_together_with_it() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Fine."])
        async with scripted_conversation(stt=ScriptedRecogniser(["one", "two"], final_s=0.5), llm=llm) as user:
            await user.speak(500)
            await user.pause(260)
            await user.speak(1000)
            await user.until(OutputHeard)
            await user.pause(3000)
            assert [e.turn_id for e in user.all(UserTurn, phase="committed")] == ["t1", "t2"]
            assert [e.answers for e in user.all(ResponseStarted)] == [("t1", "t2")]
            assert texts(llm.prompts[-1]) == ["one", "two"]

    run_in_virtual_time(main())


# The user's floor


def test_a_text_turn_does_not_make_the_agent_talk_over_the_user() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Fine."])
        async with scripted_conversation(llm=llm) as user:
            await user.speak(500)
            typed = SendText(text="ping")
            await user.session.send(typed)
            last = await user.speak(1000)
            started = await user.until(ResponseStarted)
            assert started.at == pytest.approx(last + 0.2)
            assert (started.cause, started.answers) == ("user", (typed.id, "t1"))
            assert texts(llm.prompts[-1]) == ["ping", "hello there"]
            (settled,) = user.all(CommandSettled, command_id=typed.id)
            assert settled.at == started.at

    run_in_virtual_time(main())


def test_a_text_turn_waits_for_the_words_before_it() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Fine."])
        async with scripted_conversation(llm=llm, stt=ScriptedRecogniser(["spoken"], final_s=1.0)) as user:
            await user.speak(500)
            await user.pause(500)
            typed = SendText(text="typed")
            await user.session.send(typed)
            await user.until(ResponseEnded)
            assert [e.answers for e in user.all(ResponseStarted)] == [(typed.id, "t1")]

    run_in_virtual_time(main())


def test_what_is_asked_for_in_so_many_words_does() -> None:
    async def main() -> None:
        async with scripted_conversation() as user:
            await user.speak(500)
            await user.session.send(Respond(say="One moment."))
            await user.speak(100)
            assert [e.cause for e in user.all(ResponseStarted)] == ["request"]

    run_in_virtual_time(main())


def test_without_barge_in_nobody_has_the_floor() -> None:
    async def main() -> None:
        async with scripted_conversation(turns={"silence_ms": 200, "auto_interrupt": False}) as user:
            await user.speak(500)
            await user.session.send(SendText(text="ping"))
            await user.speak(100)
            assert [e.cause for e in user.all(ResponseStarted)] == ["request"]

    run_in_virtual_time(main())


# Guesses


def test_no_guess_is_made_of_turns_that_are_not_answered() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        async with scripted_conversation(llm=llm, turns={"silence_ms": 200, "auto_respond": False}) as user:
            await user.speak(500)
            await user.until(UserTurn, phase="committed")
            await user.pause(500)
            assert not llm.prompts
            assert not user.all(ResponseStarted)

    run_in_virtual_time(main())


def test_a_guess_that_does_not_know_of_a_note_is_not_used() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        async with scripted_conversation(llm=llm) as user:
            await user.speak(500)
            await user.pause(80)
            assert [texts(prompt) for prompt in llm.prompts] == [["hello there"]]
            await user.session.send(SendText(text="The caller is Ann.", role="system", respond=False))
            await user.until(ResponseEnded)
            assert [texts(prompt) for prompt in llm.prompts][1:] == [["The caller is Ann.", "hello there"]]
            assert len(user.all(ResponseStarted)) == 1

    run_in_virtual_time(main())


def test_a_request_in_a_pause_does_not_use_the_guess() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        async with scripted_conversation(llm=llm) as user:
            await user.speak(500)
            await user.pause(80)
            await user.session.send(Respond(say="Wait.", modality="text"))
            await user.until(ResponseEnded, count=2)
            assert [e.cause for e in user.all(ResponseStarted)] == ["request", "user"]
            assert len(llm.prompts) == 2
            assert not llm.prompts[1].speculative

    run_in_virtual_time(main())


# Ends by command where a detector listens


def test_speech_that_goes_on_after_end_turn_is_another_turn() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["one", "two"])
        async with scripted_conversation(stt=stt) as user:
            await user.speak(500)
            end = EndTurn()
            await user.session.send(end)
            await user.speak(5000)
            await user.until(UserTurn, count=2, phase="committed")
            assert turns(user) == [
                ("t1", "speech", 0),
                ("t1", "committed", 500),
                ("t2", "speech", 500),
                ("t2", "pause", 5500),
                ("t2", "committed", 5500),
            ]
            assert heard_ms(stt) == [500, 5200, 0], "every word is heard, once"
            assert [e.answers for e in user.all(ResponseStarted)] == [(end.id, "t1"), ("t2",)]

    run_in_virtual_time(main())


def test_the_end_of_the_last_word_after_end_turn_is_not() -> None:
    async def main() -> None:
        async with scripted_conversation() as user:
            await user.speak(500)
            await user.session.send(EndTurn())
            await user.speak(200)
            await user.pause(1000)
            assert [turn_id for turn_id, _, _ in turns(user)] == ["t1", "t1"]

    run_in_virtual_time(main())


@pytest.mark.parametrize("trailing_ms", [0, 200])
def test_speech_that_begins_again_after_end_turn_is_another_turn(trailing_ms: int) -> None:
    """The detector has not heard the turn end: to it the pause is one inside a turn."""

    async def main() -> None:
        stt = ScriptedRecogniser(["one", "two"])
        async with scripted_conversation(stt=stt) as user:
            await user.speak(500)
            if trailing_ms:
                await user.session.send(EndTurn())
                await user.speak(trailing_ms)
                await user.pause(100)
            else:
                await user.pause(100)
                await user.session.send(EndTurn())
            await user.speak(1000)
            await user.until(UserTurn, count=2, phase="committed")
            begins = 600 + trailing_ms
            assert ("t2", "speech", begins) in turns(user)
            assert ("t2", "committed", begins + 1000) in turns(user)
            assert heard_ms(stt)[1] >= 1000

    run_in_virtual_time(main())


# Push-to-talk


def test_forgotten_audio_does_not_come_back_as_the_beginning_of_the_next_turn() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["x"])
        async with scripted_conversation(stt=stt, turns={"mode": "manual"}) as user:
            await user.speak(500)
            await user.session.send(DiscardTurn())
            await user.speak(500)
            await user.session.send(EndTurn())
            await asyncio.sleep(1)
            assert heard_ms(stt) == [500, 500, 0]
            assert turns(user) == [
                ("t1", "speech", 0),
                ("t1", "discarded", 500),
                ("t2", "speech", 500),
                ("t2", "committed", 1000),
            ]

    run_in_virtual_time(main())


@pytest.mark.parametrize("pcm", [b"", b"\x00"])
def test_no_audio_opens_no_turn(pcm: bytes) -> None:
    async def main() -> None:
        async with scripted_conversation(turns={"mode": "manual"}) as user:
            await user.session.send(SendAudio(pcm=pcm))
            await asyncio.sleep(1)
            assert not user.all(UserTurn)
            end = EndTurn()
            await user.session.send(end)
            assert (await user.until(CommandSettled, command_id=end.id)).fault.code == "empty_turn"

    run_in_virtual_time(main())


def test_switching_to_push_to_talk_and_back_leaves_no_turn_open() -> None:
    async def main() -> None:
        async with scripted_conversation() as user:
            await user.speak(500)
            await user.session.send(Configure(patch={"turns": {"mode": "manual"}}))
            await user.speak(300)
            await user.pause(3000)
            assert [(id, phase) for id, phase, _ in turns(user)] == [
                ("t1", "speech"),
                ("t1", "discarded"),
                ("t2", "speech"),
            ]
            assert user.all(UserTurn)[-1].source == "client"
            await user.session.send(Configure(patch={"turns": {"mode": "server_vad", "silence_ms": 200}}))
            await user.speak(300)
            await user.until(ResponseEnded)
            assert [(id, phase) for id, phase, _ in turns(user)][3:] == [
                ("t2", "discarded"),
                ("t3", "speech"),
                ("t3", "pause"),
                ("t3", "committed"),
            ]
            assert [e.answers for e in user.all(ResponseStarted)] == [("t3",)]

    run_in_virtual_time(main())


# Tools and turns


@pytest.mark.parametrize("answered", ["before", "after"])
def test_a_cough_does_not_cost_a_tool_its_answer(answered: str) -> None:
    async def main() -> None:
        def script(prompt: Prompt) -> list[str | ToolRequest]:
            if len(llm.prompts) > 1:
                return ["It is noon."]
            return [ToolRequest("a", "clock", "{}"), "Let me look that up for you, please wait a moment now.", " Done."]

        llm = ScriptedModel(script, piece_s=1.5)
        tts = ScriptedVoice(character_ms=50)
        async with scripted_conversation(llm=llm, tts=tts, stt=ScriptedRecogniser([""])) as user:
            await user.session.send(SendText(text="q"))
            await user.pause(1700)
            result = SendToolResult(call_id="a", output="12:00")
            if answered == "before":
                await user.session.send(result)
            await user.speak(200)
            assert user.all(ResponseEnded)[0].status == "interrupted"
            if answered == "after":
                await user.session.send(result)
            assert len(user.all(ResponseStarted)) == 1
            started = await user.until(ResponseStarted, count=2)
            assert (started.cause, started.answers) == ("tool", (result.id,))
            assert (await user.until(ResponseEnded, count=2)).status == "completed"

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    ("said", "silence_ms"), [("Turn on the light.", 250), ("Turn on the", 1500)], ids=["whole", "open"]
)
def test_with_semantic_turns_the_wait_depends_on_the_words(said: str, silence_ms: int) -> None:
    """The text is that of a guess, made while the pause lasts."""

    async def main() -> None:
        stt = ScriptedRecogniser([said])
        async with scripted_conversation(stt=stt, turns={"mode": "semantic"}) as user:
            for piece in range(200):
                await user.session.send(SendAudio(pcm=sound(20) if piece < 50 else silence(20)))
                await asyncio.sleep(0.02)
                if [phase for _, phase, _ in turns(user)][-1:] == ["committed"]:
                    break
            assert (piece - 50) * 20 == pytest.approx(silence_ms, abs=60)

    run_in_virtual_time(main())


def test_the_text_of_an_earlier_pause_says_nothing_of_a_later_one() -> None:
    """When all guesses of a turn are used up, a recogniser by upload tells nothing, and the usual silence is waited
    for."""

    async def main() -> None:
        stt = ScriptedRecogniser(["I want it now."] * 20, traits=SpeechToTextTraits(recheck="paid"))
        spoken = ([sound(20)] * 15 + [silence(20)] * 8) * 9 + [sound(20)] * 15
        async with scripted_conversation(stt=stt, turns={"mode": "semantic"}) as user:
            sent = 0
            while [phase for _, phase, _ in turns(user)][-1:] != ["committed"]:
                piece = spoken[sent] if sent < len(spoken) else silence(20)
                await user.session.send(SendAudio(pcm=piece))
                await asyncio.sleep(0.02)
                sent += 1
            assert (sent - len(spoken)) * 20 == pytest.approx(500, abs=60)

    run_in_virtual_time(main())


def test_another_way_to_find_the_ends_of_turns_keeps_the_turn_under_way() -> None:
    async def main() -> None:
        async with scripted_conversation(turns={"mode": "server_vad", "silence_ms": 200}) as user:
            await user.speak(400)
            await user.session.send(Configure(patch={"turns": {"mode": "semantic", "silence_ms": 200}}))
            await user.speak(400)
            await user.until(ResponseEnded)
            assert [e.phase for e in user.all(UserTurn)] == ["speech", "pause", "committed"]

    run_in_virtual_time(main())


def test_push_to_talk_begins_with_a_turn_of_its_own() -> None:
    async def main() -> None:
        async with scripted_conversation(turns={"mode": "server_vad", "silence_ms": 200}) as user:
            await user.speak(400)
            await user.session.send(Configure(patch={"turns": {"mode": "manual"}}))
            await user.until(UserTurn, phase="discarded")

    run_in_virtual_time(main())
