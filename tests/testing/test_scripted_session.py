"""The scripted session does what its script says; that it keeps the promises of all sessions, contract/ shows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import Configure, EndTurn, Respond, SendAudio, SendText, SendToolResult
from voicebridge.contract.errors import BadOption, SessionFailed, Unsupported
from voicebridge.contract.events import (
    CommandSettled,
    InputTranscript,
    OutputAudio,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionNotice,
    ToolCall,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolCallItem
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.script import SCRIPTED_CAPABILITIES, Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend
from voicebridge.testing.user import User

BUSY = Fault(category="busy", message="Too many calls.", retryable=True)
LOST = Fault(category="network", message="The server went away.", retryable=True)


def test_replies_follow_each_other_and_the_last_one_repeats() -> None:
    async def main() -> list[str]:
        backend = ScriptedBackend("One.", Reply("Two, two.", wait_s=0.5, word_s=0.25))
        async with voicebridge.connect_raw(backend) as session:
            user = User(session)
            said = []
            for count in range(1, 4):
                await session.send(SendText(text="go on"))
                ended = await user.until(ResponseEnded, count)
                said.append("".join(e.delta for e in user.all(OutputText, response_id=ended.response_id)))
            started = user.all(ResponseStarted)[1]
            assert user.all(ResponseEnded)[1].at - started.at == pytest.approx(0.75)
            await user.done()
        return said

    assert run_in_virtual_time(main()) == ["One.", "Two, two.", "Two, two."]


def test_a_function_answers_from_the_conversation() -> None:
    def answer(items: tuple[Item, ...]) -> str:
        last = items[-1]
        assert isinstance(last, MessageItem)
        return f"{last.text} again"

    async def main() -> None:
        async with voicebridge.connect_raw(ScriptedBackend(answer, user=["my words"])) as session:
            user = User(session)
            await user.session.send(SendAudio(pcm=bytes(DOOR_FORMAT.size(200))))
            await user.session.send(EndTurn())
            await user.until(ResponseEnded)
            assert "".join(e.delta for e in user.all(OutputText)) == ""
            await user.done()

    with pytest.raises(AssertionError, match="no ResponseEnded"):  # silence opens no turn
        run_in_virtual_time(main())

    async def spoken() -> str:
        async with voicebridge.connect_raw(ScriptedBackend(answer, user=["my words"])) as session:
            user = User(session)
            await user.speak(300)
            await user.until(ResponseEnded)
            assert [e.text for e in user.all(InputTranscript)] == ["my words"]
            await user.done()
            return "".join(e.delta for e in user.all(OutputText))

    assert run_in_virtual_time(spoken()) == "my words again"


def test_calls_faults_and_moments() -> None:
    async def main() -> None:
        backend = ScriptedBackend(
            Reply("Let me see.", calls=(Call("look_up", '{"city": "Paris"}'),)),
            Reply("Sunny.", fault=BUSY),
            faults={Configure: BUSY},
            moments=[(5, SessionNotice(expires_in_s=60)), (6, Reply("Are you there?")), (9, LOST)],
        )
        async with voicebridge.connect_raw(backend) as session:
            user = User(session)
            await session.send(SendText(text="weather?"))
            call = await user.until(ToolCall)
            await user.session.send(SendToolResult(call_id=call.call_id, output="sunny"))
            ended = await user.until(ResponseEnded, 2)
            assert (ended.status, ended.fault) == ("failed", BUSY)
            await user.session.send(change := Configure(patch={"instructions": "Be kind."}))
            assert (await user.until(CommandSettled, command_id=change.id)).fault == BUSY
            assert (await user.until(SessionNotice)).at == pytest.approx(5)
            assert (await user.until(ResponseStarted, 3)).cause == "spontaneous"
            await asyncio.sleep(5)
            assert isinstance(user.failure, SessionFailed)
            assert user.failure.fault == LOST
            assert backend.sessions[0].conversation[0] == MessageItem(role="user", text="weather?")
            assert isinstance(backend.sessions[0].received[0], SendText)

    run_in_virtual_time(main())


def test_capabilities_can_be_taken_away() -> None:
    async def main() -> None:
        poor = replace(SCRIPTED_CAPABILITIES, respond=frozenset(), turns=frozenset({"manual"}), context="none")
        backend = ScriptedBackend(capabilities=poor)
        async with voicebridge.connect_raw(backend) as session:
            with pytest.raises(Unsupported, match="can't be asked"):
                await session.send(Respond())
            with pytest.raises(Unsupported, match="no notes"):
                await session.send(SendText(text="x", respond=False))
        with pytest.raises(Unsupported, match="server_vad"):
            async with voicebridge.connect_raw(backend, turns={"mode": "server_vad"}):
                pass
        with pytest.raises(BadOption, match="no option 'speed_of_light'"):
            async with voicebridge.connect_raw(backend, speed_of_light=1):
                pass

    run_in_virtual_time(main())


@pytest.mark.parametrize(
    "less",
    [
        {"inputs": frozenset({"text"}), "formats_in": ()},
        {"inputs": frozenset({"text"}), "turns": frozenset(), "formats_in": ()},
        {"outputs": frozenset({"text"}), "alignment": "none", "formats_out": ()},
        {"turns": frozenset({"semantic"})},
    ],
)
def test_a_script_may_lack_a_voice_ears_or_a_way_to_find_turns(less: dict[str, Any]) -> None:
    async def main() -> None:
        async with voicebridge.connect_raw(
            ScriptedBackend("Hello.", capabilities=replace(SCRIPTED_CAPABILITIES, **less))
        ) as session:
            await session.send(SendText(text="Good morning."))
            async for event in session:
                if isinstance(event, ResponseEnded):
                    assert event.status == "completed"
                    break

    run_in_virtual_time(main())


def test_sessions_begin_at_the_beginning_of_the_script() -> None:
    async def main() -> list[str]:
        backend, said = ScriptedBackend("One.", "Two."), []
        for _ in range(2):
            async with voicebridge.connect_raw(backend) as session:
                user = User(session)
                await session.send(Respond())
                await user.until(ResponseEnded)
                assert user.all(OutputAudio)
                said += [e.delta for e in user.all(OutputText)]
                await user.done()
        return said

    assert run_in_virtual_time(main()) == ["One.", "One."]


def test_a_call_of_the_history_may_still_be_answered() -> None:
    async def main() -> None:
        said = (MessageItem(role="user", text="weather?"), ToolCallItem(call_id="k", name="look_up", arguments="{}"))
        async with voicebridge.connect_raw(ScriptedBackend("Sunny."), history=said) as session:
            user = User(session)
            await session.send(result := SendToolResult(call_id="k", output="sunny"))
            assert (await user.until(ResponseStarted)).answers == (result.id,)
            assert (await user.until(CommandSettled, command_id=result.id)).fault is None

    run_in_virtual_time(main())
