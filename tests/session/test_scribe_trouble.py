"""A store that is slow or fails: it gets everything in the end, and the call never notices."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.events import (
    CommandSettled,
    OutputAudio,
    ResponseStarted,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.history_record import DamagedRecord, Record
from voicebridge.session.history_store import MemoryHistoryStore
from voicebridge.session.sqlite_store import SqliteHistoryStore
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import loop_lag, no_leaked_tasks

from .scribed_call import Call, TroubledStore, said, user, write


def test_a_slow_store_holds_up_nobody_and_gets_everything() -> None:
    async def main() -> None:
        store = TroubledStore(takes_s=2)
        loop = asyncio.get_running_loop()
        async with Call(store) as call:
            for number in range(1, 501):
                before = loop.time()
                call.tell(write(number))
                assert loop.time() == before
                await asyncio.sleep(0.02)
            assert len(store.batches) == 4
        assert await call.stored() == tuple(user(f"text {number}") for number in range(1, 501))
        assert call.faults == []

    run_in_virtual_time(main())


@pytest.mark.parametrize("after_all", [False, True])
@pytest.mark.parametrize(
    "failure",
    [VoiceBridgeError(Fault(category="busy", message="The disk is full.", retryable=True)), KeyError("x")],
)
def test_a_failing_store_is_told_once_and_gets_everything_when_it_is_well(failure: Exception, after_all: bool) -> None:
    async def main() -> None:
        store = TroubledStore(keeps_audio=True)
        store.after_all = after_all
        async with Call(store) as call:
            call.tell(write(1), ResponseStarted(response_id="r1", cause="user"))
            await asyncio.sleep(1)
            store.failure = failure
            for number in range(2, 50):
                call.tell(write(number), OutputAudio(response_id="r1", pcm=bytes([number]), offset_ms=0))
                await asyncio.sleep(1)
            assert [fault.code for fault in call.faults] == ["history_failed"]
            assert call.faults[0].category == "busy"
            assert "call" in call.faults[0].message
            store.failure = None
            call.tell(CommandSettled(command_id="c7", fault=Fault(category="closed", message="Over.")))
            await asyncio.sleep(5.1)
            texts = tuple(user(f"text {number}") for number in range(1, 50) if number != 7)
            assert await call.stored() == texts
            assert (await store.audio("call", "r1"))[0] == bytes(range(2, 50))
            call.tell(write(50))
            await asyncio.sleep(0.2)
            assert await call.stored() == (*texts, user("text 50")), "soon again, now that it is well"
        assert [fault.code for fault in call.faults] == ["history_failed"]

    run_in_virtual_time(main())


def test_what_a_failing_store_did_not_take_is_tried_again_though_nothing_more_happens() -> None:
    async def main() -> None:
        store = TroubledStore()
        store.failure = OSError("no")
        async with Call(store) as call:
            call.tell(write(1))
            await asyncio.sleep(20)
            store.failure = None
            await asyncio.sleep(5.1)
            assert await call.stored() == (user("text 1"),)

    run_in_virtual_time(main())


def test_a_store_that_hangs_at_the_end_holds_up_the_end_for_some_seconds_only() -> None:
    async def main() -> None:
        store = TroubledStore(takes_s=1000)
        async with no_leaked_tasks(), Call(store) as call:
            call.tell(write(1))
        assert asyncio.get_running_loop().time() == pytest.approx(3.5, abs=0.1)
        assert [fault.code for fault in call.faults] == ["history_incomplete"]
        assert "its end" in call.faults[0].message

    run_in_virtual_time(main())


def test_a_store_that_ends_the_task_is_told_at_the_end() -> None:
    async def main() -> None:
        store = TroubledStore()
        store.failure = asyncio.CancelledError()  # its own task was cancelled
        async with Call(store) as call:
            call.tell(write(1))
            await asyncio.sleep(1)
            assert not await call.scribe.flush()
        await call.scribe.aclose()
        assert [fault.code for fault in call.faults] == ["history_incomplete"]

    run_in_virtual_time(main())


def test_audio_that_a_slow_store_does_not_take_is_dropped_and_counted() -> None:
    async def main() -> None:
        store = TroubledStore(keeps_audio=True, takes_s=1000)
        loop = asyncio.get_running_loop()
        async with Call(store) as call:
            call.tell(ResponseStarted(response_id="r1", cause="user"))
            await asyncio.sleep(0.2)
            second = bytes(8000)
            for at in range(1000):
                call.tell(OutputAudio(response_id="r1", pcm=second, offset_ms=at * 1000), *said("Hi", f"r{at + 2}"))
                await asyncio.sleep(1)
            kept = 4 * 1024 * 1024 // 8000
            assert call.scribe.dropped_ms == (1000 - kept) * 1000
            store.takes_s = 0
            await asyncio.sleep(1)
            await call.scribe.flush()
            assert len((await store.audio("call", "r1"))[0]) == kept * 8000
            assert len(await call.stored()) == 1000, "text is never dropped"
            assert [fault.code for fault in call.faults] == ["history_audio_dropped"]
            assert loop.time() < 1010

    run_in_virtual_time(main())


# Others at the same conversation


class Hours:
    """The store's clock."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


