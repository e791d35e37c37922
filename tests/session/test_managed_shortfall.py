"""A backend that takes over and can do less than the one before: it is told, and what can be made up for is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, ReportPlayed, Respond, SendAudio, SendText, SendToolResult
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    OutputAudio,
    OutputText,
    ResponseEnded,
    SessionReady,
    SessionRestarted,
    ToolCall,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend, ScriptedSession

from .managed_call import call, virtually

TOOL = {"name": "look_up"}
GONE = Fault(category="quota", code="gone", message="There is no money left.")
RESULT = "You had called look_up({}) before. Its result is: 42"


class Forgetful(ScriptedBackend):
    """Can be started with what its capabilities say, and no more."""

    def __init__(self, *replies: Any, **can: Any) -> None:
        super().__init__(*replies or ("The answer is 42.",), capabilities=replace(SCRIPTED_CAPABILITIES, **can))

    @asynccontextmanager
    async def connect(
        self, config: SessionConfig, history: Sequence[Item] = (), resume: str | None = None
    ) -> AsyncIterator[ScriptedSession]:
        seed = self.capabilities.seed
        kept = [item for item in history if ("text" if isinstance(item, MessageItem) else "tools") in seed]
        async with super().connect(config, kept, resume) as session:
            yield session

    @property
    def got(self) -> list[Command]:
        """What the last connection was sent, without audio."""
        return [one for one in self.sessions[-1].received if not isinstance(one, SendAudio | ReportPlayed)]


TEXT_ONLY: frozenset[Any] = frozenset({"text", "instructions"})
KNOWS_NO_CALLS: dict[str, Callable[[], Forgetful]] = {
    "no calls in its seed": lambda: Forgetful(seed=TEXT_ONLY),
    "no tools": lambda: Forgetful(seed=TEXT_ONLY, tools="none"),
}


def calling(count: int = 1) -> ScriptedBackend:
    """Calls a tool, and is gone a second later."""
    return ScriptedBackend(Reply(calls=(Call("look_up"),) * count), moments=[(1.0, GONE)])


@pytest.mark.parametrize("kind", KNOWS_NO_CALLS)
@virtually
async def test_a_late_result_becomes_a_note_that_is_answered(kind: str) -> None:
    fallback = KNOWS_NO_CALLS[kind]()
    async with call(calling(), fallback, tools=[TOOL]) as user:
        await user.session.send(SendText(text="Look it up."))
        await user.until(SessionRestarted)
        result = SendToolResult(call_id=user.all(ToolCall)[0].call_id, output="42")
        await user.session.send(result)
        await user.until(ResponseEnded, count=2, status="completed")
        assert [one for one in fallback.got if isinstance(one, SendToolResult)] == []
        [note] = [one for one in fallback.got if isinstance(one, SendText)]
        assert (note.text, note.role, note.respond) == (RESULT, "system", True)
        assert [one.fault for one in user.all(CommandSettled, command_id=result.id)] == [None]
        assert user.said()[-1] == "The answer is 42."


@virtually
async def test_of_several_late_results_the_last_one_is_answered() -> None:
    fallback = Forgetful(seed=TEXT_ONLY)
    async with call(calling(3), fallback, tools=[TOOL]) as user:
        await user.session.send(SendText(text="Look it up."))
        await user.until(SessionRestarted)
        for made in user.all(ToolCall):
            await user.session.send(SendToolResult(call_id=made.call_id, output="42"))
        await user.pause(3000)
        notes = [one for one in fallback.got if isinstance(one, SendText)]
        assert [note.respond for note in notes] == [False, False, True]
        assert user.said() == ["The answer is 42."]


@virtually
async def test_a_late_failure_and_one_that_nobody_answers() -> None:
    fallback = Forgetful(seed=TEXT_ONLY)
    async with call(calling(), fallback, tools=[TOOL]) as user:
        await user.session.send(SendText(text="Look it up."))
        await user.until(SessionRestarted)
        call_id = user.all(ToolCall)[0].call_id
        await user.session.send(SendToolResult(call_id=call_id, output="no line", is_error=True, respond=False))
        await user.pause(3000)
        [note] = fallback.got
        assert isinstance(note, SendText)
        assert (note.text, note.respond) == ("You had called look_up({}) before. It failed: no line", False)


@virtually
async def test_a_function_that_outlives_the_connection_is_answered_too() -> None:
    import asyncio

    async def look_up() -> str:
        """Look it up."""
        await asyncio.sleep(2)
        return "42"

    fallback = Forgetful(seed=TEXT_ONLY)
    async with call(calling(), fallback, tools=[look_up]) as user:
        await user.session.send(SendText(text="Look it up."))
        await user.until(ResponseEnded, count=2, status="completed")
        assert [one.text for one in fallback.got if isinstance(one, SendText)] == [RESULT]
        assert user.said() == ["The answer is 42."]


@virtually
async def test_the_calls_of_the_connection_itself_are_answered_as_ever() -> None:
    fallback = Forgetful(Reply(calls=(Call("look_up"),)), "Here it is.", seed=TEXT_ONLY)
    async with call(calling(), fallback, tools=[TOOL]) as user:
        await user.until(SessionRestarted)
        await user.session.send(SendText(text="Look it up."))
        made = await user.until(ToolCall)
        await user.session.send(SendToolResult(call_id=made.call_id, output="42"))
        await user.until(ResponseEnded, count=2, status="completed")
        assert isinstance(fallback.got[-1], SendToolResult)
        assert user.said() == ["Here it is."]


LESS: dict[str, tuple[dict[str, Any], str]] = {
    "tools": ({"tools": "none"}, "it calls no tools."),
    "voice": ({"outputs": frozenset({"text"})}, "it answers in writing only."),
    "verb": ({"respond": frozenset()}, "it can't be asked for a response."),
    "memory": ({"seed": frozenset(), "context": "none"}, "it does not know what was said before."),
    "ears": ({"inputs": frozenset({"text"})}, "it does not hear the user."),
    "stop": ({"interrupt": frozenset({"auto", "auto_off"})}, "it can't be stopped by command."),
    "two": ({"tools": "none", "respond": frozenset()}, "it calls no tools, can't be asked for a response."),
    "nothing": ({"alignment": "none", "truncate": "none"}, ""),
}


@pytest.mark.parametrize("kind", LESS)
@virtually
async def test_what_it_can_not_do_is_told_once(kind: str) -> None:
    can, words = LESS[kind]
    first = ScriptedBackend("Hello.", moments=[(2.0, GONE)])
    async with call(first, Forgetful(**can), tools=[TOOL], hears="ears" not in kind) as user:
        await user.session.send(SendText(text="Hi."))
        restarted = await user.wait(SessionRestarted)
        told = [one for one in user.all(BackendError) if not one.fatal]
        assert [one.fault.code for one in told] == ["can_do_less"] * bool(words)
        assert not words or told[0].fault.message.endswith(words)
        assert restarted.carried == ("none" if kind == "memory" else "text")


@virtually
async def test_a_spare_backend_at_the_beginning_tells_it_as_well() -> None:
    class Refusing(ScriptedBackend):
        @asynccontextmanager
        async def connect(self, *args: Any, **more: Any) -> AsyncIterator[Any]:
            raise ConnectionResetError("no")
            yield

    async with call(Refusing("Never."), Forgetful(tools="none"), tools=[TOOL]) as user:
        await user.until(SessionReady)
        await user.pause(200)
        assert "can_do_less" in [one.fault.code for one in user.all(BackendError)]


@virtually
async def test_one_that_can_not_be_started_with_a_conversation_is_told_of_it() -> None:
    fallback = Forgetful(seed=frozenset())
    async with call(ScriptedBackend("Hello Ada.", moments=[(2.0, GONE)]), fallback) as user:
        await user.session.send(SendText(text="I am Ada."))
        restarted = await user.until(SessionRestarted)
        assert restarted.carried == "text"
        await user.pause(200)
        [note] = fallback.got
        assert isinstance(note, SendText)
        assert note.text == "What was said before:\nuser: I am Ada.\nassistant: Hello Ada."
        assert (note.role, note.respond) == ("system", False)
        assert not user.all(BackendError)


@pytest.mark.parametrize(
    ("can", "kind"), [({}, Respond), ({"respond": frozenset()}, SendText)], ids=["by a verb", "by a text"]
)
@virtually
async def test_the_answer_that_is_owed_is_asked_for(can: dict[str, Any], kind: type[Command]) -> None:
    slow = ScriptedBackend(Reply("Never heard.", wait_s=5.0), moments=[(2.0, GONE)])
    fallback = Forgetful(**can)
    async with call(slow, fallback) as user:
        await user.session.send(SendText(text="What is it?"))
        await user.until(ResponseEnded, status="completed")
        assert [type(one) for one in fallback.got] == [kind]
        assert user.said() == ["The answer is 42."]


@virtually
async def test_one_that_only_writes_goes_on_in_writing() -> None:
    first = ScriptedBackend("Hello.", moments=[(2.0, GONE)])
    can: Capabilities = replace(SCRIPTED_CAPABILITIES, outputs=frozenset({"text"}))
    async with call(first, ScriptedBackend("In writing.", capabilities=can), output_format=DOOR_FORMAT) as user:
        await user.until(SessionRestarted)
        await user.session.send(SendText(text="Hi."))
        await user.until(ResponseEnded, status="completed")
        assert [one.kind for one in user.all(OutputText)][-1] == "text"
        assert not user.all(OutputAudio)
