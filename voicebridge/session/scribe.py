"""Writes a conversation to a store while it goes on, beside the event loop's other work.

    scribe = Scribe(open_store("sqlite:///calls.db"), "call-7", input_format=..., output_format=..., faulted=tell)
    chronicle = Chronicle(await scribe.resume())     # a new conversation, or one that another process began
    scribe.start(chronicle.changed)
    ...                                              # each command and event: the chronicle first, then the scribe
    await scribe.aclose()

| resource | acquired | released |
|---|---|---|
| the writing task | `start` | `aclose` |
| the conversation in the store | `resume` | `aclose` |
| the store | whoever made it | whoever made it |

what happens                     effect
the conversation goes on         100 ms later what changed is written, in one batch
the store is slow                one batch waits for it; text collects in the history, audio up to 4 MB
more audio waits                 it is dropped, and counted in `dropped_ms`; text is never dropped
the store fails                  told once; the batch is tried again with what is new, ever more rarely (every 5 s)
recording is not allowed         nothing is written, neither text nor audio; when it is, what begins from then on
nothing is written for 10 s      the store is told that the call is still there
another call took the            told once; nothing more is written
conversation
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.events import Event, OutputAudio
from voicebridge.contract.fault import Category, Fault
from voicebridge.contract.items import Item, ToolResultItem
from voicebridge.core.history import History
from voicebridge.core.history_record import AudioChunk, DamagedRecord, Record
from voicebridge.core.left_out import LeftOut
from voicebridge.core.voice_clips import VoiceClips
from voicebridge.core.writer_claim import TAKEN

from .history_store import HistoryStore

__all__ = ["Scribe"]

_EVERY_S = 0.1
_LONGEST_WAIT_S = 5.0
_ALIVE_S = 10.0
_SILENT_S = 9.0
"""Less than that, as timers go off a little early."""
_CLOSE_S = 4.0
_RELEASE_S = 0.5
"""Of these, for letting go of the conversation."""
_SEE_WHY = "The call goes on; see why its store is slow or fails."
_UNANSWERED = "The program was restarted before this tool gave its result."
_log = logging.getLogger("voicebridge")


class Scribe:
    """Keeps a conversation in a store. Only `resume` raises; whatever the store does, the call goes on.

    Args:
        conversation: its name in the store.
        input_format: of the user's audio, as given to `heard_audio`.
        output_format: of `OutputAudio`.
        faulted: told when the store fails or is too slow: once for each `Fault.code`. It must not raise.
        may_record: whether anything may be written yet. May be changed at any time.
    """

    def __init__(
        self,
        store: HistoryStore,
        conversation: str,
        *,
        input_format: AudioFormat,
        output_format: AudioFormat,
        faulted: Callable[[Fault], None],
        may_record: bool = True,
    ) -> None:
        self.conversation = conversation
        self._store, self._faulted = store, faulted
        self._clips = VoiceClips(input_format, output_format) if store.keeps_audio else None
        self._may_record = True
        self._left_out = LeftOut()
        self._writer = uuid.uuid4().hex
        self._claimed = False
        self._taken = False
        """Another call has the conversation now."""
        self._damaged: list[DamagedRecord] = []
        self._told_at = 0.0
        """When the store last heard of this call, by the loop's clock."""
        self._suffix = ""
        """Tells keys of this process from those of earlier ones, whose ids may have been the same."""
        self._changed: Callable[[], list[Record]] | None = None
        self._unwritten: dict[int, Record] = {}
        """What the store did not take yet, by place."""
        self._dirty = asyncio.Event()
        self._hurry = asyncio.Event()
        self._written = asyncio.Event()
        """Whether there was nothing left to write when it was last looked."""
        self._task: asyncio.Task[None] | None = None
        self._told: set[str] = set()
        """Codes of faults."""
        self.may_record = may_record

    @property
    def may_record(self) -> bool:
        """Whether anything may be written."""
        return self._may_record

    @may_record.setter
    def may_record(self, may_record: bool) -> None:
        if may_record and not self._may_record and self._changed is not None:
            self._left_out.add(self._changed())
        self._may_record = may_record
        if self._clips is not None:
            self._clips.allowed = may_record
        self._mark()

    @property
    def dropped_ms(self) -> float:
        """Milliseconds of audio that should be in the store, and will never be."""
        return self._clips.dropped_ms if self._clips is not None else 0.0

    async def resume(self) -> tuple[Item | Record, ...]:
        """How the conversation began, for `Chronicle`: nothing, if it is new.

        A tool that an earlier process did not finish gets a result that says so: else the model would wait for it.
        Entries that can't be read are left out, which `start` tells.

        Raises:
            ConfigError: another call has the conversation (`conversation_in_use`).
            VoiceBridgeError: the store can't be read.
        """
        self._claimed = True  # even if this is cancelled before the store answers
        await self._store.claim(self.conversation, self._writer)
        self._told_at = asyncio.get_running_loop().time()
        records = await self._store.load(self.conversation)
        self._damaged = [record for record in records if isinstance(record, DamagedRecord)]
        if not records:
            return ()
        self._suffix = f"@{records[-1].place + 1}"
        unanswered = History(records).open_calls()
        return (*records, *(ToolResultItem(call_id=id, output=_UNANSWERED, is_error=True) for id in unanswered))

    def start(self, changed: Callable[[], list[Record]]) -> None:
        """Begin to write what `changed` gives: `Chronicle.changed`."""
        self._changed = changed
        if self._damaged:
            self._fail("protocol", "history_damaged", "what can't be read is left out", self._damage())
        self._task = asyncio.create_task(self._run(), name=f"scribe of {self.conversation}")
        self._mark()

    def _damage(self) -> str:
        first, *others = self._damaged
        more = f" (and {len(others)} more)" if others else ""
        hint = "The store keeps it as it is: put back an earlier copy of the store, or delete the conversation."
        return f"{first.why.rstrip('.')}{more}. {hint}"

    # What goes on

    def heard_audio(self, pcm: bytes) -> None:
        """The user's audio goes on."""
        if self._clips is not None and self._clips.heard(pcm):
            self._mark()

    def sent(self, command: Command) -> None:
        """A command was given, and the chronicle was told."""
        if not self._may_record:
            self._left_out.sent(command.id)
        self._mark()

    def happened(self, event: Event) -> None:
        """Something was told, to the chronicle as well."""
        if not self._may_record:
            self._left_out.happened(event)
        if self._clips is not None:
            self._clips.happened(event)
        elif isinstance(event, OutputAudio):
            return
        self._mark()

    def _mark(self) -> None:
        self._dirty.set()
        self._written.clear()

    # Its end

    async def flush(self, within_s: float = _CLOSE_S) -> bool:
        """Write now what there is. Whether the store has it all; before `start` and after `aclose` it is not asked."""
        return self._task is None or await self._flushed(self._task, within_s)

    async def _flushed(self, task: asyncio.Task[None], within_s: float) -> bool:
        if task.done():
            return False
        self._mark()
        self._hurry.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._written.wait()
        self._hurry.clear()
        return self._written.is_set()

    async def aclose(self) -> None:
        """Write the rest, let go of the conversation, all within four seconds, and stop. Safe to call again."""
        task, self._task = self._task, None
        try:
            if task is not None:
                await self._finished(task)
        finally:
            if self._claimed:
                self._claimed = False
                await self._let_go()

    async def _finished(self, task: asyncio.Task[None]) -> None:
        try:
            if not await self._flushed(task, _CLOSE_S - _RELEASE_S) and not self._taken:
                self._fail("busy", "history_incomplete", "its end was not written")
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _let_go(self) -> None:
        """If this fails, others have to wait until this call is taken for gone."""
        try:
            async with asyncio.timeout(_RELEASE_S):
                await self._store.release(self.conversation, self._writer)
        except Exception as error:  # a store may be anyone's
            _log.info("The conversation %r was not let go of: %s", self.conversation, error)

    # The task

    async def _run(self) -> None:
        wait_s = _EVERY_S
        while True:
            await self._due(wait_s)
            self._dirty.clear()
            try:
                await self._write()
            except Exception as error:  # a store may be anyone's
                if self._failed(error):
                    return
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                self._dirty.set()
                if self._hurry.is_set():
                    await asyncio.sleep(_EVERY_S)
                continue
            wait_s = _EVERY_S
            if not self._dirty.is_set():
                self._written.set()

    async def _due(self, wait_s: float) -> None:
        """There was something to write for a while, or the store has heard nothing of this call for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._told_at + _ALIVE_S):
                await self._dirty.wait()
        if self._dirty.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._hurry.wait()

    def _failed(self, error: Exception) -> bool:
        """The store did not take a batch. Whether it never will."""
        fault = error.fault if isinstance(error, VoiceBridgeError) else None
        why = fault.message.rstrip(".") if fault else f"{type(error).__name__}: {error}"
        if fault is not None and fault.code == TAKEN:
            self._taken = True
            self.may_record = False
            self._fail(fault.category, TAKEN, why, "Give each call a `conversation` of its own.")
            return True
        self._fail(fault.category if fault else "busy", "history_failed", why)
        return False

    async def _write(self) -> None:
        """Give the store all there is. What it does not take stays."""
        records, chunks, forgotten, count = self._batch()
        now = asyncio.get_running_loop().time()
        if not (records or chunks or forgotten) and now - self._told_at < _SILENT_S:
            return
        audio = [replace(chunk, key=chunk.key + self._suffix) for chunk in chunks] if self._suffix else chunks
        forget = [key + self._suffix for key in forgotten]
        await self._store.write(self.conversation, records, audio, forget, writer=self._writer)
        self._told_at = now
        # Only this task adds to `_unwritten` or takes what waits: both still begin with what was written.
        if records:
            self._unwritten.clear()
        if self._clips is not None:
            self._clips.written(count, len(forgotten))

    def _batch(self) -> tuple[tuple[Record, ...], list[AudioChunk], list[str], int]:
        if not self._may_record or self._changed is None:
            return (), [], [], 0
        if self._clips is not None and self._clips.overflowed:
            self._fail("busy", "history_audio_dropped", "its store is too slow, and audio was left out")
        for record in self._left_out.without(self._changed()):
            self._unwritten[record.place] = self._renamed(record)
        chunks, forgotten, count = self._clips.waiting() if self._clips is not None else ([], [], 0)
        chunks = [chunk for chunk in chunks if not self._left_out.has(chunk.key)]
        return tuple(self._unwritten.values()), chunks, forgotten, count

    def _renamed(self, record: Record) -> Record:
        return replace(record, key=record.key + self._suffix) if self._suffix and record.key else record

    def _fail(self, category: Category, code: str, why: str, hint: str = _SEE_WHY) -> None:
        if code in self._told:
            return
        self._told.add(code)
        message = f"The history of the conversation {self.conversation!r} is not complete: {why}. {hint}"
        _log.warning("%s", message)
        self._faulted(Fault(category=category, code=code, message=message))
