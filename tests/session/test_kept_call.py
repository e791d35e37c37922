"""A call whose conversation is kept: by whole sessions, over their connections and in other processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import voicebridge
from voicebridge.contract.call_policy import CallPolicy
from voicebridge.contract.commands import Interrupt, SendText
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import BackendError, OutputHeard, OutputText, ResponseEnded, ToolCall
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.history import History
from voicebridge.session.history_store import HistoryStore, MemoryHistoryStore
from voicebridge.session.sqlite_store import SqliteHistoryStore
from voicebridge.testing.guards import no_leaked_tasks, no_leaked_threads, open_files
from voicebridge.testing.script import Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend

from .managed_call import call, virtually

PROCESS = """
import asyncio, dataclasses, json, sys
import voicebridge
from voicebridge.testing.script import Call, Reply
from voicebridge.testing.scripted_session import ScriptedBackend

async def look_up(question: str) -> str:
    "Look it up."
    return f"all about {question}"

async def main(url, question):
    seeds = []

    class Backend(ScriptedBackend):
        def connect(self, config, history=(), resume=None):
            seeds.append(history)
            return super().connect(config, history, resume)

    asks = Reply("Let me see.", calls=(Call("look_up", json.dumps({"question": question})),))
    backend = Backend(asks, f"That is {question}.", character_ms=1)
    async with voicebridge.connect(backend, tools=[look_up], history=url, conversation="monday") as session:
        if question:
            await session.send(voicebridge.SendText(text=f"What is {question}?"))
            ended = 0
            async for event in session:
                ended += isinstance(event, voicebridge.ResponseEnded)
                if ended == 2:
                    break
        known = [[type(item).__name__, dataclasses.asdict(item)] for item in session.history]
        seed = [[type(item).__name__, dataclasses.asdict(item)] for item in seeds[0]]
        print(json.dumps([seed, known]))

