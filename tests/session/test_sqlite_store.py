"""The SQLite file: who may read it, who it is refused from, and what is left of it when a program is killed."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.items import MessageItem
from voicebridge.core.history import History
from voicebridge.core.history_record import AudioChunk, DamagedRecord, Record
from voicebridge.session.sqlite_store import SqliteHistoryStore
from voicebridge.testing.clock import run_in_virtual_time
from voicebridge.testing.guards import loop_lag, no_leaked_threads, open_files

WRITER = """
import asyncio, sys
from voicebridge.contract.items import MessageItem
from voicebridge.core.history_record import Record
from voicebridge.session.sqlite_store import SqliteHistoryStore

async def main(path, conversation, batches):
    store = SqliteHistoryStore(path)
    for batch in range(batches):
        records = [
            Record(place=10 * batch + i, key=f"t{i}", item=MessageItem(role="user", text=f"{batch} " * 300))
            for i in range(10)
        ]
        await store.write(conversation, records)
        print(batch, flush=True)
    await store.aclose()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def at(place: int, text: str) -> Record:
    return Record(place=place, key=f"t{place}", item=MessageItem(role="user", text=text))


def writer(path: Path, conversation: str, batches: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), conversation, str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


async def test_another_process_goes_on_with_it(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    await store.aclose()
    again = SqliteHistoryStore(path)
    assert await again.load("a") == [at(0, "x")]
    await again.aclose()


async def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    files = list(path.parent.iterdir())
    assert path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}, "with those that SQLite makes beside it"
    await store.aclose()


async def test_nothing_is_left_open(path: Path) -> None:
    files = open_files()
    async with no_leaked_threads():
        store = SqliteHistoryStore(path)
        await store.write("a", [at(0, "x")])
        await store.aclose()
    assert open_files() == files
    with pytest.raises(ConfigError, match="open the store again"):
        await store.load("a")


async def test_what_is_deleted_can_not_be_found_in_the_file(path: Path) -> None:
    store = SqliteHistoryStore(path)
    secret = "my number is 5551234 " * 500
    await store.write("a", [at(0, secret)], [AudioChunk(key="t0", offset=0, pcm=b"VOICE" * 5000, format=DOOR_FORMAT)])
    await store.write("b", [at(0, "other")])
    await store.delete("a")
    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"other" in left
    assert b"5551234" not in left
    assert b"VOICEVOICE" not in left
    await store.aclose()


# Files that it can't use


async def refused(path: Path, match: str) -> None:
    store = SqliteHistoryStore(path)
    for _ in range(2):
        with pytest.raises(ConfigError, match=match):
            await store.load("a")
    await store.aclose()


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("To whom it may concern. " * 100)
    asyncio.run(refused(path, "no SQLite database.*name another file"))
    assert path.read_text().startswith("To whom"), "and it is as it was"


async def test_the_database_of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE conversations (id INTEGER)")
    await refused(path, "another program's database")


