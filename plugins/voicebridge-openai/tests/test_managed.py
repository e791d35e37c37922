"""The managed session over the simulator: no fault at all, first words, slow readers, late transcripts, the end."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.commands import SendText
from voicebridge.contract.errors import SessionClosed
from voicebridge.contract.events import (
    CommandSettled,
    Interruption,
    OutputAudio,
    OutputHeard,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    UserTurn,
)
from voicebridge.core.interruption_policy import Signals, Verdict

from .managed_call import WatchedServer, call

LONG = "This is a long answer that goes on and on and on, and nobody knows when it will be over at last."


async def test_a_conversation_without_any_fault() -> None:
    server = WatchedServer(pace=20)
    async with call(server) as talk:
        await talk.say()
        first = await talk.next(ResponseEnded)
        assert first.status == "completed"
        await talk.say()
        await talk.next(ResponseEnded, 2)
    assert not talk.all(SessionRestarted)
    assert talk.words(first.response_id) == "You said: this is turn 1"
    assert len(server.lines) == 1


@pytest.mark.parametrize("dial", ["handshake stall 1500ms", "delay 1500ms on session.created"])
async def test_what_is_said_while_it_dials_is_heard(dial: str) -> None:
    server = WatchedServer(dial, pace=20)
    async with call(server, speed=1) as talk:
        await talk.say()
        await talk.next(ResponseEnded)
    assert talk.words(talk.all(ResponseEnded)[0].response_id) == "You said: this is turn 1"
    assert set(range(talk.sent - 24_000)) <= server.heard


async def test_who_does_not_read_is_not_talked_to_without_end() -> None:
    minutes = "word " * 1000
    server = WatchedServer(pace=0, ms_per_char=60, replies=(minutes,))
    async with call(server, speed=1) as talk:
        talk._reader.cancel()
        await asyncio.gather(talk._reader, return_exceptions=True)
        await talk.session.send(command := SendText(text="Go."))
        talk.commands.append(command)
        await asyncio.sleep(2.0)
        held_ms = talk.session.carrier.delivery._audio_bytes / 48
        assert 60_000 < held_ms < 140_000, "two minutes, and then the line is held back"
        talk._reader = asyncio.create_task(talk._read())
        ended = await talk.next(ResponseEnded)
    assert ended.status == "completed"
    assert talk.audio_ms(ended.response_id) == pytest.approx(len(minutes) * 60, abs=200)


async def test_a_late_transcript_may_say_that_a_sound_was_no_cough() -> None:
    def doubtful(signals: Signals) -> Verdict:
        """Takes every sound for a cough until its words are known."""
        return Verdict("ignore", "noise", answer="stop" in signals.text)

    server = WatchedServer(
        pace=40, ms_per_char=20, replies=(LONG, "Unwanted.", "Yes, I stop."), transcripts=("Go on", "please stop", "x")
    )
    async with call(server, interruption=doubtful) as talk:
        await talk.say()
        await talk.until(lambda: talk.all(OutputAudio), "audio")
        await asyncio.sleep(0.2)
        await talk.say()
        await talk.next(UserTurn, 2, phase="committed")
        await talk.until(lambda: len(talk.all(ResponseStarted)) == 3 or len(talk.all(OutputHeard)) == 2, "an answer")
        await talk.until(lambda: not talk.session._is_playing())
    assert talk.all(Interruption, action="ignore")
    last = talk.all(ResponseEnded, status="completed")[-1]
    assert talk.words(last.response_id) in ("Unwanted.", "Yes, I stop."), "the turn is answered, by whichever answer"
    assert talk.audio_ms(last.response_id) > 0


async def test_the_end_while_everything_goes_on() -> None:
    async def slow() -> str:
        """Take long."""
        await asyncio.sleep(30)
        return "too late"

    server = WatchedServer(pace=1, replies=([LONG, {"call": "slow"}],))
    async with call(server, tools=[slow]) as talk:
        await talk.send(SendText(text="Hello."))
        await talk.until(lambda: talk.all(OutputAudio), "audio")
        more = SendText(text="And more.")
        await talk.send(more)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(talk.session.aclose(), talk.session.aclose(), talk.done())
        assert asyncio.get_running_loop().time() - began < 3
        with pytest.raises(SessionClosed):
            await talk.session.send(SendText(text="Still there?"))
    assert [ended.status for ended in talk.all(ResponseEnded)] == ["lost"]
    [settled] = talk.all(CommandSettled, command_id=more.id)
    assert settled.fault is not None
    assert settled.fault.category == "closed"
    assert talk.all(SessionReady)