def test_a_conversation_that_another_call_has_is_refused_until_that_ends() -> None:
    async def main() -> None:
        store = MemoryHistoryStore(clock=Hours())
        async with Call(store) as first:
            first.tell(write(1))
            await asyncio.sleep(120)
            with pytest.raises(ConfigError, match="in use by another call"):
                await Call(store).__aenter__()
            first.tell(write(2))
        async with Call(store) as second:
            second.tell(write(3))
        assert await second.stored() == tuple(user(f"text {number}") for number in (1, 2, 3))
        assert first.faults == second.faults == []

    run_in_virtual_time(main())


def test_a_call_that_may_not_be_recorded_keeps_the_conversation_all_the_same() -> None:
    async def main() -> None:
        store = MemoryHistoryStore(clock=Hours())
        async with Call(store, may_record=False) as first:
            for number in range(120):
                first.tell(write(number))
                await asyncio.sleep(1)
            with pytest.raises(ConfigError, match="in use by another call"):
                await Call(store).__aenter__()
            assert await store.conversations() == []

    run_in_virtual_time(main())


def test_a_call_whose_conversation_was_taken_says_so_once_and_writes_no_more() -> None:
    async def main() -> None:
        hours = Hours()
        store = MemoryHistoryStore(clock=hours)
        async with Call(store) as first:
            first.tell(write(1))
            await asyncio.sleep(1)
            hours.ahead_s = 31  # the machine slept
            async with Call(store) as second:
                second.tell(write(2))
                await asyncio.sleep(1)
                for number in (3, 4):
                    first.tell(write(number))
                    await asyncio.sleep(20)
                assert await first.scribe.flush() is False
                second.tell(write(5))
            assert second.faults == []
        assert [fault.code for fault in first.faults] == ["conversation_taken"]
        assert "not kept" in first.faults[0].message
        assert await second.stored() == tuple(user(f"text {number}") for number in (1, 2, 5))

    run_in_virtual_time(main())


def test_a_call_that_was_cancelled_while_it_began_lets_go_of_the_conversation() -> None:
    class Slow(MemoryHistoryStore):
        async def claim(self, conversation: str, writer: str) -> None:
            await super().claim(conversation, writer)
            await asyncio.sleep(1)

    async def main() -> None:
        store = Slow()
        call = Call(store)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await call.scribe.resume()
        await call.scribe.aclose()
        await Call(store).scribe.resume()

    run_in_virtual_time(main())


def test_entries_that_can_not_be_read_are_told_when_it_begins() -> None:
    class Damaged(MemoryHistoryStore):
        async def load(self, conversation: str) -> list[Record]:
            known = await super().load(conversation)
            return [DamagedRecord(place=0, why="Entry 0 is damaged."), *known, DamagedRecord(place=9, why="So is 9.")]

    async def main() -> None:
        store = Damaged()
        await store.write("call", [Record(place=1, key="t1", item=user("Hello"))])
        async with Call(store) as call:
            assert [fault.code for fault in call.faults] == ["history_damaged"]
            assert "Entry 0 is damaged (and 1 more). The store keeps it" in call.faults[0].message
            assert call.chronicle.items() == (user("Hello"),)
            call.tell(write(1))
        assert await call.stored() == (user("Hello"), user("text 1"))
        assert [record.place for record in await store.load("call")] == [0, 1, 10, 9]

    run_in_virtual_time(main())


async def test_the_loop_goes_on_while_a_file_is_written(tmp_path: Path) -> None:
    store = SqliteHistoryStore(tmp_path / "calls.db", keeps_audio=True)
    async with Call(store) as call, loop_lag(0.25):
        call.tell(ResponseStarted(response_id="r1", cause="user"))
        for number in range(40):
            call.tell(write(number), OutputAudio(response_id="r1", pcm=bytes(40_000), offset_ms=0))
            await asyncio.sleep(0.01)
    assert len(await call.stored()) == 40
    assert len((await store.audio("call", "r1"))[0]) == 40 * 40_000
    await store.aclose()
