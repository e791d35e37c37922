"""The scripted user: what it sends, and that a conversation which breaks a promise fails the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt, ReportPlayed, Respond, SendAudio
from voicebridge.contract.errors import Unsupported
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedRecogniser
from voicebridge.testing.user import User, scripted_conversation
from voicebridge.transport.delivery import Delivery


class Puppet:
    """A session that yields what it is told to."""

    capabilities = Capabilities()

    def __init__(self) -> None:
        self.delivery = Delivery(DOOR_FORMAT, asyncio.get_running_loop().time)
        self.sent: list[Command] = []

    async def send(self, command: Command) -> None:
        self.sent.append(command)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self.delivery

    async def aclose(self) -> None:
        self.delivery.end()


def play(*script: Command | Event) -> None:
    """Commands go to a session that does nothing by itself, events come from it; then the user looks back."""

    async def main() -> None:
        puppet = Puppet()
        user = User(puppet)
        for line in script:
            if isinstance(line, Command):
                await user.session.send(line)
            else:
                puppet.delivery.put(line)
                await asyncio.sleep(0)
        await user.done()
        user.check()

    run_in_virtual_time(main())


def started(response_id: str = "r1") -> Event:
    return ResponseStarted(response_id=response_id, cause="request")


def audio(response_id: str = "r1") -> Event:
    return OutputAudio(response_id=response_id, pcm=bytes(480), offset_ms=0)


def ended(response_id: str = "r1", status: Any = "completed") -> Event:
    return ResponseEnded(response_id=response_id, status=status)


def settled(command_id: str) -> Event:
    return CommandSettled(command_id=command_id)


def test_a_conversation_that_keeps_its_promises() -> None:
    play(
        SendAudio(pcm=b""),
        Respond(id="a"),
        settled("a"),
        started(),
        audio(),
        Respond(id="b"),
        Interrupt(id="c"),
        ReportPlayed(response_id="r1", ms=5),
        settled("b"),
        settled("c"),
        ended(status="interrupted"),
        started("r2"),
        audio("r2"),
        ended("r2"),
    )
    play()


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ([Respond(id="a")], "a was settled 0 times, not 1"),
        ([Respond(id="a"), settled("a"), settled("a")], "a was settled 2 times, not 1"),
        ([settled("b")], "b was settled 1 times, not 0"),
        ([SendAudio(id="a", pcm=b""), settled("a")], "a was settled 1 times, not 0"),
        ([started()], "r1 never ended"),
        ([started(), started("r2"), ended()], "r2 never ended"),
        ([ended()], "r1 ended without running"),
        ([started(), ended(), ended()], "r1 ended without running"),
        ([started(), ended(), started(), ended()], "r1 started twice"),
        ([started(), ended(status="interrupted"), audio()], "audio of r1, which does not run"),
        ([audio(), started(), ended()], "audio of r1, which does not run"),
    ],
)
def test_broken_promises(script: list[Command | Event], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        play(*script)


@pytest.mark.parametrize("times", [0, 1])
def test_a_command_whose_sending_was_cancelled_may_have_been_sent(times: int) -> None:
    async def main() -> None:
        puppet = Puppet()
        user = User(puppet)
        puppet.send = lambda command: asyncio.sleep(99)  # type: ignore[method-assign]  # there is no room
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await user.session.send(Respond(id="a"))
        for _ in range(times):
            puppet.delivery.put(settled("a"))
        await user.done()
        user.check()

    run_in_virtual_time(main())


def test_a_command_that_was_refused_need_not_be_settled() -> None:
    async def main() -> None:
        puppet = Puppet()
        user = User(puppet)

        async def refuse(command: Command) -> None:
            raise Unsupported("No.")

        puppet.send = refuse  # type: ignore[method-assign]  # the refusal under test
        with pytest.raises(Unsupported):
            await user.session.send(Respond())
        await user.done()
        user.check()

    run_in_virtual_time(main())


def test_a_leaked_task_fails_the_conversation() -> None:
    async def main() -> None:
        leaked = None
        with pytest.raises(AssertionError, match="left behind"):
            async with scripted_conversation():
                leaked = asyncio.create_task(asyncio.sleep(99), name="left behind")
        assert leaked
        leaked.cancel()

    run_in_virtual_time(main())


def test_a_failed_test_is_not_covered_up_by_the_check() -> None:
    async def main() -> None:
        conversation = scripted_conversation()
        user = await conversation.__aenter__()
        user.events.append(started("r99"))
        assert not await conversation.__aexit__(ZeroDivisionError, ZeroDivisionError(), None)

    run_in_virtual_time(main())


def test_speaking_takes_its_time_and_is_heard() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["x"])
        async with scripted_conversation(stt=stt, turns={"mode": "manual"}) as user:
            assert await user.speak(1000) == pytest.approx(1.0)
            await user.pause(500)
            assert asyncio.get_running_loop().time() == pytest.approx(1.5)
            await asyncio.sleep(0.1)
            assert PCM_16K.ms(stt.heard_bytes[0]) == pytest.approx(1500)
            assert isinstance(await user.until(SessionReady), SessionReady)

    run_in_virtual_time(main())


def test_waiting_for_what_never_comes_says_what_came() -> None:
    async def main() -> None:
        async with scripted_conversation() as user:
            with pytest.raises(AssertionError, match=r"no CommandSettled .* came; got .*SessionReady"):
                await user.until(CommandSettled, fault=Fault(category="busy", message="x"))

    run_in_virtual_time(main())
