"""What every store promises, and the URLs that name them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.items import MessageItem, ToolCallItem, ToolResultItem
from voicebridge.core.history_record import AudioChunk, Record
from voicebridge.session.history_store import HistoryStore, MemoryHistoryStore, new_conversation, open_store
from voicebridge.session.sqlite_store import SqliteHistoryStore

ULAW = AudioFormat(encoding="ulaw", rate=8_000)
HELLO = Record(place=0, key="t1", item=MessageItem(role="user", text="Hello ☎\x00\n", images=("data:x",)))
CALL = Record(place=1, key="call k", item=ToolCallItem(call_id="k", name="f", arguments="{}"))
RESULT = Record(place=2, key="c1", item=ToolResultItem(call_id="k", output="3", is_error=True))
ANSWER = Record(
    place=3,
    key="r1",
    item=MessageItem(role="assistant", text="One.", interrupted=True),
    said="One. Two.",
    heard_ms=312.5,
)


def at(place: int, text: str) -> Record:
    return Record(place=place, key=f"t{place}", item=MessageItem(role="user", text=text))


def chunk(key: str, offset: int, pcm: bytes, format: AudioFormat = DOOR_FORMAT) -> AudioChunk:
    return AudioChunk(key=key, offset=offset, pcm=pcm, format=format)


class Clock:
    """Seconds that a test lets go by."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[HistoryStore]:
    made = (
        MemoryHistoryStore(clock=clock)
        if request.param == "memory"
        else SqliteHistoryStore(tmp_path / "calls.db", clock=clock)
    )
    yield made
    await made.aclose()


