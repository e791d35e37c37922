"""The SQLite file that conversations are kept in: its tables, and what a store does to them."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.lines import dump
from voicebridge.core.history_record import AudioChunk, DamagedRecord, Record, load_record
from voicebridge.core.writer_claim import Claim, check_claim, check_writer

from .history_store import Conversation, assembled
from .program import Program

__all__ = ["HERE", "Writer", "audio", "claim", "conversations", "delete", "load", "opened", "release", "write"]

_VERSION = 1
_APPLICATION = 0x76627268
"""By what the file is known as ours: `vbrh`."""
_RETRY_MS = 100
"""How long SQLite itself waits for another process, before the store looks whether to try again."""
_READERS_MS = 5_000
"""How long a deletion waits for others that read."""
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
_WRITERS = """
CREATE TABLE IF NOT EXISTS writers (
    name TEXT PRIMARY KEY, writer TEXT NOT NULL, told_at REAL NOT NULL, ended INTEGER NOT NULL,
    host TEXT NOT NULL, pid INTEGER NOT NULL, run TEXT NOT NULL
) WITHOUT ROWID
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


HERE: set[str] = set()
"""The writers of this program that have not ended: of one that has, the file may not know."""


class Writer(NamedTuple):
    """A call that writes."""

    name: str
    now: float


def opened(path: Path) -> sqlite3.Connection:
    """The file, which is made if there is none.

    Raises:
        ConfigError: it can't be made, or is another program's.
        sqlite3.Error: it is damaged, or another process holds it.
    """
    try:
        # SQLite gives the files that it makes beside this one the same rights.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"{path} can't hold a history ({why}): name a file that this user may write, in a folder that is there.",
            code="bad_history",
        ) from error
    file = sqlite3.connect(path, timeout=_RETRY_MS / 1000, isolation_level=None, check_same_thread=False)
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
        file.execute(_WRITERS)
    file.execute("PRAGMA journal_mode = WAL")  # others read while one writes
    file.execute("PRAGMA synchronous = NORMAL")  # a lost program loses nothing, lost power the last batches
    file.execute("PRAGMA secure_delete = FAST")  # what was withdrawn is overwritten


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


def write(
    file: sqlite3.Connection,
    conversation: str,
    records: Sequence[Record],
    audio: Sequence[AudioChunk],
    forget: Sequence[str],
    writer: Writer | None,
) -> None:
    """See `HistoryStore.write`."""
    with _Transaction(file):
        if writer is not None:
            check_writer(conversation, _claimed(file, conversation)[0], writer.name)
            _have(file, conversation, writer)
        if records or audio or forget:
            _write(file, conversation, records, audio, forget)


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


def load(file: sqlite3.Connection, conversation: str, path: Path) -> list[Record]:
    """See `HistoryStore.load`."""
    rows = file.execute(  # as bytes: damaged text would end the whole reading
        "SELECT place, CAST(record AS BLOB) FROM records JOIN conversations ON id = conversation WHERE name = ? "
        "ORDER BY place",
        (conversation,),
    )
    return [
        _loaded(place, line, f"Entry {place} of the conversation {conversation!r} in {path}") for place, line in rows
    ]


def _loaded(place: int, line: bytes, where: str) -> Record:
    try:
        record = load_record(line)
    except ConfigError as error:
        return DamagedRecord(place=place, why=f"{where} can't be read: {error}")
    if record.place != place:
        return DamagedRecord(place=place, why=f"{where} can't be read: it is entry {record.place}.")
    return record


def _claimed(file: sqlite3.Connection, conversation: str) -> tuple[Claim | None, Program | None]:
    """Who has it, and whose program that is."""
    row = file.execute(
        "SELECT writer, told_at, ended, host, pid, run FROM writers WHERE name = ?", (conversation,)
    ).fetchone()
    if row is None:
        return None, None
    writer, told_at, ended, host, pid, run = row
    return Claim(writer=writer, told_at=told_at, ended=bool(ended)), Program(host, pid, run)


def _have(file: sqlite3.Connection, conversation: str, writer: Writer) -> None:
    this = Program.this()
    file.execute(
        "INSERT OR REPLACE INTO writers VALUES (?, ?, ?, 0, ?, ?, ?)",
        (conversation, writer.name, writer.now, this.host, this.pid, this.run),
    )


def claim(file: sqlite3.Connection, conversation: str, writer: Writer) -> None:
    """See `HistoryStore.claim`."""
    with _Transaction(file):
        known, program = _claimed(file, conversation)
        gone = False
        if known is not None and program is not None:
            gone = known.writer not in HERE if program.is_this else program.gone
        check_claim(conversation, known, writer.name, writer.now, who=f" ({program})", gone=gone)
        _have(file, conversation, writer)


def release(file: sqlite3.Connection, conversation: str, writer: str) -> None:
    """See `HistoryStore.release`. A conversation that was never written to leaves nothing."""
    own = (conversation, writer)
    with _Transaction(file):
        file.execute("UPDATE writers SET ended = 1 WHERE name = ? AND writer = ?", own)
        file.execute(
            "DELETE FROM writers WHERE name = ? AND writer = ? AND name NOT IN (SELECT name FROM conversations)", own
        )


def audio(file: sqlite3.Connection, conversation: str, key: str) -> tuple[bytes, AudioFormat]:
    """See `HistoryStore.audio`."""
    rows = file.execute(
        "SELECT byte_offset, pcm, encoding, rate, channels FROM audio JOIN conversations c ON c.id = conversation "
        "WHERE name = ? AND key = ? ORDER BY byte_offset",
        (conversation, key),
    )
    return assembled(
        AudioChunk(key=key, offset=at, pcm=pcm, format=AudioFormat(encoding=encoding, rate=rate, channels=channels))
        for at, pcm, encoding, rate, channels in rows
    )


def conversations(file: sqlite3.Connection) -> list[Conversation]:
    """See `HistoryStore.conversations`."""
    rows = file.execute("SELECT name, began, changed FROM conversations ORDER BY changed DESC, id DESC")
    return [
        Conversation(name=name, began=datetime.fromtimestamp(began, UTC), changed=datetime.fromtimestamp(changed, UTC))
        for name, began, changed in rows
    ]


def delete(file: sqlite3.Connection, conversation: str) -> None:
    """See `HistoryStore.delete`. What is deleted is overwritten."""
    file.execute("PRAGMA secure_delete = ON")
    try:
        with _Transaction(file):
            if row := file.execute("SELECT id FROM conversations WHERE name = ?", (conversation,)).fetchone():
                file.execute("DELETE FROM records WHERE conversation = ?", row)
                file.execute("DELETE FROM audio WHERE conversation = ?", row)
                file.execute("DELETE FROM conversations WHERE id = ?", row)
            file.execute("DELETE FROM writers WHERE name = ?", (conversation,))
    finally:
        file.execute("PRAGMA secure_delete = FAST")
    # The log of what was written still holds it, until it is emptied; while another process reads, that is later.
    file.execute(f"PRAGMA busy_timeout = {_READERS_MS}")
    file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    file.execute(f"PRAGMA busy_timeout = {_RETRY_MS}")
