"""`voicebridge ask`: a recording asks, the backend answers, and what happened is told.

| resource | acquired | released |
|---|---|---|
| the recording | `_ask` | there |
| the session, and the task that reads its events | `_converse` | cancelled, awaited and closed there |
| the reply's file | `_converse`, once the session is ready | `ask`, whatever happened: it is whole at any moment |
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from voicebridge.audio.file import RecordingReader, WavWriter, open_recording
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.errors import BadAudio
from voicebridge.contract.session import Backend, VoiceSession
from voicebridge.observe.recorder import check_free
from voicebridge.session.door import backend_of, connect
from voicebridge.session.managed import ManagedSession

from .dialogue import Dialogue
from .ending import FAILED, told
from .recorded_call import recorded
from .recorded_user import PATIENCE_S, RecordedUser
from .report import JsonReport, Report, TextReport
from .settings import Settings
from .speech_spans import Span, speech_spans

__all__ = ["Asking", "ask"]

_TICK_S = 0.05


def ask(file: Path, settings: Settings, *, out: Path | None, record: Path | None = None, fast: bool, json: bool) -> int:
    """Run the command; its exit status.

    Raises:
        VoiceBridgeError: the file, the settings or the backend can't be used.
    """
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise BadAudio(f"{out} is the recording itself: name another file for the reply.")
    report = JsonReport(file, settings.backend) if json else TextReport(file, settings.backend)
    if record is not None:
        check_free(record)
    asking = Asking(file, settings, report, out=out, record=record, fast=fast)
    try:
        asyncio.run(asking.run())
    except BaseException as error:
        report.error = error
        raise
    finally:
        # After Ctrl-C or a failure, too: what was said and written so far is told.
        asking.close()
        report.finish(asking.dialogue, asking.writer)
        if asking.session is not None and (where := settings.kept_in(asking.session.conversation)):
            print(where, file=sys.stderr)
    return _status(file, asking)


class Asking:
    """One run of the command."""

    def __init__(
        self,
        file: Path,
        settings: Settings,
        report: Report,
        *,
        out: Path | None,
        record: Path | None = None,
        fast: bool,
    ) -> None:
        self.dialogue = Dialogue(self._write)
        self.writer: WavWriter | None = None
        self.out_of_patience = False
        self.session: ManagedSession | None = None
        self.spans: list[Span] = []
        self._file, self._settings, self._report, self._out, self._fast = file, settings, report, out, fast
        self._record = record

    async def run(self) -> None:
        """Ask, and wait until all is answered."""
        with open_recording(self._file) as reader:
            arguments = self._settings.arguments()
            backend: str | Backend = self._settings.backend
            backend_of(backend)  # what is wrong with it is said before all else
            if self._record is not None:
                backend, arguments = recorded(self._settings.backend, arguments, self._record)
            self.spans = speech_spans(reader, reader.rate)
            self._report.recording(reader, self.spans)
        with open_recording(self._file, block_ms=20) as reader:
            self._report.waiting()
            async with connect(backend, input_format=reader.format, provider_events=True, **arguments) as session:
                self.session = session
                await self._converse(session, reader)

    async def _converse(self, session: VoiceSession, reader: RecordingReader) -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with _reading(session, self.dialogue, ready) as reading:
            await asyncio.wait((reading, ready), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading  # raises why it will never be ready
                return
            self._report.ready(self.dialogue)
            if self._out is not None:
                self.writer = WavWriter(self._out, DOOR_FORMAT)
            user = RecordedUser(
                session,
                self.dialogue,
                reader,
                self.spans,
                fast=self._fast,
                silence_ms=self._settings.silence_ms,
                push_to_talk=self._settings.push_to_talk or session.capabilities.turns == {"manual"},
            )
            speaking = asyncio.create_task(user.speak(), name="ask: user")
            try:
                while not (speaking.done() or reading.done()):
                    await asyncio.wait((speaking, reading), timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED)
                    self._report.progress(self.dialogue, user)
                if reading.done():
                    await reading
                await speaking
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
                self.out_of_patience = user.out_of_patience
                self._report.progress(self.dialogue, user, last=True)

    def close(self) -> None:
        """Complete the reply's file."""
        if self.writer is not None:
            self.writer.close()

    def _write(self, pcm: bytes) -> None:
        if self.writer is not None:
            self.writer.write(pcm)


@asynccontextmanager
async def _reading(
    session: VoiceSession, dialogue: Dialogue, ready: asyncio.Future[None]
) -> AsyncIterator[asyncio.Task[None]]:
    """A task that takes the session's events."""

    async def read() -> None:
        async for event in session:
            dialogue.apply(event)
            if dialogue.ready and not ready.done():
                ready.set_result(None)

    task = asyncio.create_task(read(), name="ask: events")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _status(file: Path, asking: Asking) -> int:
    for fault in dict.fromkeys(asking.dialogue.faults):
        told(f"{fault.message}{f' [{fault.code}]' if fault.code else ''}")
    if asking.dialogue.faults:
        return FAILED
    if asking.out_of_patience:
        return told(f"The backend has been silent for {PATIENCE_S:.0f} s: gave up waiting for an answer. [no_answer]")
    if not asking.dialogue.turns:
        why = "The backend noticed no speech" if asking.spans else "Its level shows no speech at all"
        return told(f"Nothing was heard in {file}. {why}. Is the voice loud enough, or the file the right one?")
    return 0
