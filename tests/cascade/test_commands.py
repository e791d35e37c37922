"""Each command does what the contract says, and is settled exactly once."""

from __future__ import annotations

import asyncio

import pytest

import voicebridge
from voicebridge.contract.commands import (
    Configure,
    DiscardTurn,
    EndTurn,
    ProviderCommand,
    Respond,
    SendAudio,
    SendText,
    SendToolResult,
)
from voicebridge.contract.config import Tool
from voicebridge.contract.events import (
    CommandSettled,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UsageReported,
    UserTurn,
)
from voicebridge.contract.items import MessageItem, ToolCallItem, ToolResultItem
from voicebridge.contract.stages import Prompt, ToolRequest, Usage
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import scripted_conversation


def test_text_turn_and_context_note() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Fine."])
        async with scripted_conversation(llm=llm, instructions="Be kind.") as user:
            note = SendText(text="The caller is Ann.", role="system", respond=False)
            question = SendText(text="How are you?")
            await user.session.send(note)
            await user.session.send(question)
            ended = await user.until(ResponseEnded)
            assert ended.status == "completed"
            assert [e.command_id for e in user.all(CommandSettled)] == [note.id, question.id]
            (started,) = user.all(ResponseStarted)
            assert (started.cause, started.answers) == ("request", (question.id,))
            (prompt,) = llm.prompts
            assert prompt.instructions == "Be kind."
            assert prompt.items == (
                MessageItem(role="system", text="The caller is Ann."),
                MessageItem(role="user", text="How are you?"),
            )

    run_in_virtual_time(main())


def test_respond_says_verbatim_adds_instructions_and_stays_aside() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Indeed."])
        async with scripted_conversation(llm=llm, instructions="Be kind.") as user:
            await user.session.send(Respond(say="Welcome to the bank."))
            await user.until(ResponseEnded)
            assert "".join(e.delta for e in user.all(OutputText)) == "Welcome to the bank."
            assert not llm.prompts
            await user.session.send(Respond(instructions="Rhyme.", aside=True, modality="text"))
            await user.until(ResponseEnded, count=2)
            assert llm.prompts[0].instructions == "Be kind.\nRhyme."
            assert user.all(OutputText, response_id="r2")[0].kind == "text"
            assert not user.all(OutputAudio, response_id="r2")
            assert user.all(ResponseStarted)[1].aside
            await user.session.send(Respond())
            await user.until(ResponseEnded, count=3)
            assert llm.prompts[1].items == (MessageItem(role="assistant", text="Welcome to the bank."),)

    run_in_virtual_time(main())


def test_requests_are_held_and_merged_while_a_response_runs() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel(["One."], first_s=1.0)) as user:
            first, second, third = Respond(), Respond(), Respond()
            for command in (first, second, third):
                await user.session.send(command)
            await user.until(ResponseEnded, count=2)
            await user.pause(3000)
            assert [e.answers for e in user.all(ResponseStarted)] == [(first.id,), (second.id, third.id)]
            assert sorted(e.command_id for e in user.all(CommandSettled)) == sorted([first.id, second.id, third.id])

    run_in_virtual_time(main())


def weather(prompt: Prompt) -> list[str | ToolRequest]:
    results = [item for item in prompt.items if isinstance(item, ToolResultItem)]
    if results:
        return [f"It is {' and '.join(r.output for r in results)}."]
    return ["Let me see.", ToolRequest("k1", "weather", '{"city": "Bonn"}'), ToolRequest("k2", "time", "{}")]


def test_tool_round_answers_once_all_calls_are_answered() -> None:
    async def main() -> None:
        llm = ScriptedModel(weather)
        tool = Tool(name="weather", description="The weather in a city.")
        async with scripted_conversation(llm=llm, tools=[tool]) as user:
            await user.session.send(SendText(text="And the weather?"))
            await user.until(ResponseEnded)
            calls = user.all(ToolCall)
            assert [(c.call_id, c.name, c.arguments, c.response_id) for c in calls] == [
                ("k1", "weather", '{"city": "Bonn"}', "r1"),
                ("k2", "time", "{}", "r1"),
            ]
            await user.session.send(SendToolResult(call_id="k1", output="sunny"))
            await user.pause(500)
            assert len(user.all(ResponseStarted)) == 1
            last = SendToolResult(call_id="k2", output="noon")
            await user.session.send(last)
            await user.until(ResponseEnded, count=2)
            started = user.all(ResponseStarted)[1]
            assert started.cause == "tool"
            assert last.id in started.answers
            assert "".join(e.delta for e in user.all(OutputText, response_id="r2")) == "It is sunny and noon."
            assert llm.prompts[0].tools == (tool,)
            kinds = [type(item) for item in llm.prompts[1].items]
            assert kinds == [MessageItem, MessageItem, ToolCallItem, ToolCallItem, ToolResultItem, ToolResultItem]
            again = SendToolResult(call_id="k2", output="noon")
            await user.session.send(again)
            assert (await user.until(CommandSettled, command_id=again.id)).fault.code == "unknown_call"

    run_in_virtual_time(main())


