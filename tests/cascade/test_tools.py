"""Tool calls of a cascade: answered together, paired in the prompt, and never of an aside's business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicebridge.contract.commands import Interrupt, Respond, SendText, SendToolResult
from voicebridge.contract.config import Tool
from voicebridge.contract.errors import Unsupported
from voicebridge.contract.events import CommandSettled, OutputText, ResponseEnded, ResponseStarted, ToolCall
from voicebridge.contract.items import MessageItem, ToolCallItem, ToolResultItem
from voicebridge.contract.stages import LanguageModelTraits, Prompt, ToolRequest
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel
from voicebridge.testing.user import scripted_conversation


class Caller(ScriptedModel):
    """Calls a tool at each of these seconds in its first answer; says "ok." in the others."""

    def __init__(self, *calls: tuple[str, float]) -> None:
        super().__init__([])
        self._calls = calls

    async def respond(self, prompt: Prompt) -> AsyncIterator[Any]:
        self.prompts.append(prompt)
        if len(self.prompts) > 1:
            yield "ok."
            return
        for call_id, wait_s in self._calls:
            await asyncio.sleep(wait_s)
            yield ToolRequest(call_id, "f", "{}")


def test_a_result_before_the_last_call_waits_for_the_others() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=Caller(("a", 0), ("b", 1))) as user:
            await user.session.send(SendText(text="q"))
            await user.until(ToolCall)
            await user.session.send(first := SendToolResult(call_id="a", output="1"))
            await user.until(ToolCall, count=2)
            await user.pause(2000)
            assert [e.fault for e in user.all(CommandSettled, command_id=first.id)] == [None], "settled at once"
            assert len(user.all(ResponseStarted)) == 1
            await user.session.send(second := SendToolResult(call_id="b", output="2"))
            started = await user.until(ResponseStarted, count=2)
            assert (started.cause, started.answers) == ("tool", (first.id, second.id))
            await user.pause(2000)
            assert len(user.all(ResponseStarted)) == 2

    run_in_virtual_time(main())


def test_results_of_all_calls_before_the_response_ends_are_answered_after_it() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=Caller(("a", 0), ("b", 1), ("c", 1))) as user:
            await user.session.send(SendText(text="q"))
            for count, call_id in enumerate("abc", 1):
                await user.until(ToolCall, count=count)
                await user.session.send(SendToolResult(call_id=call_id, output="1"))
            await user.until(ResponseEnded, count=2)
            kinds = [type(e).__name__ for e in user.events if isinstance(e, ResponseStarted | ResponseEnded)]
            assert kinds == ["ResponseStarted", "ResponseEnded"] * 2
            assert len(user.all(ResponseStarted)[1].answers) == 3

    run_in_virtual_time(main())


def test_a_call_without_a_result_leaves_no_hole_in_the_prompt() -> None:
    async def main() -> None:
        llm = Caller(("a", 0))
        async with scripted_conversation(llm=llm) as user:
            await user.session.send(SendText(text="q"))
            await user.until(ToolCall)
            await user.speak(500)
            await user.until(ResponseStarted, count=2)
            question, call, result, words = llm.prompts[1].items
            assert isinstance(question, MessageItem)
            assert isinstance(call, ToolCallItem)
            assert isinstance(result, ToolResultItem)
            assert (result.call_id, result.output) == ("a", "The tool is still working; its result will follow.")
            assert words == MessageItem(role="user", text="hello there")
            await user.session.send(SendToolResult(call_id="a", output="42"))
            started = await user.until(ResponseStarted, count=3)
            assert started.cause == "tool"
            results = [item for item in llm.prompts[2].items if isinstance(item, ToolResultItem)]
            assert results == [ToolResultItem(call_id="a", output="42")], "it takes the place of the note"

    run_in_virtual_time(main())


def test_an_aside_gets_no_tools_and_leaves_no_call_behind() -> None:
    async def main() -> None:
        llm = Caller(("a", 0))
        async with scripted_conversation(llm=llm, tools=[Tool(name="f")]) as user:
            await user.session.send(Respond(aside=True))
            await user.until(ResponseEnded)
            assert llm.prompts[0].tools == ()
            await user.session.send(SendText(text="q"))
            await user.until(ResponseEnded, count=2)
            assert llm.prompts[1].items == (MessageItem(role="user", text="q"),)
            assert [tool.name for tool in llm.prompts[1].tools] == ["f"]

    run_in_virtual_time(main())


def test_a_response_that_was_interrupted_still_takes_its_results() -> None:
    async def main() -> None:
        llm = Caller(("a", 0), ("b", 10))
        async with scripted_conversation(llm=llm) as user:
            await user.session.send(SendText(text="q"))
            await user.until(ToolCall)
            await user.session.send(Interrupt())
            await user.session.send(result := SendToolResult(call_id="a", output="42"))
            started = await user.until(ResponseStarted, count=2)
            assert (started.cause, started.answers) == ("tool", (result.id,))
            await user.until(ResponseEnded, count=2)
            assert "".join(e.delta for e in user.all(OutputText)) == "ok."
            assert ToolResultItem(call_id="a", output="42") in llm.prompts[1].items

    run_in_virtual_time(main())


def test_a_result_for_a_model_without_tools_is_refused() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."], traits=LanguageModelTraits())
        async with scripted_conversation(llm=llm) as user:
            with pytest.raises(Unsupported, match="calls no tools"):
                await user.session.send(SendToolResult(call_id="a", output="42"))

    run_in_virtual_time(main())


def test_half_a_character_does_not_spoil_the_conversation() -> None:
    async def main() -> None:
        llm = Caller(("a", 0))
        async with scripted_conversation(llm=llm) as user:
            await user.session.send(SendText(text="half \ud83d, whole \U0001f600"))
            await user.until(ToolCall)
            await user.session.send(SendToolResult(call_id="a", output="\udc00"))
            await user.until(ResponseEnded, count=2)
            question, _, result = llm.prompts[1].items
            assert question == MessageItem(role="user", text="half ?, whole \U0001f600")
            assert result == ToolResultItem(call_id="a", output="?")

    run_in_virtual_time(main())


def test_a_call_of_the_history_may_still_be_answered() -> None:
    async def main() -> None:
        said = (MessageItem(role="user", text="q"), ToolCallItem(call_id="a", name="f", arguments="{}"))
        llm = ScriptedModel(["Sunny."])
        async with scripted_conversation(llm=llm, history=said) as user:
            await user.session.send(result := SendToolResult(call_id="a", output="42"))
            started = await user.until(ResponseStarted)
            assert (started.cause, started.answers) == ("tool", (result.id,))
            assert [e.fault for e in user.all(CommandSettled)] == [None]
            assert llm.prompts[0].items == (*said, ToolResultItem(call_id="a", output="42"))

    run_in_virtual_time(main())
