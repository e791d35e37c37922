"""The scribe: everything gets into the store, however slow it is, and the call never notices."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command, SendText, SendToolResult
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.chronicle import Chronicle
from voicebridge.core.history import History
from voicebridge.core.history_record import AudioChunk, Record
from voicebridge.session.history_store import HistoryStore, MemoryHistoryStore
from voicebridge.session.scribe import _UNANSWERED, Scribe
from voicebridge.session.sqlite_store import SqliteHistoryStore
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import loop_lag, no_leaked_tasks

FORMAT = AudioFormat(encoding="ulaw", rate=8_000)
FRAME = b"\x7f" * 160
"""20 ms."""


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def agent(text: str, *, interrupted: bool = False) -> MessageItem:
    return MessageItem(role="assistant", text=text, interrupted=interrupted)


class TroubledStore(MemoryHistoryStore):
    """A store that takes its time, and fails while it is told to."""

    def __init__(self, *, keeps_audio: bool = False, takes_s: float = 0.0) -> None:
        super().__init__(keeps_audio=keeps_audio)
        self.takes_s = takes_s
        self.failure: BaseException | None = None
        self.after_all = False
        """It fails after it wrote."""
        self.batches: list[int] = []
        """How many records each had."""
        self.at_once = 0

    async def write(
        self,
        conversation: str,
        records: Sequence[Record] = (),
        audio: Sequence[AudioChunk] = (),
        forget: Sequence[str] = (),
    ) -> None:
        self.at_once += 1
        assert self.at_once == 1, "one batch after the other"
        try:
            await asyncio.sleep(self.takes_s)
            if self.failure and not self.after_all:
                raise self.failure
            await super().write(conversation, records, audio, forget)
            self.batches.append(len(records))
            if self.failure:
                raise self.failure
        finally:
            self.at_once -= 1


class Call:
    """A conversation that is written down."""

    def __init__(self, store: HistoryStore, may_record: bool = True) -> None:
        self.store, self.faults = store, list[Fault]()
        self.chronicle = Chronicle()
        self.scribe = Scribe(
            store,
            "call",
            input_format=FORMAT,
            output_format=FORMAT,
            faulted=self.faults.append,
            may_record=may_record,
        )

    async def __aenter__(self) -> Call:
        self.chronicle = Chronicle(await self.scribe.resume())
        self.scribe.start(self.chronicle.changed)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.scribe.aclose()

    def tell(self, *told: Command | Event) -> None:
        for one in told:
            if isinstance(one, Command):
                self.chronicle.sent(one)
                self.scribe.sent(one)
            else:
                self.chronicle.happened(one)
                self.scribe.happened(one)

    async def stored(self) -> tuple[object, ...]:
        return History(await self.store.load("call")).items()


def write(number: int) -> SendText:
    return SendText(id=f"c{number}", text=f"text {number}")


def said(text: str, response: str = "r1") -> tuple[Event, ...]:
    return (
        ResponseStarted(response_id=response, cause="user"),
        OutputText(response_id=response, delta=text),
        ResponseEnded(response_id=response, status="completed"),
    )


# Text


def test_what_was_said_is_written_a_moment_later_in_one_batch() -> None:
    async def main() -> None:
        store = TroubledStore()
        async with Call(store) as call:
            call.tell(write(1), write(2))
            await asyncio.sleep(0.09)
            assert store.batches == []
            call.tell(*said("Hi"))
            await asyncio.sleep(0.02)
            assert store.batches == [3]
            assert await call.stored() == (user("text 1"), user("text 2"), agent("Hi"))
            await asyncio.sleep(60)
            assert store.batches == [3], "nothing is written where nothing happens"
            call.tell(write(3))
            await asyncio.sleep(1)
            assert store.batches == [3, 1]
            assert await call.scribe.flush()
            call.tell(write(4))
            await asyncio.sleep(0.05)
            call.tell(write(5))
            await asyncio.sleep(1)
            assert store.batches == [3, 1, 2], "a flush hurries once"

    run_in_virtual_time(main())


def test_late_words_withdrawn_texts_and_what_was_heard() -> None:
    async def main() -> None:
        async with Call(TroubledStore()) as call:
            call.tell(UserTurn(turn_id="t1", phase="committed", audio_ms=1), *said("One. Two."), write(1))
            await asyncio.sleep(1)
            call.tell(
                InputTranscript(turn_id="t1", text="Count", final=True),
                OutputHeard(response_id="r1", heard_ms=500, text="One.", basis="measured"),
                CommandSettled(command_id="c1", fault=Fault(category="closed", message="Over.")),
            )
            await asyncio.sleep(1)
            assert await call.store.load("call") == [
                Record(place=0, key="t1", item=user("Count")),
                Record(place=1, key="r1", item=agent("One.", interrupted=True), said="One. Two.", heard_ms=500),
            ]

    run_in_virtual_time(main())


def test_closing_writes_the_rest_at_once() -> None:
    async def main() -> None:
        store = TroubledStore()
        async with no_leaked_tasks():
            async with Call(store) as call:
                call.tell(write(1))
            assert asyncio.get_running_loop().time() < 0.05
            await call.scribe.aclose()
        assert await call.stored() == (user("text 1"),)

    run_in_virtual_time(main())


def test_a_flush_waits_until_all_is_written() -> None:
    async def main() -> None:
        store = TroubledStore(takes_s=1)
        async with Call(store) as call:
            call.tell(write(1))
            await asyncio.sleep(0.5)
            call.tell(write(2))
            assert await call.scribe.flush()
            assert await call.stored() == (user("text 1"), user("text 2"))
            assert asyncio.get_running_loop().time() == pytest.approx(2.1, abs=0.01)
            assert await call.scribe.flush()
            call.tell(write(3))
            assert not await call.scribe.flush(0.5)

    run_in_virtual_time(main())


def test_a_scribe_that_was_never_started_closes_without_a_word() -> None:
    async def main() -> None:
        call = Call(TroubledStore())
        call.scribe.heard_audio(FRAME)
        call.scribe.happened(said("Hi")[0])
        assert await call.scribe.flush()
        await call.scribe.aclose()
        assert call.faults == []

    run_in_virtual_time(main())


# Going on


def test_another_process_goes_on_where_the_first_was(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "calls.db"
        turn = UserTurn(turn_id="t1", phase="committed", audio_ms=40)
        for number in (1, 2, 3):
            store = SqliteHistoryStore(path, keeps_audio=True, in_thread=False)
            async with Call(store) as call:
                for _ in range(number):
                    call.scribe.heard_audio(FRAME)
                call.tell(
                    turn, InputTranscript(turn_id="t1", text=f"Hello {number}", final=True), *said(f"Hi {number}")
                )
                call.tell(write(number))
                texts = [getattr(item, "text", "") for item in call.chronicle.items()]
            await store.aclose()
        assert texts == [f"{word} {n}" for n in (1, 2, 3) for word in ("Hello", "Hi", "text")]
        store = SqliteHistoryStore(path, in_thread=False)
        records = await store.load("call")
        assert [record.place for record in records] == list(range(9))
        keys = [record.key for record in records]
        assert keys[:2] == ["t1", "r1"]
        assert len(set(keys)) == 9, "the same ids in another process are other keys"
        assert [len((await store.audio("call", str(keys[at])))[0]) for at in (0, 3, 6)] == [160, 320, 320]
        await store.aclose()

    run_in_virtual_time(main())


def test_tools_that_an_earlier_process_did_not_finish_are_answered() -> None:
    async def main() -> None:
        store = MemoryHistoryStore()
        async with Call(store) as call:
            call.tell(
                ToolCall(response_id="r1", call_id="a", name="f", arguments="{}"),
                ToolCall(response_id="r1", call_id="b", name="g", arguments="{}"),
                SendToolResult(call_id="a", output="3"),
            )
        async with Call(store) as call:
            told = call.chronicle.items()
        assert told[:3] == (
            ToolCallItem(call_id="a", name="f", arguments="{}"),
            ToolCallItem(call_id="b", name="g", arguments="{}"),
            ToolResultItem(call_id="a", output="3"),
        )
        (answer,) = told[3:]
        assert isinstance(answer, ToolResultItem)
        assert (answer.call_id, answer.is_error) == ("b", True)
        assert "restarted" in answer.output
        assert await call.stored() == told, "so that a third one need not guess"

    run_in_virtual_time(main())


async def test_a_store_that_can_not_be_read_is_told_before_the_call(tmp_path: Path) -> None:
    store = SqliteHistoryStore(tmp_path / "no" / "calls.db")
    with pytest.raises(ConfigError, match="can't hold a history"):
        await Call(store).scribe.resume()
    await store.aclose()


# Any conversation

ids = st.sampled_from(["1", "2", "3"])
words = st.text(max_size=5)
happenings = st.one_of(
    st.builds(SendText, id=ids.map("c{}".format), text=words),
    st.builds(SendToolResult, id=ids.map("c{}".format), call_id=ids, output=words),
    st.builds(CommandSettled, command_id=ids.map("c{}".format), fault=st.just(Fault(category="closed", message="x"))),
    st.builds(
        UserTurn,
        turn_id=ids.map("t{}".format),
        phase=st.sampled_from(["speech", "committed", "discarded"]),
        audio_ms=st.just(0.0),
    ),
    st.builds(InputTranscript, turn_id=ids.map("t{}".format), text=words, final=st.booleans()),
    st.builds(ResponseStarted, response_id=ids.map("r{}".format), cause=st.just("user"), aside=st.booleans()),
    st.builds(OutputText, response_id=ids.map("r{}".format), delta=words),
    st.builds(
        OutputHeard, response_id=ids.map("r{}".format), heard_ms=st.just(1.0), text=words, basis=st.just("measured")
    ),
    st.builds(ToolCall, response_id=st.just("r1"), call_id=ids, name=words, arguments=words),
    st.builds(ToolCallCancelled, call_id=ids),
    st.sampled_from(["wait", "fail", "mend", "restart"]),
)


def answered(items: tuple[Item, ...]) -> list[Item]:
    """Without what a restart says in place of a tool."""
    return [item for item in items if not (isinstance(item, ToolResultItem) and item.output == _UNANSWERED)]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(told=st.lists(happenings, max_size=30))
def test_the_store_has_any_conversation_whatever_happened_to_it(
    kind: str, told: list[Command | Event | str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def main() -> None:
        path = tmp_path_factory.mktemp("history") / "calls.db"
        store = SqliteHistoryStore(path, in_thread=False) if kind == "sqlite" else TroubledStore()
        call = await Call(store).__aenter__()
        for one in told:
            if one == "wait":
                await asyncio.sleep(0.11)
            elif one == "restart":
                await call.scribe.aclose()
                before = call.chronicle.items()
                call = await Call(store).__aenter__()
                assert answered(call.chronicle.items()) == answered(before)
            elif isinstance(one, str):
                if isinstance(store, TroubledStore):
                    store.failure = OSError("no") if one == "fail" else None
                    store.after_all = bool(len(told) % 2)
            else:
                call.tell(one)
            if one == "fail" and isinstance(store, TroubledStore):
                await asyncio.sleep(0.11)
                store.failure = None
        await call.scribe.aclose()
        assert await call.stored() == call.chronicle.items()
        await store.aclose()

    run_in_virtual_time(main())


# Trouble


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


def test_a_store_that_hangs_at_the_end_holds_up_the_end_for_five_seconds_only() -> None:
    async def main() -> None:
        store = TroubledStore(takes_s=1000)
        async with no_leaked_tasks(), Call(store) as call:
            call.tell(write(1))
        assert asyncio.get_running_loop().time() == pytest.approx(5, abs=0.1)
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


# Audio and consent


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
            call.tell(*spoken_turn(2, 20, 40))
            await asyncio.sleep(0.2)
            assert await call.stored() == (agent("May I record this?"),)
            assert (await store.audio("call", "t1"))[0] == b""
            assert (await store.audio("call", "t2"))[0] == FRAME
            call.scribe.may_record = False
            call.tell(write(1))
        assert await call.stored() == (agent("May I record this?"),)
        assert call.faults == []

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
