"""Where a recorded command does not come and somebody waits, a replay ends; it does not hang."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from voicebridge import (
    BadOption,
    Event,
    Interrupt,
    OutputAudio,
    ResponseEnded,
    SendAudio,
    SendText,
    SessionConfig,
    SessionFailed,
    SessionReady,
)
from voicebridge.observe.recording import Recording
from voicebridge.observe.replay import ReplayBackend
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.user import User

from .conftest import record


async def interrupted(user: User) -> None:
    await user.until(SessionReady)
    await user.speak(600)
    await user.until(OutputAudio)
    await user.session.send(Interrupt())
    await user.until(ResponseEnded)


@pytest.fixture
def call(tmp_path: Path) -> Recording:
    return record(tmp_path / "call", interrupted)


async def read(session: Any) -> list[Event]:
    return [event async for event in session]


def audio_of(call: Recording) -> list[Any]:
    return [call.whole(line) for line in call.lines() if isinstance(line.message, SendAudio)]


@pytest.mark.parametrize("pace", ["instant", "recorded"])
def test_a_command_that_never_comes_is_named(call: Recording, pace: Any) -> None:
    async def main() -> float:
        async with ReplayBackend(call.folder, pace).connect(SessionConfig()) as session:
            for audio in audio_of(call):
                await session.send(audio)
            with pytest.raises(SessionFailed, match=r"was given interrupt \(command 1 of 1\) here") as failed:
                await read(session)
        assert failed.value.fault.code == "replay_diverged"
        assert "not given for 10 s" in str(failed.value)
        return asyncio.get_running_loop().time()

    took = run_in_virtual_time(main())
    assert 10.0 <= took <= 12.0 + call.duration_s


def test_audio_that_never_comes_is_named(call: Recording) -> None:
    async def main() -> None:
        backend = ReplayBackend(call.folder, "instant", patience_s=3)
        async with backend.connect(SessionConfig()) as session:
            with pytest.raises(SessionFailed, match=r"was given [0-9]+ more bytes of audio here") as failed:
                await read(session)
            assert "not given for 3 s" in str(failed.value)

    run_in_virtual_time(main())


def test_slow_audio_and_a_busy_reader_are_waited_for(call: Recording) -> None:
    async def main() -> list[Event]:
        async with ReplayBackend(call.folder, "instant").connect(SessionConfig()) as session:
            events: list[Event] = []
            for audio in audio_of(call):
                await session.send(audio)
                await asyncio.sleep(9)
            reader = aiter(session)
            while not events or not isinstance(events[-1], OutputAudio):
                events.append(await anext(reader))
            await asyncio.sleep(3600)  # nobody waits
            await session.send(Interrupt())
            while not isinstance(events[-1], ResponseEnded):
                events.append(await anext(reader))
            return events

    assert run_in_virtual_time(main())


def test_audio_that_goes_on_does_not_keep_another_command_waiting(call: Recording) -> None:
    async def main() -> None:
        async with ReplayBackend(call.folder, "instant").connect(SessionConfig()) as session:
            for audio in audio_of(call):
                await session.send(audio)
            reading = asyncio.create_task(read(session))
            for _ in range(1000):
                if reading.done():
                    break
                await session.send(SendAudio(pcm=bytes(640)))
                await asyncio.sleep(0.02)
            with pytest.raises(SessionFailed, match="interrupt"):
                await reading

    run_in_virtual_time(main())


def test_the_time_that_passed_in_the_recording_is_no_delay(tmp_path: Path) -> None:
    async def patient(user: User) -> None:
        await user.until(SessionReady)
        await asyncio.sleep(60)
        await user.session.send(SendText(text="Are you there?"))
        await user.until(ResponseEnded)

    call = record(tmp_path / "patient", patient)

    async def main() -> None:
        async with ReplayBackend(call.folder, "recorded").connect(SessionConfig()) as session:
            reading = asyncio.create_task(read(session))
            for audio in audio_of(call):
                await session.send(audio)
            await asyncio.sleep(65)
            await session.send(SendText(text="Are you there?"))
            await asyncio.sleep(5)
            await session.aclose()
            assert any(isinstance(event, ResponseEnded) for event in await reading)

    run_in_virtual_time(main())


@pytest.mark.parametrize("value", [0, -1, True, "10", None])
def test_patience_is_a_number_of_seconds(call: Recording, value: Any) -> None:
    with pytest.raises(BadOption, match="patience_s is a number of seconds above 0"):
        ReplayBackend(call.folder, patience_s=value)

    async def main() -> None:
        with pytest.raises(BadOption, match="patience_s"):
            async with ReplayBackend(call.folder).connect(SessionConfig(options={"patience_s": value})):
                pass

    run_in_virtual_time(main())
