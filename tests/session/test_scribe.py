"""The scribe: everything gets into the store, and another process goes on with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.contract.commands import Command, SendText, SendToolResult
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    InputTranscript,
    OutputHeard,
    OutputText,
    ResponseStarted,
    ToolCall,
    ToolCallCancelled,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, ToolCallItem, ToolResultItem
from voicebridge.core.history_record import Record
from voicebridge.session.history_store import MemoryHistoryStore
from voicebridge.session.scribe import _UNANSWERED
from voicebridge.session.sqlite_store import SqliteHistoryStore
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import no_leaked_tasks

from .scribed_call import FRAME, Call, TroubledStore, agent, said, user, write

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
