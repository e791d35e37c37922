"""Writes a conversation to a store while it goes on, beside the event loop's other work.

    scribe = Scribe(open_store("sqlite:///calls.db"), "call-7", input_format=..., output_format=..., faulted=tell)
    chronicle = Chronicle(await scribe.resume())     # a new conversation, or one that another process began
    scribe.start(chronicle.changed)
    ...                                              # each command and event: the chronicle first, then the scribe
    await scribe.aclose()

| resource | acquired | released |
|---|---|---|
| the writing task | `start` | `aclose` |
| the store | whoever made it | whoever made it |

what happens                     effect
the conversation goes on         100 ms later what changed is written, in one batch
the store is slow                one batch waits for it; text collects in the history, audio up to 4 MB
more audio waits                 it is dropped, and counted in `dropped_ms`; text is never dropped
the store fails                  told once; the batch is tried again with what is new, ever more rarely (every 5 s)
recording is not allowed         nothing is written, neither text nor audio; when it is, all text and audio from then on
"""

from __future__ import annotations

import asyncio
import logging
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
from voicebridge.core.history_record import Record
from voicebridge.core.voice_clips import VoiceClips

from .history_store import HistoryStore

__all__ = ["Scribe"]

_EVERY_S = 0.1
_LONGEST_WAIT_S = 5.0
_CLOSE_S = 5.0
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

        Raises:
            VoiceBridgeError: the store can't be read.
        """
        records = await self._store.load(self.conversation)
        if not records:
            return ()
        self._suffix = f"@{records[-1].place + 1}"
        unanswered = History(records).open_calls()
        return (*records, *(ToolResultItem(call_id=id, output=_UNANSWERED, is_error=True) for id in unanswered))

    def start(self, changed: Callable[[], list[Record]]) -> None:
        """Begin to write what `changed` gives: `Chronicle.changed`."""
        self._changed = changed
        self._task = asyncio.create_task(self._run(), name=f"scribe of {self.conversation}")
        self._mark()

    # What goes on

    def heard_audio(self, pcm: bytes) -> None:
        """The user's audio goes on."""
        if self._clips is not None and self._clips.heard(pcm):
            self._mark()

    def sent(self, command: Command) -> None:
        """A command was given, and the chronicle was told."""
        self._mark()

    def happened(self, event: Event) -> None:
        """Something was told, to the chronicle as well."""
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
        """Write the rest, within five seconds, and stop. Safe to call again."""
        task, self._task = self._task, None
        if task is None:
            return
        try:
            if not await self._flushed(task, _CLOSE_S):
                self._fail("busy", "history_incomplete", "its end was not written")
        finally:
            task.cancel()
            await asyncio.wait([task])

    # The task

    async def _run(self) -> None:
        wait_s = _EVERY_S
        while True:
            await self._dirty.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._hurry.wait()
            self._dirty.clear()
            try:
                await self._write()
            except Exception as error:  # a store may be anyone's
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                self._dirty.set()
                fault = error.fault if isinstance(error, VoiceBridgeError) else None
                why = fault.message.rstrip(".") if fault else f"{type(error).__name__}: {error}"
                self._fail(fault.category if fault else "busy", "history_failed", why)
                if self._hurry.is_set():
                    await asyncio.sleep(_EVERY_S)
                continue
            wait_s = _EVERY_S
            if not self._dirty.is_set():
                self._written.set()

    async def _write(self) -> None:
        """Give the store all there is. What it does not take stays."""
        if not self._may_record or self._changed is None:
            return
        if self._clips is not None and self._clips.overflowed:
            self._fail("busy", "history_audio_dropped", "its store is too slow, and audio was left out")
        for record in self._changed():
            self._unwritten[record.place] = self._renamed(record)
        records = tuple(self._unwritten.values())
        chunks, forgotten, count = self._clips.waiting() if self._clips is not None else ([], [], 0)
        if not (records or chunks or forgotten):
            return
        audio = [replace(chunk, key=chunk.key + self._suffix) for chunk in chunks] if self._suffix else chunks
        await self._store.write(self.conversation, records, audio, [key + self._suffix for key in forgotten])
        # Only this task adds to `_unwritten` or takes what waits: both still begin with what was written.
        self._unwritten.clear()
        if self._clips is not None:
            self._clips.written(count, len(forgotten))

    def _renamed(self, record: Record) -> Record:
        return replace(record, key=record.key + self._suffix) if self._suffix and record.key else record

    def _fail(self, category: Category, code: str, why: str) -> None:
        if code in self._told:
            return
        self._told.add(code)
        message = (
            f"The history of the conversation {self.conversation!r} is not complete: {why}. The call goes on; see why "
            "its store is slow or fails."
        )
        _log.warning("%s", message)
        self._faulted(Fault(category=category, code=code, message=message))
