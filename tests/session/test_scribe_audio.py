"""Voices in the store: where it wants them, when it is allowed, and in bounded memory."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from pathlib import Path

import pytest

from voicebridge.contract.commands import SendToolResult
from voicebridge.contract.events import (
    Event,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    UserTurn,
)
from voicebridge.session.sqlite_store import SqliteHistoryStore
from voicebridge.testing.clock import run_in_virtual_time

from .scribed_call import FRAME, Call, TroubledStore, agent, said, user, write


def spoken_turn(number: int, start_ms: float, end_ms: float) -> tuple[Event, ...]:
    return (
        UserTurn(turn_id=f"t{number}", phase="speech", audio_ms=start_ms),
        UserTurn(turn_id=f"t{number}", phase="committed", audio_ms=end_ms),
    )


@pytest.mark.parametrize("keeps_audio", [True, False])
def test_voices_are_kept_where_the_store_wants_them(keeps_audio: bool) -> None:
    async def main() -> None:
        store = TroubledStore(keeps_audio=keeps_audio)
        async with Call(store) as call:
            for byte in range(10):
                call.scribe.heard_audio(bytes([byte]) * 160)
            call.tell(*spoken_turn(1, 40, 80), ResponseStarted(response_id="r1", cause="user"))
            call.tell(OutputAudio(response_id="r1", pcm=FRAME, offset_ms=0))
            await asyncio.sleep(0.2)
            call.tell(OutputAudio(response_id="r1", pcm=FRAME, offset_ms=20))
        expected = (b"\x02" * 160 + b"\x03" * 160, FRAME + FRAME) if keeps_audio else (b"", b"")
        assert ((await store.audio("call", "t1"))[0], (await store.audio("call", "r1"))[0]) == expected

    run_in_virtual_time(main())


def test_a_long_turn_goes_to_the_store_though_nothing_else_happens() -> None:
    async def main() -> None:
        store = TroubledStore(keeps_audio=True)
        async with Call(store) as call:
            call.tell(UserTurn(turn_id="t1", phase="speech", audio_ms=0))
            for _ in range(50 * 60 * 20):
                call.scribe.heard_audio(FRAME)
                await asyncio.sleep(0.02)
            call.tell(UserTurn(turn_id="t1", phase="committed", audio_ms=1_200_000))
            assert call.scribe.dropped_ms == 0
        assert len((await store.audio("call", "t1"))[0]) == 1200 * 8000
        assert call.faults == []

    run_in_virtual_time(main())


@pytest.mark.parametrize("process", ["first", "second"])
def test_a_long_turn_that_is_discarded_leaves_nothing(process: str) -> None:
    async def main() -> None:
        store = TroubledStore(keeps_audio=True)
        if process == "second":
            async with Call(store) as call:
                call.tell(write(1))
        async with Call(store) as call:
            call.tell(UserTurn(turn_id="t1", phase="speech", audio_ms=0))
            for _ in range(50):
                call.scribe.heard_audio(bytes(8000))
            await asyncio.sleep(1)
            assert sum(len(clip) for clip in store._kept["call"].audio.values()) > 0
            call.tell(UserTurn(turn_id="t1", phase="discarded", audio_ms=50_000))
        assert store._kept["call"].audio == {}

    run_in_virtual_time(main())


def test_nothing_is_written_before_it_is_allowed() -> None:
    async def main() -> None:
        store = TroubledStore(keeps_audio=True)
        async with Call(store, may_record=False) as call:
            call.scribe.heard_audio(FRAME)
            call.tell(*spoken_turn(1, 0, 20), *said("May I record this?"))
            await asyncio.sleep(60)
            assert await call.scribe.flush(), "there is nothing that may be written"
            assert await store.conversations() == []
            call.scribe.may_record = True
            call.scribe.heard_audio(FRAME)
            call.tell(*spoken_turn(2, 20, 40), InputTranscript(turn_id="t2", text="Hello.", final=True))
            await asyncio.sleep(0.2)
            assert await call.stored() == (user("Hello."),), "what was said before is never written"
            assert (await store.audio("call", "t1"))[0] == b""
            assert (await store.audio("call", "t2"))[0] == FRAME
            call.scribe.may_record = False
            call.tell(write(1))
        assert await call.stored() == (user("Hello."),)
        assert call.faults == []

    run_in_virtual_time(main())


def test_what_had_begun_before_it_was_allowed_is_never_written() -> None:
    async def main() -> None:
        store = TroubledStore(keeps_audio=True)
        async with Call(store, may_record=False) as call:
            call.scribe.heard_audio(FRAME)
            call.tell(
                UserTurn(turn_id="t1", phase="speech", audio_ms=0),
                ResponseStarted(response_id="r1", cause="user"),
                OutputText(response_id="r1", delta="A secret"),
                ToolCall(response_id="r1", call_id="k", name="look_up", arguments="{}"),
                write(1),
            )
            call.scribe.may_record = True
            call.scribe.heard_audio(FRAME)
            call.tell(
                OutputText(response_id="r1", delta=" and more"),
                OutputAudio(response_id="r1", pcm=FRAME, offset_ms=20),
                ResponseEnded(response_id="r1", status="completed"),
                OutputHeard(response_id="r1", heard_ms=40, text="A secret and", basis="measured"),
                UserTurn(turn_id="t1", phase="committed", audio_ms=40),
                InputTranscript(turn_id="t1", text="My number is 5550199.", final=True),
                SendToolResult(call_id="k", output="a secret"),
                *said("From now on.", "r2"),
            )
            await asyncio.sleep(1)
        assert await call.stored() == (agent("From now on."),)
        assert [(await store.audio("call", key))[0] for key in ("t1", "r1")] == [b"", b""]

    run_in_virtual_time(main())


# A long call


async def talk(call: Call, minutes: int, rng: random.Random) -> None:
    """A turn, an answer, and half of the answers are cut; 20 ms a step."""
    at_ms = 0.0
    for number in range(minutes * 4):
        start = at_ms
        for frame in range(750):
            call.scribe.heard_audio(FRAME)
            at_ms += 20
            if frame % 50 == 0:
                await asyncio.sleep(1)
        call.tell(
            *spoken_turn(number, start, at_ms - rng.randrange(2000)),
            InputTranscript(turn_id=f"t{number}", text="What is it?", final=True),
            ResponseStarted(response_id=f"r{number}", cause="user"),
            OutputText(response_id=f"r{number}", delta="It is this and that."),
        )
        for piece in range(300):
            call.tell(OutputAudio(response_id=f"r{number}", pcm=bytes(160), offset_ms=piece * 20))
        call.tell(ResponseEnded(response_id=f"r{number}", status="completed"))
        if rng.random() < 0.5:
            call.tell(OutputHeard(response_id=f"r{number}", heard_ms=2000, text="It is", basis="measured"))


def test_memory_does_not_grow_with_the_call(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        store = SqliteHistoryStore(tmp_path / "calls.db", keeps_audio=True, in_thread=False)
        async with Call(store) as call:
            tracemalloc.start()
            try:
                await talk(call, 2, random.Random(1))
                await call.scribe.flush()
                before, _ = tracemalloc.get_traced_memory()
                await talk(call, 20, random.Random(2))
                await call.scribe.flush()
                after, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert call.scribe.dropped_ms == 0
        await store.aclose()
        return after - before, peak

    grown, peak = run_in_virtual_time(main())
    assert grown < 160 * 2_000, "the text of 160 entries, while 13.4 MB of voices went by"
    assert peak < 1_500_000