class TestEveryStore:
    async def test_a_conversation_that_is_not_there_is_empty(self, store: HistoryStore) -> None:
        assert await store.load("a") == []
        assert (await store.audio("a", "t1"))[0] == b""
        assert await store.conversations() == []
        await store.delete("a")

    async def test_records_come_back_as_they_were_in_the_order_of_their_places(self, store: HistoryStore) -> None:
        await store.write("a", [ANSWER, RESULT])
        await store.write("a", [CALL, HELLO])
        assert await store.load("a") == [HELLO, CALL, RESULT, ANSWER]

    async def test_a_record_replaces_the_one_at_its_place(self, store: HistoryStore) -> None:
        await store.write("a", [at(0, "Hel"), at(1, "x")])
        await store.write("a", [at(0, "Hello")])
        await store.write("a", [at(0, "Hello")])
        assert await store.load("a") == [at(0, "Hello"), at(1, "x")]

    async def test_a_withdrawn_record_leaves_nothing(self, store: HistoryStore) -> None:
        await store.write("a", [at(0, "x"), at(1, "y")], [chunk("t0", 0, b"ab"), chunk("t1", 0, b"cd")])
        gone = [Record(place=0, key="t0", item=None), Record(place=7, key=None, item=None)]
        await store.write("a", gone)
        assert await store.load("a") == [at(1, "y")]
        assert (await store.audio("a", "t0"))[0] == b""
        assert (await store.audio("a", "t1"))[0] == b"cd"

    async def test_conversations_do_not_mix(self, store: HistoryStore) -> None:
        await store.write("a", [at(0, "a")], [chunk("t0", 0, b"aa")])
        await store.write("b", [at(0, "b")], [chunk("t0", 0, b"bb")])
        await store.write("b", [Record(place=0, key="t0", item=None)])
        assert await store.load("a") == [at(0, "a")]
        assert await store.load("b") == []
        assert (await store.audio("a", "t0"))[0] == b"aa"

    async def test_audio_is_joined_by_its_offsets(self, store: HistoryStore) -> None:
        await store.write("a", audio=[chunk("t1", 2, b"cd", ULAW), chunk("t2", 0, b"zz", ULAW)])
        await store.write("a", audio=[chunk("t1", 0, b"ab", ULAW)])
        assert await store.audio("a", "t1") == (b"abcd", ULAW)
        assert await store.load("a") == []

    async def test_audio_that_is_written_twice_is_there_once(self, store: HistoryStore) -> None:
        await store.write("a", audio=[chunk("t1", 0, b"ab")])
        await store.write("a", audio=[chunk("t1", 0, b"ab"), chunk("t1", 2, b"cd")])
        assert await store.audio("a", "t1") == (b"abcd", DOOR_FORMAT)

    async def test_audio_that_is_written_again_with_what_followed(self, store: HistoryStore) -> None:
        await store.write("a", audio=[chunk("t1", 0, b"ab"), chunk("t1", 2, b"cd")])
        await store.write("a", audio=[chunk("t1", 0, b"abcdef")])
        assert (await store.audio("a", "t1"))[0] == b"abcdef"

    @pytest.mark.parametrize(("encoding", "silence"), [("pcm16", b"\x00"), ("ulaw", b"\xff"), ("alaw", b"\xd5")])
    async def test_what_is_missing_in_the_middle_is_silent(
        self, store: HistoryStore, encoding: str, silence: bytes
    ) -> None:
        format = AudioFormat(encoding=encoding, rate=8_000)  # type: ignore[arg-type]  # of the three
        await store.write("a", audio=[chunk("t1", 2, b"ab", format), chunk("t1", 6, b"cd", format)])
        assert await store.audio("a", "t1") == (silence * 2 + b"ab" + silence * 2 + b"cd", format)

    async def test_audio_is_forgotten_after_all_else_is_written(self, store: HistoryStore) -> None:
        await store.write("a", audio=[chunk("t1", 0, b"ab"), chunk("t2", 0, b"cd")])
        await store.write("a", audio=[chunk("t1", 2, b"ef")], forget=["t1", "nobody"])
        assert (await store.audio("a", "t1"))[0] == b""
        assert (await store.audio("a", "t2"))[0] == b"cd"

    async def test_what_there_is_and_since_when(self, store: HistoryStore) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)
        for name in ("a", "b", "a"):
            await store.write(name, [at(0, "x")])
        found = await store.conversations()
        assert [conversation.name for conversation in found] == ["a", "b"]
        for conversation in found:
            assert before < conversation.began <= conversation.changed < before + timedelta(minutes=1)
        assert found[0].began < found[0].changed

    async def test_a_deleted_conversation_is_gone_and_may_begin_again(self, store: HistoryStore) -> None:
        await store.write("a", [HELLO], [chunk("t1", 0, b"ab")])
        await store.write("b", [HELLO], [chunk("t1", 0, b"cd")])
        await store.delete("a")
        assert await store.load("a") == []
        assert (await store.audio("a", "t1"))[0] == b""
        assert [conversation.name for conversation in await store.conversations()] == ["b"]
        await store.write("a", [CALL])
        assert await store.load("a") == [CALL]
        assert (await store.audio("b", "t1"))[0] == b"cd"

    # Who may write

    async def test_a_conversation_is_claimed_by_one_call_at_a_time(self, store: HistoryStore) -> None:
        await store.claim("a", "first")
        await store.claim("a", "first")
        await store.claim("b", "second")
        with pytest.raises(ConfigError, match=r"'a' is in use by another call.*another `conversation`") as caught:
            await store.claim("a", "second")
        assert caught.value.fault.code == "conversation_in_use"
        await store.release("a", "second")
        with pytest.raises(ConfigError, match="in use"):
            await store.claim("a", "second")
        await store.write("a", [HELLO], writer="first")
        await store.release("a", "first")
        await store.claim("a", "second")
        await store.write("a", [CALL], writer="second")
        assert await store.load("a") == [HELLO, CALL]

    async def test_a_call_that_tells_nothing_for_half_a_minute_is_taken_for_gone(
        self, store: HistoryStore, clock: Clock
    ) -> None:
        await store.claim("a", "first")
        for _ in range(3):
            clock.now += 29
            await store.write("a", writer="first")
        clock.now += 29
        with pytest.raises(ConfigError, match="wrote 29 s ago"):
            await store.claim("a", "second")
        clock.now += 2
        await store.claim("a", "second")

    async def test_who_was_taken_for_gone_writes_no_more(self, store: HistoryStore, clock: Clock) -> None:
        await store.claim("a", "first")
        await store.write("a", [at(0, "first")], [chunk("t0", 0, b"ab")], writer="first")
        clock.now += 31
        await store.write("a", [at(1, "late")], writer="first")
        clock.now += 31
        await store.claim("a", "second")
        await store.write("a", [at(2, "second")], writer="second")
        for ended in (False, True):
            if ended:
                await store.release("a", "second")
            with pytest.raises(VoiceBridgeError, match="taken the conversation 'a'") as caught:
                await store.write("a", [at(2, "zombie")], [chunk("t0", 2, b"cd")], forget=["t0"], writer="first")
            assert caught.value.fault.code == "conversation_taken"
            assert not caught.value.retryable
            await store.release("a", "first")
        assert await store.load("a") == [at(0, "first"), at(1, "late"), at(2, "second")]
        assert (await store.audio("a", "t0"))[0] == b"ab"

    async def test_a_clock_that_was_set_back_locks_nobody_out(self, store: HistoryStore, clock: Clock) -> None:
        await store.claim("a", "first")
        clock.now -= 3600
        await store.claim("a", "second")

    async def test_a_claim_alone_is_no_conversation(self, store: HistoryStore) -> None:
        await store.claim("a", "first")
        await store.write("a", writer="first")
        assert await store.conversations() == []
        await store.release("a", "first")
        await store.claim("a", "second")
        await store.write("a", [HELLO], writer="second")
        await store.delete("a")
        await store.claim("a", "third")

    async def test_closing_twice(self, store: HistoryStore) -> None:
        await store.write("a", [HELLO])
        await store.aclose()
        await store.aclose()