asyncio.run(main(*sys.argv[1:]))
"""


def as_json(items: Any) -> list[Any]:
    return json.loads(json.dumps([[type(item).__name__, asdict(item)] for item in items]))


def user(text: str) -> MessageItem:
    return MessageItem(role="user", text=text)


def agent(text: str, *, interrupted: bool = False) -> MessageItem:
    return MessageItem(role="assistant", text=text, interrupted=interrupted)


async def kept(store: HistoryStore, conversation: str = "monday") -> tuple[Item, ...]:
    """What a later process is told."""
    return History(await store.load(conversation)).items()


def exchange(question: str, call_id: str) -> list[Item]:
    return [
        user(f"What is {question}?"),
        agent("Let me see."),
        ToolCallItem(call_id=call_id, name="look_up", arguments=json.dumps({"question": question})),
        ToolResultItem(call_id=call_id, output=f"all about {question}"),
        agent(f"That is {question}."),
    ]


# Other processes


def test_a_conversation_goes_on_in_one_process_after_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'calls.db'}"

    def talk(question: str) -> tuple[Any, Any]:
        ended = subprocess.run([sys.executable, "-c", PROCESS, url, question], capture_output=True, timeout=60)
        assert ended.returncode == 0, ended.stderr.decode()
        seed, known = json.loads(ended.stdout)
        return seed, known

    seed, first = talk("rain")
    assert seed == []
    assert first == as_json(exchange("rain", "call-1"))
    seed, second = talk("snow")
    assert seed == first, "the model is told what the earlier one knew"
    assert second == as_json(exchange("rain", "call-1") + exchange("snow", "call-1@2")), "its calls are counted anew"
    seed, third = talk("")
    assert seed == third == second

    async def loaded() -> tuple[Item, ...]:
        store = SqliteHistoryStore(tmp_path / "calls.db")
        items = await kept(store)
        await store.aclose()
        return items

    assert as_json(asyncio.run(loaded())) == second


def test_who_is_killed_in_mid_call_is_gone_on_with_at_once(tmp_path: Path) -> None:
    hangs = PROCESS.replace("ended == 2", "ended == 3")
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    process = subprocess.Popen([sys.executable, "-c", hangs, url, "rain"])
    try:
        for _ in range(600):
            items = asyncio.run(_peeked(tmp_path / "calls.db"))
            if items and items[-1] == agent("That is rain."):
                break
        else:
            raise AssertionError(items)
    finally:
        process.kill()
        process.wait()
    ended = subprocess.run([sys.executable, "-c", PROCESS, url, ""], capture_output=True, timeout=60)
    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout)[1] == as_json(exchange("rain", "call-1"))


async def _peeked(path: Path) -> tuple[Item, ...]:
    await asyncio.sleep(0.05)
    store = SqliteHistoryStore(path)
    try:
        return await kept(store)
    finally:
        await store.aclose()


# What is kept


@virtually
async def test_what_was_heard_is_what_is_kept(tmp_path: Path) -> None:
    store = SqliteHistoryStore(tmp_path / "calls.db", in_thread=False)
    backend = ScriptedBackend("One two three four five six.", "Go on.", character_ms=100)
    async with call(backend, hears=False, history=store, conversation="monday") as person:
        await person.session.send(SendText(text="Count."))
        started = await person.wait(OutputText)
        await asyncio.sleep(0.5)
        await person.session.send(Interrupt(heard={started.response_id: 800}))
        await person.wait(OutputHeard)
        await asyncio.sleep(0.5)
        known = person.managed.history
        assert known == (user("Count."), agent("One two", interrupted=True))
        assert await kept(store) == known
        await person.session.send(SendText(text="And?"))
        await person.wait(OutputHeard, text="Go on.")
    assert person.managed.history == await kept(store) == (*known, user("And?"), agent("Go on."))
    cut = (await store.load("monday"))[1]
    assert cut.said.startswith("One two three")
    assert cut.heard_ms == pytest.approx(800, abs=200)
    await store.aclose()


@virtually
async def test_a_call_over_several_backends_is_one_conversation(tmp_path: Path) -> None:
    def look_up() -> str:
        return "sunny"

    store = SqliteHistoryStore(tmp_path / "calls.db", in_thread=False)
    asks = Reply("Let me see.", calls=(Call("look_up"),))
    first, second = ScriptedBackend(asks, "It is sunny."), ScriptedBackend(asks, "It is sunny, still.")
    async with call(first, hears=False, history=store, conversation="monday", tools=[look_up]) as person:
        await person.session.send(SendText(text="And today?"))
        await person.wait(OutputHeard, text="It is sunny.")
        await person.managed.switch(second)
        await person.session.send(SendText(text="And now?"))
        await person.wait(OutputHeard, text="It is sunny, still.")
        ids = [told.call_id for told in person.all(ToolCall)]
    assert len(set(ids)) == 2
    result = [ToolResultItem(call_id=one, output="sunny") for one in ids]
    called = [ToolCallItem(call_id=one, name="look_up", arguments="{}") for one in ids]
    assert person.managed.history == await kept(store)
    assert await kept(store) == (
        *(user("And today?"), agent("Let me see."), called[0], result[0], agent("It is sunny.")),
        *(user("And now?"), agent("Let me see."), called[1], result[1], agent("It is sunny, still.")),
    )
    assert [one.name for one in await store.conversations()] == ["monday"]
    await store.aclose()


@virtually
async def test_the_voice_of_each_entry_can_be_had_back() -> None:
    async def yes() -> bool:
        return True

    store = MemoryHistoryStore(keeps_audio=True)
    policy = CallPolicy(consent=yes)
    async with call(ScriptedBackend("Hi."), history=store, policy=policy) as person:
        await asyncio.sleep(0.1)
        await person.speak(500)
        await person.until(ResponseEnded)
        await person.until(OutputHeard)
        name = person.managed.conversation
    voices = {}
    for record in await store.load(name):
        assert record.key is not None
        assert isinstance(record.item, MessageItem)
        pcm, format = await store.audio(name, record.key)
        voices[record.item.role] = format.ms(len(pcm))
    assert voices["assistant"] == pytest.approx(3 * 60)
    assert voices["user"] >= 500


# Trouble


async def opened(backend: Any, **options: Any) -> None:
    async with voicebridge.connect(backend, **options) as session:
        await session.send(SendText(text="Hello"))
        async for event in session:
            if isinstance(event, ResponseEnded):
                return


class Broken(ScriptedBackend):
    """Takes no config."""

    def connect(self, *_: Any, **__: Any) -> Any:
        raise ConfigError("No such voice.")


@pytest.mark.parametrize("fails", [False, True])
async def test_nothing_of_a_store_that_a_url_names_is_left_open(tmp_path: Path, fails: bool) -> None:
    url, files = f"sqlite:///{tmp_path / 'calls.db'}", open_files()
    backend = Broken("Hi.") if fails else ScriptedBackend("Hi.", character_ms=1)
    async with no_leaked_tasks(), no_leaked_threads():
        for _ in range(2):  # the conversation is free again as well
            with pytest.raises(ConfigError, match="No such voice") if fails else nullcontext():
                await opened(backend, history=url, conversation="monday")
    assert open_files() == files


async def test_a_conversation_is_refused_to_a_second_session(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'calls.db'}"
    backend = ScriptedBackend("Hi.", character_ms=1)
    async with no_leaked_threads():
        async with voicebridge.connect(backend, history=url, conversation="monday") as first:
            with pytest.raises(ConfigError, match="'monday' is in use by another call") as caught:
                await opened(backend, history=url, conversation="monday")
            assert caught.value.fault.code == "conversation_in_use"
            await first.send(SendText(text="One"))
        await opened(backend, history=url, conversation="monday")
        async with voicebridge.connect(backend, history=url, conversation="monday") as session:
            assert [item.text for item in session.history if item.role == "user"] == ["One", "Hello"]


@virtually
async def test_a_session_whose_conversation_was_taken_says_so_and_goes_on() -> None:
    ahead = [0.0]
    store = MemoryHistoryStore(clock=lambda: asyncio.get_running_loop().time() + ahead[0])
    backend = ScriptedBackend("Hi.")
    async with call(backend, hears=False, history=store, conversation="monday") as zombie:
        await zombie.session.send(SendText(text="One"))
        await asyncio.sleep(1)
        ahead[0] = 60.0  # the machine slept
        async with call(backend, hears=False, history=store, conversation="monday") as heir:
            await heir.session.send(SendText(text="Two"))
            await asyncio.sleep(1)
            await zombie.session.send(SendText(text="Lost"))
            await asyncio.sleep(20)
            assert len(zombie.all(ResponseEnded, status="completed")) == 2, "the call goes on"
            [told] = zombie.all(BackendError)
            assert (told.fault.code, told.fatal) == ("conversation_taken", False)
        assert heir.all(BackendError) == []
    assert [item.text for item in await kept(store) if item.role == "user"] == ["One", "Two"]


@virtually
async def test_a_damaged_entry_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    store = SqliteHistoryStore(path, in_thread=False)
    backend = ScriptedBackend("Hi.")
    for text in ("One", "Two"):
        async with call(backend, hears=False, history=store, conversation="monday") as person:
            await person.session.send(SendText(text=text))
            await person.wait(OutputHeard)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE records SET record = '{' WHERE place = 1")
    async with call(backend, hears=False, history=store, conversation="monday") as person:
        told = await person.wait(BackendError)
        assert told.fault.code == "history_damaged"
        assert f"Entry 1 of the conversation 'monday' in {path}" in told.fault.message
        assert person.managed.history == (user("One"), user("Two"), agent("Hi."))
    await store.aclose()
