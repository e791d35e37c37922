"""Conversations in one SQLite file, which any number of processes may write to at once.

| resource | acquired | released |
|---|---|---|
| the thread | the first use | `aclose`; it never outlives the program |
| the file's connection | the thread, at the first use | the thread, at `aclose` |

One thread has the connection, and takes one job after the other: the event loop never waits for the disk. A batch is a
transaction, so that a program that is killed leaves whole batches. The file is made for its owner alone. While another
process holds the file, a job is tried again for five seconds, but no longer once the store is being closed.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.core.history_record import AudioChunk, Record

from . import sqlite_file
from .history_store import Conversation

__all__ = ["SqliteHistoryStore"]

T = TypeVar("T")

_BUSY_S = 5.0
"""How long another process may hold the file."""
_CLOSE_S = 0.9
"""With the four seconds that a call gives its last batch, a call ends within five."""
_log = logging.getLogger("voicebridge")


class SqliteHistoryStore:
    """A `HistoryStore` in a file.

    Args:
        path: of the file. It is made at the first use, if its folder is there.
        keeps_audio: whether sessions are to give it their audio, too.
        in_thread: False works in the caller's thread: for virtual time, where threads come at no particular time.
        clock: seconds, the same in all processes that use the file, by which calls are taken for gone.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        keeps_audio: bool = False,
        in_thread: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.keeps_audio = keeps_audio
        self._clock = clock
        self._in_thread = in_thread
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._file: sqlite3.Connection | None = None
        self._closed = False

    async def load(self, conversation: str) -> list[Record]:
        """See `HistoryStore`."""
        return await self._do(lambda file: sqlite_file.load(file, conversation, self.path))

    async def claim(self, conversation: str, writer: str) -> None:
        """See `HistoryStore`. A call whose program is known to be gone loses the conversation at once."""
        by = sqlite_file.Writer(writer, self._clock())
        sqlite_file.HERE.add(writer)
        await self._do(lambda file: sqlite_file.claim(file, conversation, by))

    async def write(
        self,
        conversation: str,
        records: Sequence[Record] = (),
        audio: Sequence[AudioChunk] = (),
        forget: Sequence[str] = (),
        *,
        writer: str | None = None,
    ) -> None:
        """See `HistoryStore`."""
        by = None if writer is None else sqlite_file.Writer(writer, self._clock())
        await self._do(lambda file: sqlite_file.write(file, conversation, records, audio, forget, by))

    async def release(self, conversation: str, writer: str) -> None:
        """See `HistoryStore`."""
        sqlite_file.HERE.discard(writer)
        await self._do(lambda file: sqlite_file.release(file, conversation, writer))

    async def audio(self, conversation: str, key: str) -> tuple[bytes, AudioFormat]:
        """See `HistoryStore`."""
        return await self._do(lambda file: sqlite_file.audio(file, conversation, key))

    async def conversations(self) -> list[Conversation]:
        """See `HistoryStore`."""
        return await self._do(sqlite_file.conversations)

    async def delete(self, conversation: str) -> None:
        """See `HistoryStore`."""
        await self._do(lambda file: sqlite_file.delete(file, conversation))

    async def aclose(self) -> None:
        """See `HistoryStore`. Takes a second at the most."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            self._let_go()
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._in_turn(self._let_go)
        except TimeoutError:
            _log.warning(
                "The disk does not answer, so the history in %s is still open: its thread ends when the disk answers, "
                "or with the program.",
                self.path,
            )
            return
        finally:
            self._jobs.put(None)
        self._thread.join(0.1)  # it has nothing left to do

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
        until = time.monotonic() + _BUSY_S
        try:
            while True:
                try:
                    if self._file is None:
                        self._file = sqlite_file.opened(self.path)
                    return job(self._file)
                except sqlite3.OperationalError as error:
                    if not _is_busy(error) or self._closed or time.monotonic() > until:
                        raise
                    time.sleep(0.01)  # not every lock is waited for
        except sqlite3.Error as error:
            raise _failure(self.path, error) from error
        except (UnicodeError, OverflowError) as error:  # half a character in a name, a number beyond 64 bits
            raise ConfigError(f"{self.path} can't hold this: {error}.", code="bad_history") from error


def _failure(path: Path, error: sqlite3.Error) -> VoiceBridgeError:
    if _is_busy(error):
        why = f"another program has held it for {_BUSY_S:g} s"
        return _unwritten(path, f"{why}. See which one writes to it", "busy")
    if isinstance(error, sqlite3.OperationalError):
        return _unwritten(path, f"{error}. See whether its disk has room and may be written to", "config")
    return ConfigError(f"{path} is damaged, or no SQLite database ({error}): name another file.", code="bad_history")


def _is_busy(error: sqlite3.Error) -> bool:
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def _unwritten(path: Path, why: str, category: Any) -> VoiceBridgeError:
    message = f"The history in {path} can't be used: {why}."
    return VoiceBridgeError(Fault(category=category, code="history_failed", message=message, retryable=True))