# URLs


def test_urls_of_stores() -> None:
    beside, rooted = open_store("sqlite:///calls.db"), open_store("sqlite:////var/my%20calls.db?audio=true")
    assert isinstance(beside, SqliteHistoryStore)
    assert isinstance(rooted, SqliteHistoryStore)
    assert (beside.path, beside.keeps_audio) == (Path("calls.db"), False)
    assert (rooted.path, rooted.keeps_audio) == (Path("/var/my calls.db"), True)
    memory = open_store("memory:")
    assert isinstance(memory, MemoryHistoryStore)
    assert not memory.keeps_audio
    assert open_store("memory:?audio=true").keeps_audio
    assert not open_store("memory:?audio=false").keeps_audio


@pytest.mark.parametrize(
    "url",
    [
        "",
        "calls.db",
        "sqlite:calls.db",
        "sqlite://calls.db",
        "sqlite:///",
        "sqlite:////",
        "sqlite:///:memory:",
        "redis://x",
    ],
)
def test_an_unknown_url_is_answered_with_those_that_there_are(url: str) -> None:
    with pytest.raises(ConfigError, match=r"memory:.*sqlite:///calls\.db.*sqlite:////var/calls\.db"):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://x:secretpw@host/db",
        "postgres://x:secret/pw@host/db?sslkey=secretpw",
        "x:secretpw@host",
        "sqlite:///calls.db?password=secretpw",
        "sqlite://x:secretpw@host/calls.db?mode=ro",
    ],
)
def test_a_password_in_a_url_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
    assert url.partition(":")[0] in str(caught.value)[:50] or url.startswith("x:")


@pytest.mark.parametrize("query", ["audio", "audio=yes", "Audio=true", "audio=true&x=1", "mode=ro"])
def test_an_unknown_option_is_answered_with_the_one_that_there_is(query: str) -> None:
    with pytest.raises(ConfigError, match="audio=true"):
        open_store(f"sqlite:///calls.db?{query}")


def test_no_two_conversations_get_the_same_name() -> None:
    assert len({new_conversation() for _ in range(100)}) == 100