async def test_a_file_of_a_newer_version(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    await store.aclose()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 2")
    await refused(path, r"newer voicebridge \(format 2; this one knows 1\): update voicebridge")


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    await refused(tmp_path / "no" / "calls.db", "No such file or directory.*in a folder that is there")


async def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    await refused(tmp_path, "can't hold a history")


async def test_a_name_that_can_not_be_written(path: Path) -> None:
    store = SqliteHistoryStore(path)
    with pytest.raises(ConfigError, match="can't hold this"):
        await store.write("\ud800", [at(0, "x")])
    with pytest.raises(ConfigError, match="can't hold this"):
        await store.write("a", [at(0, "x"), at(2**70, "y")])
    assert await store.load("a") == [], "all or nothing"
    await store.write("a", [at(0, "x")])
    await store.aclose()


async def test_a_full_disk_takes_what_it_is_told_when_there_is_room_again(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    file = store._file
    assert file is not None
    (pages,) = file.execute("PRAGMA page_count").fetchone()
    file.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(VoiceBridgeError, match=r"disk is full.*has room") as caught:
        await store.write("a", [at(1, "y"), at(2, "z" * 100_000)])
    assert caught.value.retryable
    assert await store.load("a") == [at(0, "x")], "all or nothing"
    file.execute("PRAGMA max_page_count = 1000000")
    await store.write("a", [at(1, "y"), at(2, "z" * 100_000)])
    assert len(await store.load("a")) == 3
    await store.aclose()


# Entries that it can't read


@pytest.mark.parametrize("damage", [b"{", b"\xff\xfe", b"", b'{"place": 7, "item": null}', b'{"place": 1, "item": {}}'])
async def test_a_damaged_entry_is_left_out_and_stays_in_the_file(path: Path, damage: bytes) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x"), at(1, "y"), at(2, "z")])
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE records SET record = CAST(? AS TEXT) WHERE place = 1", (damage,))
    first, damaged, last = await store.load("a")
    assert (first, last) == (at(0, "x"), at(2, "z"))
    assert isinstance(damaged, DamagedRecord)
    assert (damaged.place, damaged.item) == (1, None)
    assert damaged.why.startswith(f"Entry 1 of the conversation 'a' in {path} can't be read: ")
    history = History([first, damaged, last])
    assert [getattr(item, "text", "") for item in history.items()] == ["x", "z"]
    await store.write("a", history.changed())
    await store.write("a", [at(3, "more")])
    await store.aclose()
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT CAST(record AS BLOB) FROM records ORDER BY place").fetchall()
    assert rows[1] == (damage,)
    assert len(rows) == 4


async def test_the_place_of_a_damaged_last_entry_is_not_given_again(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x"), at(1, "y")])
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE records SET record = '{' WHERE place = 1")
    history = History(await store.load("a"))
    history.append(MessageItem(role="user", text="z"))
    assert [record.place for record in history.changed()] == [2]
    await store.aclose()


# Calls in other processes

CLAIMER = """
import asyncio, sys, time
from voicebridge.session.sqlite_store import SqliteHistoryStore

async def main():
    store = SqliteHistoryStore(sys.argv[1])
    await store.claim("a", "other")
    print("claimed", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def claimer(path: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", CLAIMER, str(path)], stdin=pipe, stdout=pipe, text=True)


async def test_a_conversation_of_another_process_is_free_when_that_is_gone(path: Path) -> None:
    process = claimer(path)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "claimed\n"
    store = SqliteHistoryStore(path)
    with pytest.raises(ConfigError, match=rf"in use by another call \(process {process.pid} on "):
        await store.claim("a", "mine")
    process.kill()
    await asyncio.to_thread(process.communicate)
    await store.claim("a", "mine")
    await store.write("a", [at(0, "x")], writer="mine")
    with pytest.raises(VoiceBridgeError, match="taken"):
        await store.write("a", [at(0, "y")], writer="other")
    await store.aclose()


async def test_a_call_of_this_program_that_could_not_let_go_is_gone_all_the_same(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.claim("a", "first")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        leaving = asyncio.create_task(store.release("a", "first"))
        await asyncio.sleep(0.05)
        await store.aclose()
        with pytest.raises(VoiceBridgeError, match="held it"):
            await leaving
    again = SqliteHistoryStore(path)
    await again.claim("a", "second")
    await again.aclose()


async def test_a_file_that_was_made_before_there_were_claims(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    await store.aclose()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DROP TABLE writers")
    again = SqliteHistoryStore(path)
    await again.claim("a", "mine")
    assert await again.load("a") == [at(0, "x")]
    await again.aclose()


# Others at the same file


async def test_a_file_that_another_program_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voicebridge.session.sqlite_store._BUSY_S", 0.05)
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(VoiceBridgeError, match="another program has held it") as caught:
            await store.write("a", [at(1, "y")])
        assert caught.value.fault.category == "busy"
        assert caught.value.retryable
        assert await store.load("a") == [at(0, "x")], "it may be read"
        other.execute("ROLLBACK")
    await store.write("a", [at(1, "y")])
    assert await store.load("a") == [at(0, "x"), at(1, "y")]
    await store.aclose()


async def test_closing_does_not_wait_for_another_program(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("voicebridge.session.sqlite_store._BUSY_S", 600.0)
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        writing = [asyncio.create_task(store.write("a", [at(n, "y")])) for n in (1, 2, 3)]
        await asyncio.sleep(0.05)
        await store.aclose()
        assert all(thread.name != "voicebridge history" for thread in threading.enumerate())
        assert "does not answer" not in caplog.text
        results = await asyncio.gather(*writing, return_exceptions=True)
    assert all(isinstance(result, VoiceBridgeError) for result in results), "and nobody is left waiting"


async def test_a_disk_that_does_not_answer_is_told_when_the_store_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("voicebridge.session.sqlite_store._CLOSE_S", 0.05)
    store = SqliteHistoryStore(path)
    answers = threading.Event()
    hanging = asyncio.create_task(store._do(lambda file: answers.wait()))
    await asyncio.sleep(0.05)
    await store.aclose()
    assert "does not answer" in caplog.text
    assert str(path) in caplog.text
    answers.set()
    assert await hanging


async def test_the_loop_goes_on_while_another_program_holds_the_file(path: Path) -> None:
    store = SqliteHistoryStore(path)
    await store.write("a", [at(0, "x")])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.write("a", [at(1, "y")]))
        async with loop_lag(0.25):
            await asyncio.sleep(0.5)
        assert not writing.done()
        other.execute("COMMIT")
    await writing
    await store.aclose()


async def test_many_make_the_file_at_once(tmp_path: Path) -> None:
    for attempt in range(5):
        stores = [SqliteHistoryStore(tmp_path / f"{attempt}.db") for _ in range(8)]
        await asyncio.gather(*(store.write("a", [at(number, "x")]) for number, store in enumerate(stores)))
        assert [record.place for record in await stores[0].load("a")] == list(range(8))
        await asyncio.gather(*(store.aclose() for store in stores))


async def test_two_processes_write_at_once(path: Path) -> None:
    writers = [writer(path, name, 60) for name in ("a", "b")]
    for process in writers:
        _, errors = await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == 0, errors
    store = SqliteHistoryStore(path)
    for name in ("a", "b"):
        assert [record.place for record in await store.load(name)] == list(range(600))
    await store.aclose()


@pytest.mark.parametrize("after", [1, 7, 23])
def test_a_program_that_is_killed_leaves_whole_batches(path: Path, after: int) -> None:
    process = writer(path, "a", 100_000)
    assert process.stdout is not None
    known = -1
    for line in process.stdout:
        known = int(line)
        if known >= after:
            break
    time.sleep(0.003)  # somewhere in the next batches
    process.kill()
    rest, _ = process.communicate(timeout=60)
    known = max([known, *(int(line) for line in rest.split())])

    async def go_on() -> list[Record]:
        store = SqliteHistoryStore(path)
        records = await store.load("a")
        await store.write("a", [at(len(records), "on it goes")])
        await store.aclose()
        return records

    records = asyncio.run(go_on())
    assert [record.place for record in records] == list(range(len(records))), "from the first on, without a hole"
    assert len(records) % 10 == 0
    assert len(records) >= 10 * (known + 1), "and all that the store said it had"


def test_in_the_callers_thread_for_virtual_time(path: Path) -> None:
    async def main() -> None:
        store = SqliteHistoryStore(path, in_thread=False)
        await store.write("a", [at(0, "x")])
        assert await store.load("a") == [at(0, "x")]
        await store.aclose()

    run_in_virtual_time(main())
