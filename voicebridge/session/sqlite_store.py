"""Conversations in one SQLite file, which any number of processes may write to at once.

| resource | acquired | released |
|---|---|---|
| the thread | the first use | `aclose`; it never outlives the program |
| the file's connection | the thread, at the first use | the thread, at `aclose` |

One thread has the connection, and takes one job after the other: the event loop never waits for the disk. A batch is a
transaction, so that a program that is killed leaves whole batches. The file is made for its owner alone.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.lines import dump
from voicebridge.core.history_record import AudioChunk, Record, load_record

from .history_store import Conversation, assembled

__all__ = ["SqliteHistoryStore"]

T = TypeVar("T")

_VERSION = 1
_APPLICATION = 0x76627268
"""By what the file is known as ours: `vbrh`."""
_BUSY_S = 5.0
"""How long another process may hold the file."""
_CLOSE_S = 5.0
_SCHEMA = """
CREATE TABLE conversations (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, began REAL NOT NULL, changed REAL NOT NULL
);
CREATE TABLE records (
    conversation INTEGER NOT NULL, place INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (conversation, place)
) WITHOUT ROWID;
CREATE TABLE audio (
    id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, key TEXT NOT NULL, byte_offset INTEGER NOT NULL,
    encoding TEXT NOT NULL, rate INTEGER NOT NULL, channels INTEGER NOT NULL, pcm BLOB NOT NULL,
    UNIQUE (conversation, key, byte_offset)
);
"""
_WRITE_RECORD = """
INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (conversation, place) DO UPDATE SET record = excluded.record
"""
_WRITE_AUDIO = """
INSERT INTO audio (conversation, key, byte_offset, encoding, rate, channels, pcm) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (conversation, key, byte_offset) DO UPDATE SET pcm = excluded.pcm
"""
_TOUCH = """
INSERT INTO conversations (name, began, changed) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET changed = excluded.changed RETURNING id
"""


class SqliteHistoryStore:
    """A `HistoryStore` in a file.

    Args:
        path: of the file. It is made at the first use, if its folder is there.
        keeps_audio: whether sessions are to give it their audio, too.
        in_thread: False works in the caller's thread: for virtual time, where threads come at no particular time.
    """

    def __init__(self, path: Path | str, *, keeps_audio: bool = False, in_thread: bool = True) -> None:
        self.path = Path(path)
        self.keeps_audio = keeps_audio
        self._in_thread = in_thread
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._file: sqlite3.Connection | None = None
        self._closed = False

    async def load(self, conversation: str) -> list[Record]:
        """See `HistoryStore`."""
        return await self._do(lambda file: _load(file, conversation))

    async def write(
        self,
        conversation: str,
        records: Sequence[Record] = (),
        audio: Sequence[AudioChunk] = (),
        forget: Sequence[str] = (),
    ) -> None:
        """See `HistoryStore`."""
        await self._do(lambda file: _write(file, conversation, records, audio, forget))

    async def audio(self, conversation: str, key: str) -> tuple[bytes, AudioFormat]:
        """See `HistoryStore`."""
        return await self._do(lambda file: _audio(file, conversation, key))

    async def conversations(self) -> list[Conversation]:
        """See `HistoryStore`."""
        return await self._do(_conversations)

    async def delete(self, conversation: str) -> None:
        """See `HistoryStore`."""
        await self._do(lambda file: _delete(file, conversation))

    async def aclose(self) -> None:
        """See `HistoryStore`. Takes at most five seconds."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            self._let_go()
            return
        try:
            with suppress(TimeoutError):  # the thread ends when the disk lets it, or with the program
                async with asyncio.timeout(_CLOSE_S):
                    await self._in_turn(self._let_go)
        finally:
            self._jobs.put(None)

    async def _do(self, job: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise ConfigError(f"The history in {self.path} was closed: open the store again.", code="history_closed")
        if not self._in_thread:
            return self._try(job)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="voicebridge history", daemon=True)
            self._thread.start()
        return await self._in_turn(lambda: self._try(job))

    async def _in_turn(self, job: Callable[[], T]) -> T:
        """Have the thread do it. Cancelled, it waits no longer; the job is done all the same."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(settler: Callable[[], None]) -> None:
            if not done.done():  # else nobody waits any more
                settler()

        def work() -> None:
            settler: Callable[[], None]
            try:
                settler = partial(done.set_result, job())
            except Exception as error:
                settler = partial(done.set_exception, error)
            with suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(settle, settler)

        self._jobs.put(work)
        return await done

    # The thread's

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _try(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._file is None:
                self._file = _opened(self.path)
            return job(self._file)
        except sqlite3.Error as error:
            raise _failure(self.path, error) from error
        except (UnicodeError, OverflowError) as error:  # half a character in a name, a number beyond 64 bits
            raise ConfigError(f"{self.path} can't hold this: {error}.", code="bad_history") from error


def _failure(path: Path, error: sqlite3.Error) -> VoiceBridgeError:
    if isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error)):
        why = f"another program has held it for {_BUSY_S:g} s"
        return _unwritten(path, f"{why}. See which one writes to it", "busy")
    if isinstance(error, sqlite3.OperationalError):
        return _unwritten(path, f"{error}. See whether its disk has room and may be written to", "config")
    return ConfigError(f"{path} is damaged, or no SQLite database ({error}): name another file.", code="bad_history")


def _unwritten(path: Path, why: str, category: Any) -> VoiceBridgeError:
    message = f"The history in {path} can't be used: {why}."
    return VoiceBridgeError(Fault(category=category, code="history_failed", message=message, retryable=True))


def _opened(path: Path) -> sqlite3.Connection:
    try:
        # SQLite gives the files that it makes beside this one the same rights.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{path} can't hold a history ({why}): name a file that this user may write, in a folder that is there.",
            code="bad_history",
        ) from error
    file = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        _prepare(file, path)
    except BaseException:
        file.close()
        raise
    return file


def _prepare(file: sqlite3.Connection, path: Path) -> None:
    with _Transaction(file):
        application = file.execute("PRAGMA application_id").fetchone()[0]
        version = file.execute("PRAGMA user_version").fetchone()[0]
        tables = file.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if application != _APPLICATION and (application or version or tables):
            raise ConfigError(f"{path} is another program's database: name another file.", code="bad_history")
        if version > _VERSION:
            raise ConfigError(
                f"{path} was written by a newer voicebridge (format {version}; this one knows {_VERSION}): "
                "update voicebridge, or name another file.",
                code="newer_history",
            )
        if not tables:
            for statement in _SCHEMA.split(";"):
                file.execute(statement)
            file.execute(f"PRAGMA application_id = {_APPLICATION}")
            file.execute(f"PRAGMA user_version = {_VERSION}")
    _write_ahead(file)
    file.execute("PRAGMA synchronous = NORMAL")  # a lost program loses nothing, lost power the last batches
    file.execute("PRAGMA secure_delete = FAST")  # what was withdrawn is overwritten


def _write_ahead(file: sqlite3.Connection) -> None:
    """Let others read while one writes. The switch itself does not wait for others: it is tried again."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            file.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


