"""`--history` of ask, and `voicebridge history` of what it kept."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import wave
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from voicebridge import MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.history_record import Record
from voicebridge.session.sqlite_store import SqliteHistoryStore

from .conftest import Ended

Run = Callable[..., Ended]
HISTORY = "sqlite:///calls.db"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The history is beside the program."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(run: Run, speech: Path, *more: object) -> Ended:
    ended = run("ask", speech, "-b", "scripted", "--fast", "--history", HISTORY, *more)
    assert ended.status == 0, ended.err
    return ended


def keep(name: str, *records: Record) -> None:
    """Put these into the history."""

    async def main() -> None:
        store = SqliteHistoryStore("calls.db")
        await store.write(name, records)
        await store.aclose()

    asyncio.run(main())


def test_what_was_said_is_kept_and_read_again(run: Run, speech: Path) -> None:
    asked = ask(run, speech, "--conversation", "monday")
    assert f"Read it with: voicebridge history {HISTORY} monday" in asked.err
    ended = run("history", HISTORY, "monday")
    assert (ended.status, ended.out) == (0, "user   hello there\nagent  Hi, nice to meet you.\n")


def test_a_conversation_goes_on_where_it_is_named_again(run: Run, speech: Path) -> None:
    for _ in range(2):
        ask(run, speech, "--conversation", "monday")
    assert run("history", HISTORY, "monday").out.count("user   hello there") == 2
    [listed] = json.loads(run("history", HISTORY, "--json").out)
    assert (listed["name"], listed["entries"]) == ("monday", 4)


def test_the_list_names_all_whole_and_says_how_to_read_one(run: Run, speech: Path) -> None:
    asked = ask(run, speech)
    name = asked.err.rsplit(maxsplit=1)[-1]
    assert len(name) > 40
    keep("older", Record(place=0, item=MessageItem(role="user", text="Hi.")))
    ended = run("history", HISTORY)
    lines = ended.out.splitlines()
    assert lines[0].split() == ["conversation", "began", "last", "change", "entries"]
    assert lines[1].startswith("older ")
    assert lines[1].endswith(" 1")
    assert lines[2].startswith(f"{name}  20")
    assert lines[-1] == f"Read one with: voicebridge history {HISTORY} older"


ITEMS = (
    Record(place=0, item=MessageItem(role="system", text="Be brief.")),
    Record(place=1, key="t1", item=MessageItem(role="user", text="")),
    Record(place=2, item=MessageItem(role="user", text="What is\nit?", images=("data:,x",))),
    Record(place=3, item=ToolCallItem(call_id="k", name="look", arguments="{}")),
    Record(place=4, item=ToolResultItem(call_id="k", output="a fault", is_error=True)),
    Record(
        place=5,
        item=MessageItem(role="assistant", text="It is", interrupted=True),
        said="It is a long way.",
        heard_ms=540.0,
    ),
    Record(place=6, item=MessageItem(role="assistant", text="", interrupted=True), said="Well.", heard_ms=0.0),
    Record(place=7, item=MessageItem(role="assistant", text="\x1b[31mRed.")),
)


def test_who_said_what_and_what_was_heard_of_it(run: Run) -> None:
    keep("a", *ITEMS)
    assert run("history", HISTORY, "a").out.splitlines() == [
        "note   Be brief.",
        "user   What is it? (with an image)",
        "call   look {}",
        "result a fault (failed)",
        "agent  It is (interrupted, heard for 0.5 s; it was: It is a long way.)",
        "agent  (nothing) (interrupted, heard for 0.0 s; it was: Well.)",
        "agent  ?[31mRed.",
    ]


def test_the_same_for_programs(run: Run) -> None:
    keep("a", *ITEMS)
    document = json.loads(run("history", HISTORY, "a", "--json").out)
    assert document["conversation"] == "a"
    entries = document["entries"]
    assert [entry["type"] for entry in entries] == ["message"] * 2 + ["tool_call", "tool_result"] + ["message"] * 3
    assert entries[4] == {
        "type": "message",
        "key": None,
        "role": "assistant",
        "text": "It is",
        "images": [],
        "interrupted": True,
        "said": "It is a long way.",
        "heard_ms": 540.0,
    }


def test_an_entry_that_can_not_be_read_is_told_and_the_others_are_shown(run: Run) -> None:
    keep("a", *ITEMS)
    with closing(sqlite3.connect("calls.db")) as file, file:
        file.execute("UPDATE records SET record = '{' WHERE place = 0")
    for more in ([], ["--json"]):
        ended = run("history", HISTORY, "a", *more)
        assert ended.status == 0
        assert "Entry 0 of the conversation 'a' in calls.db can't be read" in ended.err
        assert "What is" in ended.out


def test_one_is_deleted_and_the_others_stay(run: Run) -> None:
    for name in ("a", "b"):
        keep(name, *ITEMS)
    assert run("history", HISTORY, "--delete", "a").out == "Nothing of a is left.\n"
    assert [one["name"] for one in json.loads(run("history", HISTORY, "--json").out)] == ["b"]
    ended = run("history", HISTORY, "--delete", "a")
    assert ended.status == 2
    assert "There is no conversation 'a'" in ended.err


def test_none_is_left(run: Run) -> None:
    keep("a", *ITEMS)
    run("history", HISTORY, "--delete", "a")
    assert run("history", HISTORY).out == "No conversation is kept here.\n"
    assert json.loads(run("history", HISTORY, "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([HISTORY, "mondy"], "Did you mean 'monday'?"),
        ([HISTORY, "something else"], "Without a name, all are listed."),
        ([HISTORY, "monday", "--delete", "monday"], "one at a time"),
        (["sqlite:///nope.db"], "There is no history in nope.db: no such file"),
        (["sqlite:///nowhere/calls.db"], "no such file"),
        (["sqlite:///" + "x" * 300], "no such file"),
        (["sqlite:///empty.db"], "it is empty"),
        (["sqlite:///text.db"], "is damaged, or no SQLite database"),
        (["sqlite:///other.db"], "is another program's database"),
        (["sqlite:///folder"], "can't hold a history"),
        (["memory:"], "nothing is in it"),
        (["calls.db"], "Write one of"),
        ([HISTORY, "monday", "--audio", "t1"], "--out FILE.wav"),
        ([HISTORY, "--audio", "t1", "-o", "x.wav"], "name the conversation"),
        ([HISTORY, "monday", "-o", "x.wav"], "--audio KEY"),
        ([HISTORY, "monday", "--audio", "t1", "-o", "x.wav"], "sound is kept with --history ...?audio=true"),
        ([], "Missing argument"),
    ],
)
def test_what_is_no_history_is_said_and_nothing_is_made_or_changed(
    run: Run, here: Path, arguments: list[str], said: str
) -> None:
    keep("monday", *ITEMS)
    (here / "empty.db").touch()
    (here / "text.db").write_text("not a database, but long enough to be looked at" * 50)
    (here / "folder").mkdir()
    other = sqlite3.connect("other.db")
    other.execute("CREATE TABLE mine (a)")
    other.close()
    before = {path.name: path.is_file() and path.read_bytes() for path in here.iterdir()}
    ended = run("history", *arguments)
    assert ended.status == 2
    assert ended.out == ""
    assert said in ended.err
    assert {path.name: path.is_file() and path.read_bytes() for path in here.iterdir()} == before


def test_a_conversation_needs_a_history(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "-b", "scripted", "--conversation", "monday")
    assert ended.status == 2
    assert "--history sqlite:///calls.db" in ended.err


def test_a_history_that_can_not_be_written_is_said(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "-b", "scripted", "--fast", "--history", "sqlite:///nowhere/calls.db")
    assert ended.status == 2
    assert "can't hold a history" in ended.err


def test_the_sound_is_kept_where_the_user_asks_for_it(run: Run, speech: Path) -> None:
    ended = run("ask", speech, "-b", "scripted", "--fast", "--history", f"{HISTORY}?audio=true", "--conversation", "a")
    assert ended.status == 0, ended.err

    async def kept() -> int:
        store = SqliteHistoryStore("calls.db")
        records = await store.load("a")
        sizes = [len((await store.audio("a", record.key or ""))[0]) for record in records]
        await store.aclose()
        return min(sizes)

    assert asyncio.run(kept()) > 0


def test_the_sound_of_an_entry_is_written_to_a_file(run: Run, speech: Path) -> None:
    run("ask", speech, "-b", "scripted", "--fast", "--history", f"{HISTORY}?audio=true", "--conversation", "a")
    entries = json.loads(run("history", HISTORY, "a", "--json").out)["entries"]
    for entry in entries:
        ended = run("history", HISTORY, "a", "--audio", entry["key"], "-o", "voice.wav")
        assert ended.status == 0, ended.err
        assert re.fullmatch(r"\d+\.\d s in voice.wav\.\n", ended.out)
        with wave.open("voice.wav") as file:
            assert file.getnframes() / file.getframerate() > 0.1
    ended = run("history", HISTORY, "a", "--audio", "nobody", "-o", "other.wav")
    assert ended.status == 2
    assert f"There is sound of {', '.join(entry['key'] for entry in entries)}." in ended.err
    assert not Path("other.wav").exists()
    ended = run("history", HISTORY, "a", "--audio", entries[0]["key"], "-o", "calls.db")
    assert "is the history itself" in ended.err
    assert run("history", HISTORY, "a").status == 0
    ended = run("history", HISTORY, "a", "--audio", entries[0]["key"], "-o", "nowhere/voice.wav")
    assert "can't be written" in ended.err