def test_a_tool_result_may_come_while_the_calling_response_still_runs() -> None:
    async def main() -> None:
        def script(prompt: Prompt) -> list[str | ToolRequest]:
            if any(isinstance(item, ToolResultItem) for item in prompt.items):
                return ["Done."]
            return [ToolRequest("k1", "go", "{}"), "Meanwhile, wait."]

        async with scripted_conversation(llm=ScriptedModel(script, piece_s=2.0)) as user:
            await user.session.send(SendText(text="go"))
            await user.until(ToolCall)
            await user.session.send(SendToolResult(call_id="k1", output="ok"))
            await user.until(ResponseEnded, count=2)
            kinds = [type(e).__name__ for e in user.events if isinstance(e, (ResponseStarted, ResponseEnded))]
            assert kinds == ["ResponseStarted", "ResponseEnded"] * 2

    run_in_virtual_time(main())


def test_a_tool_result_does_not_make_the_agent_talk_over_the_user() -> None:
    async def main() -> None:
        def script(prompt: Prompt) -> list[str | ToolRequest]:
            if any(isinstance(item, ToolResultItem) for item in prompt.items):
                return ["Both done."]
            return [ToolRequest("k1", "go", "{}")]

        llm = ScriptedModel(script)
        async with scripted_conversation(llm=llm) as user:
            await user.session.send(SendText(text="go"))
            await user.until(ResponseEnded)
            await user.speak(400)
            result = SendToolResult(call_id="k1", output="ok")
            await user.session.send(result)
            await user.speak(1000)
            assert len(user.all(ResponseStarted)) == 1
            started = await user.until(ResponseStarted, count=2)
            assert (started.cause, started.answers) == ("user", (result.id, "t1"))
            await user.until(ResponseEnded, count=2)
            await user.pause(1000)
            assert len(user.all(ResponseStarted)) == 2

    run_in_virtual_time(main())


def test_what_waited_for_the_user_starts_when_the_turn_was_only_noise() -> None:
    async def main() -> None:
        def script(prompt: Prompt) -> list[str | ToolRequest]:
            results = any(isinstance(item, ToolResultItem) for item in prompt.items)
            return ["Done."] if results else [ToolRequest("k1", "go", "{}")]

        async with scripted_conversation(llm=ScriptedModel(script), stt=ScriptedRecogniser([""])) as user:
            await user.session.send(SendText(text="go"))
            await user.until(ResponseEnded)
            await user.speak(400)
            await user.session.send(SendToolResult(call_id="k1", output="ok"))
            started = await user.until(ResponseStarted, count=2)
            assert started.cause == "tool"
            assert user.all(UserTurn)[-1].phase == "discarded"

    run_in_virtual_time(main())


def test_push_to_talk() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["first", "second"])
        async with scripted_conversation(stt=stt, turns={"mode": "manual"}) as user:
            nothing = EndTurn()
            await user.session.send(nothing)
            assert (await user.until(CommandSettled)).fault.code == "empty_turn"
            await user.speak(400)
            await user.pause(1000)
            assert [t.phase for t in user.all(UserTurn)] == ["speech"]
            end = EndTurn()
            await user.session.send(end)
            await user.session.send(SendAudio(pcm=b"\x00\x20" * 320))
            await user.session.send(DiscardTurn())
            await asyncio.sleep(1)
            assert [e.answers for e in user.all(ResponseStarted)] == [(end.id, "t1")]
            assert [(t.turn_id, t.phase, t.source) for t in user.all(UserTurn, turn_id="t1")] == [
                ("t1", "speech", "client"),
                ("t1", "committed", "client"),
            ]
            assert user.all(InputTranscript, final=True)[0].text == "first"
            settled = user.all(CommandSettled, command_id=end.id)[0]
            assert user.events.index(settled) == user.events.index(user.all(UserTurn, phase="committed")[0]) + 1
            assert user.all(UserTurn, turn_id="t2")[-1].phase == "discarded"
            assert stt.heard_bytes[0] == 32 * (20 + 400 + 1000)  # `until` sent a frame of silence

    run_in_virtual_time(main())


