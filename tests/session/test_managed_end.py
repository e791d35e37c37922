"""The end of a managed session: what was heard is known, what runs has its end, and cancelling it changes nothing."""

from __future__ import annotations

import asyncio

import pytest

import voicebridge
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import Respond, SendAudio, SendText
from voicebridge.contract.errors import SessionClosed, VoiceBridgeError
from voicebridge.contract.events import (
    CommandSettled,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import MessageItem
from voicebridge.session.history_store import MemoryHistoryStore
from voicebridge.testing.script import Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend

from .bare import Bare, reading
from .lines import virtually

WORDS = "One two three four five six seven eight nine ten. " * 3
AUTH = Fault(category="auth", code="bad_key", message="The key was refused.")


@pytest.mark.parametrize("word_s", [0.0, 0.1], ids=["all at once", "while it is made"])
@pytest.mark.parametrize("fatal", [False, True])
def test_in_the_middle_of_an_answer_only_what_was_heard_is_kept(word_s: float, fatal: bool) -> None:
    @virtually
    async def test() -> None:
        moments = ((0.61, AUTH),) if fatal else ()
        async with reading(ScriptedBackend(Reply(WORDS, word_s=word_s), moments=moments)) as (session, events):
            await session.send(Respond())
            await asyncio.sleep(0.6 if not fatal else 2.0)
        (heard,) = (event for event in events if isinstance(event, OutputHeard))
        assert 400 <= heard.heard_ms <= 620
        assert heard.text == "One two"
        (item,) = session.history
        assert isinstance(item, MessageItem)
        assert (item.text, item.interrupted) == ("One two", True)
        account = session.account
        assert account.balanced, str(account)
        assert account.output.played == round(DOOR_FORMAT.size(heard.heard_ms) / 2)
        assert account.output.received > account.output.played

    test()


@virtually
async def test_what_was_heard_is_written_down() -> None:
    store = MemoryHistoryStore()
    async with reading(ScriptedBackend(WORDS), history=store, conversation="c") as (session, _):
        await session.send(Respond())
        await asyncio.sleep(0.6)
    async with voicebridge.connect(ScriptedBackend("x"), history=store, conversation="c") as later:
        assert [getattr(item, "text", None) for item in later.history] == ["One two"]


@virtually
async def test_what_runs_on_a_backend_that_does_not_end_it_is_lost() -> None:
    backend = Bare()
    async with reading(backend) as (session, events):
        command = SendText(text="Hello.")
        await session.send(command)
        backend.sessions[0].tell(ResponseStarted(response_id="r1", cause="request"))
        await asyncio.sleep(0.01)
    ended = [event for event in events if isinstance(event, ResponseEnded)]
    settled = [event for event in events if isinstance(event, CommandSettled)]
    assert [(event.response_id, event.status) for event in ended] == [("r1", "lost")]
    assert [(event.command_id, event.fault and event.fault.category) for event in settled] == [(command.id, "closed")]


@virtually
async def test_a_cancelled_close_goes_on() -> None:
    backend = Bare(ends=False)  # takes seconds to be closed
    async with reading(backend) as (session, _):
        await session.send(SendAudio(pcm=bytes(DOOR_FORMAT.size(100))))
        for _ in range(3):
            closing = asyncio.create_task(session.aclose())
            await asyncio.sleep(0.01)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
        await asyncio.sleep(10)
        assert session.account.closed, "nobody has to close it again"
        with pytest.raises(StopAsyncIteration):
            await anext(aiter(session))


@virtually
async def test_who_waits_for_a_switch_learns_that_the_session_is_closed() -> None:
    async with reading(ScriptedBackend("x")) as (session, _):
        switch = asyncio.create_task(session.switch(ScriptedBackend("y", ready_s=5)))
        await asyncio.sleep(0.5)
        await session.aclose()
        with pytest.raises(SessionClosed):
            await switch
        with pytest.raises(SessionClosed):
            await session.switch(ScriptedBackend("y"))
        assert not len(session._own)


@virtually
async def test_what_nobody_has_taken_was_not_heard() -> None:
    backend = Bare()
    async with voicebridge.connect(backend) as session:
        await asyncio.sleep(0.01)
        backend.sessions[0].tell(
            ResponseStarted(response_id="r1", cause="request"),
            OutputText(response_id="r1", delta="One two.", kind="speech"),
            OutputAudio(response_id="r1", pcm=bytes(DOOR_FORMAT.size(1_000)), offset_ms=0),
            ResponseEnded(response_id="r1", status="completed"),
        )
        await asyncio.sleep(5)
        taken: list[object] = []
        reader = asyncio.create_task(_read(session, taken))
        await asyncio.sleep(0.5)
        assert not any(isinstance(event, OutputHeard) for event in taken), "it plays since half a second"
    await reader
    (heard,) = (event for event in taken if isinstance(event, OutputHeard))
    assert heard.heard_ms == pytest.approx(500, abs=20)
    assert session.account.output.played == pytest.approx(12_000, abs=500)


async def _read(session: voicebridge.ManagedSession, taken: list[object]) -> None:
    async for event in session:
        taken.append(event)


@virtually
async def test_of_two_switches_the_earlier_one_learns_that_it_was_superseded() -> None:
    first, second = ScriptedBackend("b", ready_s=1), ScriptedBackend("c", ready_s=1)
    async with reading(ScriptedBackend("a")) as (session, _):
        earlier, later = await asyncio.gather(session.switch(first), session.switch(second), return_exceptions=True)
        assert isinstance(earlier, VoiceBridgeError)
        assert earlier.fault.code == "superseded"
        assert later is None
        assert second.sessions
        again = ScriptedBackend("d", ready_s=1)
        assert await asyncio.gather(session.switch(again), session.switch(again)) == [None, None]


@virtually
async def test_a_close_that_is_cancelled_while_tools_end_goes_on_as_well() -> None:
    backend = ScriptedBackend(Reply(calls=(Call("stubborn"),)))
    async with reading(backend, tools=[stubborn]) as (session, _):
        await session.send(Respond())
        await asyncio.sleep(0.1)
        closing = asyncio.create_task(session.aclose())
        await asyncio.sleep(0.01)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await asyncio.sleep(10)
        assert session.account.closed
        assert backend.sessions[0]._over


async def stubborn() -> str:
    """Takes its time to be cancelled."""
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.5)
    return "done"
