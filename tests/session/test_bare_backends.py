"""Backends that are no links: what they don't say, say twice or never end does the call no harm."""

from __future__ import annotations

import asyncio

import pytest

import voicebridge
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import (
    BackendError,
    OutputAudio,
    ResponseEnded,
    ResponseStarted,
    SessionRestarted,
    UserTurn,
)
from voicebridge.contract.fault import Fault

from .bare import Bare, reading
from .lines import virtually, voice

LOST = Fault(category="network", code="lost", message="The model went away.", retryable=True)
STARTED = ResponseStarted(response_id="r1", cause="request")
ENDED = ResponseEnded(response_id="r1", status="completed")


def piece(response_id: str) -> OutputAudio:
    return OutputAudio(response_id=response_id, pcm=bytes(960), offset_ms=0)


@virtually
async def test_each_response_begins_and_ends_once_and_none_speaks_that_never_began() -> None:
    backend = Bare()
    async with reading(backend) as (_, events):
        backend.sessions[0].tell(piece("r0"), STARTED, ResponseStarted(response_id="r1", cause="request"))
        backend.sessions[0].tell(piece("r1"), ENDED, ResponseEnded(response_id="r1", status="failed"), piece("r1"))
        await asyncio.sleep(1)
    told = [event for event in events if isinstance(event, ResponseStarted | ResponseEnded | OutputAudio)]
    assert [type(event) for event in told] == [ResponseStarted, OutputAudio, ResponseEnded]


@pytest.mark.parametrize("ends", [False, True])
def test_one_that_says_it_is_broken_and_stays_is_left(ends: bool) -> None:
    @virtually
    async def test() -> None:
        backend = Bare(ends=ends)
        async with reading(backend) as (session, events):
            backend.sessions[0].tell(BackendError(fault=LOST, fatal=True))
            await asyncio.sleep(10)
            assert backend.sessions[0].closed
            assert len(backend.sessions) == 2
            assert [event.reason for event in events if isinstance(event, SessionRestarted)] == ["drop"]
            await session.send(SendAudio(pcm=voice(0, 100)))
            assert backend.sessions[1].audio == voice(0, 100)

    test()


@pytest.mark.parametrize("enters", [False, True])
def test_one_that_never_gets_ready_is_waited_for_half_a_minute(enters: bool) -> None:
    @virtually
    async def test() -> None:
        backend = Bare(enters=enters, ready=False)
        began = asyncio.get_running_loop().time()
        with pytest.raises(VoiceBridgeError, match="30 s") as raised:  # noqa: PT012 - both ways of its end
            async with voicebridge.connect(backend) as session:
                async for _ in session:
                    pass
        assert raised.value.fault.code == "timeout"
        assert 30 <= asyncio.get_running_loop().time() - began < 40

    test()


@virtually
async def test_what_nothing_proves_is_not_delivered() -> None:
    backend = Bare()
    async with reading(backend) as (session, _):
        await session.send(SendAudio(pcm=voice(0, 1_000)))
        assert session.account.input.delivered == 0
        backend.sessions[0].tell(UserTurn(turn_id="t1", phase="speech", audio_ms=100))
        backend.sessions[0].tell(UserTurn(turn_id="t1", phase="committed", audio_ms=600))
        await asyncio.sleep(0.01)
        assert session.account.input.delivered == 600 * DOOR_FORMAT.rate // 1000
    account = session.account.input
    assert (account.delivered, account.dropped) == (account.captured, {}), "it was closed in order"


@virtually
async def test_what_was_sent_to_one_that_broke_is_not_delivered() -> None:
    fault = Fault(category="auth", code="key", message="The key was refused.")
    backend = Bare()
    async with reading(backend) as (session, _):
        await session.send(SendAudio(pcm=voice(0, 1_000)))
        backend.sessions[0].tell(BackendError(fault=fault, fatal=True))
        await asyncio.sleep(1)
    account = session.account.input
    assert account.delivered == 0
    assert sum(account.dropped.values()) == account.captured