class _Transaction:
    """All of it or nothing. The file is taken at once: two that read first and write then would block each other."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._file.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._file.execute("COMMIT")
                return
            except sqlite3.Error:
                self._roll_back()
                raise
        self._roll_back()

    def _roll_back(self) -> None:
        if self._file.in_transaction:  # a full disk has ended it already
            self._file.execute("ROLLBACK")


def _write(
    file: sqlite3.Connection,
    conversation: str,
    records: Sequence[Record],
    audio: Sequence[AudioChunk],
    forget: Sequence[str],
) -> None:
    kept = [(record.place, dump(record)) for record in records if record.item is not None]
    gone = [record for record in records if record.item is None]
    silent = [*forget, *(record.key for record in gone if record.key is not None)]
    with _Transaction(file):
        now = time.time()
        (id,) = file.execute(_TOUCH, (conversation, now, now)).fetchone()
        file.executemany(_WRITE_RECORD, [(id, place, text) for place, text in kept])
        file.executemany(
            "DELETE FROM records WHERE conversation = ? AND place = ?", [(id, record.place) for record in gone]
        )
        file.executemany(
            _WRITE_AUDIO,
            [(id, c.key, c.offset, c.format.encoding, c.format.rate, c.format.channels, c.pcm) for c in audio],
        )
        file.executemany("DELETE FROM audio WHERE conversation = ? AND key = ?", [(id, key) for key in silent])


def _load(file: sqlite3.Connection, conversation: str) -> list[Record]:
    rows = file.execute(
        "SELECT record FROM records JOIN conversations ON id = conversation WHERE name = ? ORDER BY place",
        (conversation,),
    )
    return [load_record(text) for (text,) in rows]


def _audio(file: sqlite3.Connection, conversation: str, key: str) -> tuple[bytes, AudioFormat]:
    rows = file.execute(
        "SELECT byte_offset, pcm, encoding, rate, channels FROM audio JOIN conversations c ON c.id = conversation "
        "WHERE name = ? AND key = ? ORDER BY byte_offset",
        (conversation, key),
    )
    return assembled(
        AudioChunk(key=key, offset=at, pcm=pcm, format=AudioFormat(encoding=encoding, rate=rate, channels=channels))
        for at, pcm, encoding, rate, channels in rows
    )


def _conversations(file: sqlite3.Connection) -> list[Conversation]:
    rows = file.execute("SELECT name, began, changed FROM conversations ORDER BY changed DESC, id DESC")
    return [
        Conversation(name=name, began=datetime.fromtimestamp(began, UTC), changed=datetime.fromtimestamp(changed, UTC))
        for name, began, changed in rows
    ]


def _delete(file: sqlite3.Connection, conversation: str) -> None:
    file.execute("PRAGMA secure_delete = ON")
    try:
        with _Transaction(file):
            if row := file.execute("SELECT id FROM conversations WHERE name = ?", (conversation,)).fetchone():
                file.execute("DELETE FROM records WHERE conversation = ?", row)
                file.execute("DELETE FROM audio WHERE conversation = ?", row)
                file.execute("DELETE FROM conversations WHERE id = ?", row)
    finally:
        file.execute("PRAGMA secure_delete = FAST")
    # The log of what was written still holds it, until it is emptied; while another process reads, that is later.
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