def test_configure_changes_what_the_next_response_is_made_with() -> None:
    async def main() -> None:
        llm, tts = ScriptedModel(["Fine."]), ScriptedVoice()
        async with scripted_conversation(llm=llm, tts=tts, instructions="Old.") as user:
            tools = [{"name": "now"}]
            change = Configure(
                patch={"instructions": "New.", "voice": "amy", "tools": tools, "turns": {"silence_ms": 400}}
            )
            await user.session.send(change)
            assert (await user.until(CommandSettled)).fault is None
            last = await user.speak(500)
            started = await user.until(ResponseStarted)
            assert started.at - last == pytest.approx(0.4)
            assert llm.prompts[-1].instructions == "New."
            assert [tool.name for tool in llm.prompts[-1].tools] == ["now"]
            assert tts.config is not None
            assert tts.config.voice == "amy"

    run_in_virtual_time(main())


def test_configure_of_what_cannot_change_is_refused_before_anything_is_done() -> None:
    async def main() -> None:
        async with scripted_conversation() as user:
            with pytest.raises(voicebridge.ConfigError, match="input_format"):
                await user.session.send(Configure(patch={"input_format": "x"}))
            with pytest.raises(voicebridge.BadOption, match="speed"):
                await user.session.send(Configure(patch={"speed": 99}))
            with pytest.raises(voicebridge.Unsupported, match="ProviderCommand"):
                await user.session.send(ProviderCommand(payload={}))
            with pytest.raises(voicebridge.Unsupported, match="image"):
                await user.session.send(SendText(text="see", images=("data:,",)))
            await user.pause(100)
            assert not user.all(CommandSettled)

    run_in_virtual_time(main())


def test_usage_names_the_seat_and_comes_before_the_end() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Fine.", Usage({"output_tokens": 2})])
        async with scripted_conversation(llm=llm) as user:
            await user.session.send(SendText(text="hi"))
            await user.until(ResponseEnded)
            (usage,) = user.all(UsageReported)
            assert (usage.units, usage.model, usage.response_id) == ({"output_tokens": 2}, "custom", "r1")
            assert user.events.index(usage) < user.events.index(user.all(ResponseEnded)[0])

    run_in_virtual_time(main())


def test_history_seeds_the_prompt() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Ann."])
        before = [MessageItem(role="user", text="I am Ann."), MessageItem(role="assistant", text="Hello Ann.")]
        async with scripted_conversation(llm=llm, history=before) as user:
            await user.session.send(SendText(text="Who am I?"))
            await user.until(OutputHeard)
            assert list(llm.prompts[0].items) == [*before, MessageItem(role="user", text="Who am I?")]

    run_in_virtual_time(main())


def test_odd_bytes_are_carried() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["hello"])
        async with scripted_conversation(stt=stt, turns={"mode": "manual"}) as user:
            pcm = b"\x00\x20" * 16_000
            for start in range(0, len(pcm), 333):
                await user.session.send(SendAudio(pcm=pcm[start : start + 333]))
            await user.session.send(EndTurn())
            await user.until(InputTranscript, final=True)
            assert stt.heard_bytes[0] == len(pcm)

    run_in_virtual_time(main())


def test_half_a_character_in_instructions_and_words_to_say_spoils_nothing() -> None:
    async def main() -> None:
        llm, tts = ScriptedModel(["Hi."]), ScriptedVoice()
        async with scripted_conversation(llm=llm, tts=tts) as user:
            await user.session.send(Configure(patch={"instructions": "Be brief \ud83d."}))
            await user.session.send(Respond(instructions="In French \udc00."))
            await user.until(ResponseEnded)
            await user.session.send(Respond(say="Half \ud83d, whole \U0001f600."))
            ended = await user.until(ResponseEnded, count=2)
            assert llm.prompts[0].instructions == "Be brief ?.\nIn French ?."
            assert ended.status == "completed"
            said = "".join(event.delta for event in user.all(OutputText, response_id=ended.response_id))
            assert said == "Half ?, whole \U0001f600."

    run_in_virtual_time(main())
