"""The end of a session: nobody is left waiting, and no stage can hold it up or spoil it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import voicebridge
from voicebridge.cascade.backend import CascadeBackend
from voicebridge.cascade.energy import EnergyDetector
from voicebridge.contract.commands import EndTurn, Interrupt, Respond, SendAudio, SendText
from voicebridge.contract.errors import SessionClosed, SessionFailed
from voicebridge.contract.events import BackendError, CommandSettled, ResponseEnded, ResponseStarted, UserTurn
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.stages import ScriptedModel, ScriptedRecogniser, ScriptedVoice
from voicebridge.testing.user import User, scripted_conversation

SILENCE_20_MS = b"\x00\x00" * 320
MORE_THAN_MAY_WAIT = SILENCE_20_MS * 1550


def now() -> float:
    return asyncio.get_running_loop().time()


async def one_too_many(user: User) -> asyncio.Task[None]:
    """A sender that waits for room."""
    await user.session.send(SendAudio(pcm=MORE_THAN_MAY_WAIT))
    sender = asyncio.create_task(user.session.send(SendAudio(pcm=SILENCE_20_MS)))
    await asyncio.sleep(1)
    assert not sender.done()
    return sender


def test_closing_ends_the_wait_for_room() -> None:
    async def main() -> None:
        async with scripted_conversation(llm=ScriptedModel(["Hi."], warm_s=1000)) as user:
            sender = await one_too_many(user)
            await user.session.aclose()
            with pytest.raises(SessionClosed):
                await sender

    run_in_virtual_time(main())


class BrokenDetector(EnergyDetector):
    async def push(self, pcm: bytes, text: str = "") -> Any:
        raise ValueError("boom")


def test_failing_ends_the_wait_for_room() -> None:
    async def main() -> None:
        llm = ScriptedModel(["Hi."], warm_s=5)
        async with scripted_conversation(llm=llm, detector=BrokenDetector()) as user:
            sender = await one_too_many(user)
            with pytest.raises(SessionClosed):
                await sender
            assert now() == pytest.approx(5.0)
            assert isinstance(user.failure, SessionFailed)

    run_in_virtual_time(main())


def test_a_failure_is_told_at_once_whatever_the_stages_do_with_their_end() -> None:
    async def main() -> None:
        tts = ScriptedVoice()
        tts.aclose = lambda: asyncio.sleep(1e6)  # type: ignore[method-assign]  # the fault under test
        async with scripted_conversation(detector=BrokenDetector(), tts=tts) as user:
            await user.session.send(SendText(text="q"))
            await user.session.send(SendAudio(pcm=SILENCE_20_MS))
            await asyncio.sleep(0.001)
            assert isinstance(user.failure, SessionFailed)
            last = user.events[-1]
            assert isinstance(last, BackendError)
            assert last.fatal
            assert last.fault.message == "The turn detector failed with ValueError: boom"
            with pytest.raises(SessionClosed):
                await user.session.send(Interrupt())
            before = now()
            await user.session.aclose()
            assert now() - before <= 5.0

    run_in_virtual_time(main())


class SpoilsItsEnd(ScriptedModel):
    """Raises when its stream is closed."""

    async def respond(self, prompt: Any) -> AsyncIterator[str]:
        self.prompts.append(prompt)
        try:
            yield "One, "
            await asyncio.sleep(5)
            yield "two."
        finally:
            raise RuntimeError("the stream could not be closed")


def test_a_guess_that_raises_when_it_is_closed_keeps_no_stage_open() -> None:
    async def main() -> None:
        tts = ScriptedVoice()
        async with scripted_conversation(llm=SpoilsItsEnd([]), tts=tts) as user:
            await user.speak(500)
            await user.pause(100)
            await user.speak(300)
            await user.pause(60)
            before = now()
            await user.session.aclose()
            assert now() == before
            assert tts.closed == 1

    run_in_virtual_time(main())


def test_an_answer_that_raises_when_it_is_closed_is_lost_like_any_other() -> None:
    async def main() -> None:
        tts = ScriptedVoice()
        async with scripted_conversation(llm=SpoilsItsEnd([]), tts=tts) as user:
            await user.session.send(SendText(text="q"))
            await user.until(ResponseStarted)
            await user.done()
            assert [(e.status, e.fault) for e in user.all(ResponseEnded)] == [("lost", None)]
            assert user.failure is None
            assert tts.closed == 1

    run_in_virtual_time(main())


def test_a_recogniser_that_raises_when_it_is_closed() -> None:
    class Recogniser(ScriptedRecogniser):
        async def listen(self, audio: Any) -> AsyncIterator[Any]:
            try:
                async for _ in audio:
                    pass
                yield
            finally:
                raise RuntimeError("the socket could not be closed")

    async def main() -> None:
        tts = ScriptedVoice()
        async with scripted_conversation(stt=Recogniser([]), tts=tts, turns={"mode": "manual"}) as user:
            await user.speak(100)
            end = EndTurn()
            await user.session.send(end)
            await user.pause(100)
            before = now()
            await user.done()
            assert now() == before
            assert user.failure is None
            assert tts.closed == 1
            (settled,) = user.all(CommandSettled, command_id=end.id)
            assert settled.fault.category == "closed"

    run_in_virtual_time(main())


async def deaf() -> None:
    """Does not end when it is cancelled, for the next hour."""
    until = now() + 3600
    while now() < until:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            continue


@pytest.mark.parametrize(
    ("where", "ends"),
    [
        ("model answers", ["lost"]),
        ("voice speaks", ["lost"]),
        ("recogniser listens", ["completed"]),
        ("stage warms", []),
        ("stage closes", ["completed"]),
    ],
)
def test_a_stage_that_does_not_let_go_holds_up_the_close_for_five_seconds(where: str, ends: list[str]) -> None:
    async def stream(_: Any) -> AsyncIterator[str]:
        await deaf()
        yield ""

    async def main() -> None:
        stt, llm, tts = ScriptedRecogniser(["x"]), ScriptedModel(["Hi."]), ScriptedVoice()
        stuck = {
            "model answers": (llm, "respond"),
            "recogniser listens": (stt, "listen"),
            "voice speaks": (tts, "speak"),
        }
        if where == "stage warms":
            llm.warm = deaf  # type: ignore[method-assign]  # the fault under test
        elif where == "stage closes":
            llm.aclose = deaf
        else:
            setattr(*stuck[where], stream)
        backend = CascadeBackend(stt=stt, llm=llm, tts=tts, detector=(detector := EnergyDetector()))
        closed = []
        detector.aclose = lambda: asyncio.sleep(0, closed.append(1))
        async with voicebridge.connect_raw(backend) as session:
            await session.send(SendText(text="q"))
            await asyncio.sleep(0.5)
            before = now()
            await session.aclose()
            assert now() - before <= 5.0
            assert closed == [1], "the others are closed all the same"
            assert [event.status async for event in session if isinstance(event, ResponseEnded)] == ends

    run_in_virtual_time(main())


@pytest.mark.parametrize("steps", range(12))
def test_nothing_begins_after_the_close(steps: int) -> None:
    """Closed while the detector, the recogniser and the guess are at work, however far they are."""

    async def main() -> None:
        llm = ScriptedModel(["Hi."])
        async with scripted_conversation(llm=llm) as user:
            await user.speak(500)
            await user.session.send(SendAudio(pcm=SILENCE_20_MS * 20))
            for _ in range(steps):
                await asyncio.sleep(0)
            await user.session.aclose()
            asked = len(llm.prompts)
            await asyncio.sleep(10)
            assert len(llm.prompts) == asked

    run_in_virtual_time(main())


def test_commands_that_wait_for_an_end_of_turn_are_settled_by_the_close() -> None:
    async def main() -> None:
        stt = ScriptedRecogniser(["words"], final_s=100)
        async with scripted_conversation(stt=stt, turns={"mode": "manual"}) as user:
            await user.speak(200)
            commands = [EndTurn(), SendText(text="q"), Respond()]
            for command in commands:
                await user.session.send(command)
            await asyncio.sleep(1)
            assert not user.all(CommandSettled)
            await user.done()
            assert {(e.command_id, e.fault.code) for e in user.all(CommandSettled)} == {
                (command.id, "closed") for command in commands
            }
            assert [turn.phase for turn in user.all(UserTurn)] == ["speech"]

    run_in_virtual_time(main())
