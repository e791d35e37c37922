"""Writes a recorded session while it runs, beside the event loop.

| resource | acquired | released |
|---|---|---|
| the folder and its log | the constructor | the thread, at the end |
| the WAV files | the thread, at the first audio of a side | the thread, at the end |
| the thread | the constructor | `close`; it never outlives the program |

What waits to be written is bounded: where the disk is too slow, lines are left out and the log says so, as it does of a
message that can't be written. Where the disk fails (full, gone), nothing more is written, and what was written can be
read. Whatever is missing, `fault` says so, and a warning in the program's log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from voicebridge.audio.file import WavWriter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import SendAudio
from voicebridge.contract.errors import BadRecording
from voicebridge.contract.events import OutputAudio
from voicebridge.contract.fault import Fault
from voicebridge.contract.lines import dump, load

from .recording import LOG
from .scrubber import Scrubber

__all__ = ["RecordingWriter", "Side"]

Side = Literal["user", "agent"]
_EVERY_S = 0.1
"""Seconds between looks at what waits: what a kill may cost."""
_LINE_BYTES = 100
"""Of a line's own weight in memory, beside its text and audio."""
_FILE_BYTES = 2**32 - 2**20
"""Of one WAV file, which can't count further."""
_CLOSE_S = 5.0
_INLINE_LINES = 64
_log = logging.getLogger("voicebridge")


@dataclass(frozen=True, slots=True)
class _Entry:
    t: float
    text: str = ""
    """The line without its time."""
    message: SendAudio | OutputAudio | None = None
    """In place of a text: what has audio."""
    format: AudioFormat | None = None

    @property
    def weight(self) -> int:
        return _LINE_BYTES + len(self.text) + (len(self.message.pcm) if self.message else 0)


class RecordingWriter:
    """Files of one session. Its methods never wait and never raise, but for the constructor and `close`.

    Args:
        folder: made if it is not there, for this user alone. A recording that is in it stays, and is an error.
        header: the first line.
        in_thread: False writes at once, now and then, in the caller's thread: for virtual time, where threads come
            at no particular time.
        limit_bytes: of what may wait to be written.

    Raises:
        BadRecording: the folder can't be used.
    """

    def __init__(
        self,
        folder: Path,
        header: Mapping[str, Any],
        scrubber: Scrubber,
        clock: Callable[[], float],
        *,
        in_thread: bool = True,
        limit_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self.folder = folder
        self.fault: Fault | None = None
        """Why the recording is not complete."""
        self._scrubber, self._clock, self._began, self._limit = scrubber, clock, clock(), limit_bytes
        self._queue: deque[_Entry] = deque()
        self._taken = self._written = 0
        """Weights of all entries: the first is the caller's, the second the thread's."""
        self._lost_lines = self._lost_bytes = 0
        self._broken = False
        self._closed = False
        self._tracks: dict[Side, _Track] = {"user": _Track(folder, "user"), "agent": _Track(folder, "agent")}
        self._file = _created(folder, json.dumps(scrubber.value(header), ensure_ascii=False))
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        if in_thread:
            self._thread = threading.Thread(target=self._run, name="voicebridge recording", daemon=True)
            self._thread.start()

    def line(self, kind: str, body: str, **more: Any) -> None:
        """A line whose `kind` is `body`, which is JSON."""
        also = "".join(f", {json.dumps(name)}: {json.dumps(value, default=str)}" for name, value in more.items())
        self._put(_Entry(self._now(), f'{{"{kind}": {body}{also}'), anyway=kind == "close")

    def audio(self, message: SendAudio | OutputAudio, format: AudioFormat) -> None:
        """A command or event with audio, whose bytes nobody changes any more."""
        self._put(_Entry(self._now(), message=message, format=format))

    def skip(self, what: str) -> None:
        """Say that a message is missing, which can't be written or read again. `what` is its type."""
        self._put(_Entry(self._now(), self._skipped(what)))

    def _skipped(self, what: str) -> str:
        self._incomplete("config", "recording_gap", f"a message that can't be written is missing ({what})")
        return f'{{"gap": {json.dumps({"lines": 1, "what": what})}'

    async def close(self) -> None:
        """Write what waits, and the end. Takes at most five seconds. Safe to call again."""
        if not self._closed:
            self._closed = True
            self._closing.set()
            if self._thread is None:
                self._drain()
                self._finish()
        deadline = time.monotonic() + _CLOSE_S  # a thread knows real time alone
        while self._thread is not None and self._thread.is_alive():
            if time.monotonic() > deadline:
                self._incomplete("busy", "recording_behind", "the disk did not take its end in time")
                return
            await asyncio.sleep(0.005)

    def _now(self) -> float:
        return round(self._clock() - self._began, 6)

    def _put(self, entry: _Entry, *, anyway: bool = False) -> None:
        if self._closed or self._broken:
            return
        if self._taken - self._written > self._limit and not anyway:
            self._lost_lines += 1
            self._lost_bytes += len(entry.message.pcm) if entry.message else 0
            self._incomplete("busy", "recording_behind", "the disk is too slow: parts of it are missing")
            return
        if self._lost_lines:
            gap = self._gap(entry.t)
            self._taken += gap.weight
            self._queue.append(gap)
        self._taken += entry.weight
        self._queue.append(entry)
        if self._thread is None and len(self._queue) >= _INLINE_LINES:
            self._drain()

    def _gap(self, t: float) -> _Entry:
        """A line for those that were left out."""
        gap = json.dumps({"lines": self._lost_lines, "audio_bytes": self._lost_bytes})
        self._lost_lines = self._lost_bytes = 0
        return _Entry(t, f'{{"gap": {gap}')

    def _incomplete(self, category: Literal["busy", "config"], code: str, why: str) -> None:
        """Told once; the call goes on."""
        if self.fault is None:
            message = f"The recording in {self.folder} is not complete: {why}."
            self.fault = Fault(category=category, code=code, message=message)
            _log.warning("%s", message)

    # The thread's

    def _run(self) -> None:
        try:
            while not self._closing.wait(_EVERY_S):
                self._drain()
            self._drain()
        finally:
            self._finish()

    def _drain(self) -> None:
        """Write what waits: first the audio, so that no line names what is not there."""
        lines: list[str] = []
        weight = 0
        try:
            for _ in range(len(self._queue)):
                entry = self._queue.popleft()
                weight += entry.weight
                if not self._broken:
                    lines.append(self._text(entry))
            if lines:
                for track in self._tracks.values():
                    track.flush()
                self._append("".join(lines))
        except Exception as error:  # whatever it is: a recording never stops without a word
            self._break(error)
        finally:
            self._written += weight

    def _text(self, entry: _Entry) -> str:
        """An entry's line. What can't be written is a gap, and the rest goes on."""
        message = entry.message
        try:
            if message is None:
                return self._scrubber.line(f'{entry.text}, "t": {entry.t}}}') + "\n"
            kind = "command" if isinstance(message, SendAudio) else "event"
            text = dump(replace(message, pcm=b""))
            load(text)  # a field of a wrong type may be written, and never read
            line = self._scrubber.line(f'{{"{kind}": {text}, "t": {entry.t}}}')
        except Exception:  # a backend may put anything in a field
            what = type(message).__name__ if message is not None else "a line of text"
            return f'{self._skipped(what)}, "t": {entry.t}}}\n'
        assert entry.format is not None
        side: Side = "user" if isinstance(message, SendAudio) else "agent"
        place = json.dumps(self._tracks[side].add(message.pcm, entry.format))
        return f'{line[:-1]}, "audio": {place}}}\n'

    def _append(self, text: str) -> None:
        rest = memoryview(text.encode("utf-8", "replace"))
        whole = os.fstat(self._file).st_size
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, whole)  # no half a line
            raise

    def _break(self, error: Exception) -> None:
        self._broken = True
        why = str(error) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            why = error.strerror
        self._incomplete("config", "recording_failed", f"it can't be written any further ({why.rstrip('.')})")

    def _finish(self) -> None:
        """The last line, as far as the disk takes one."""
        try:
            for track in self._tracks.values():
                self._trying(track.close)
            self._trying(self._last_lines)
        finally:
            os.close(self._file)

    def _last_lines(self) -> None:
        gap = self._text(self._gap(self._now())) if self._lost_lines and not self._broken else ""
        end = {"complete": self.fault is None} | ({"problem": self.fault.message} if self.fault else {})
        self._append(f'{gap}{{"end": {json.dumps(end)}, "t": {self._now()}}}\n')

    def _trying(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # as in `_drain`; the next step is tried all the same
            self._break(error)


class _Track:
    """The audio of one side, in one file after another."""

    def __init__(self, folder: Path, side: Side) -> None:
        self._folder, self._side = folder, side
        self._files = 0
        self._writer: WavWriter | None = None
        self._at = 0
        self._waiting: list[bytes] = []

    def add(self, pcm: bytes, format: AudioFormat) -> dict[str, Any]:
        """Take audio; where it will be."""
        writer = self._writer
        if writer is None or writer.format != format or self._at + len(pcm) > _FILE_BYTES:
            writer = self._next_file(format)
        place = {"file": writer.path.name, "at": self._at, "bytes": len(pcm)}
        self._at += len(pcm)
        self._waiting.append(pcm)
        return place

    def flush(self) -> None:
        """Write what was taken."""
        if self._writer is not None and self._waiting:
            pcm = b"".join(self._waiting)
            self._waiting.clear()
            self._writer.write(pcm)

    def close(self) -> None:
        """Complete the file."""
        if self._writer is not None:
            self.flush()
            self._writer.close()

    def _next_file(self, format: AudioFormat) -> WavWriter:
        self.close()
        self._files += 1
        path = self._folder / (f"{self._side}.wav" if self._files == 1 else f"{self._side}-{self._files}.wav")
        os.close(_exclusive(path))
        self._writer = WavWriter(path, format)
        self._at = path.stat().st_size
        return self._writer


def _created(folder: Path, header: str) -> int:
    """The log with its first line, open to be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = _exclusive(folder / LOG)
    except FileExistsError as error:
        what = "holds a recording already" if folder.is_dir() else "is no folder"
        raise BadRecording(f"{folder} {what}: name a new folder for this one.") from error
    except (OSError, ValueError) as error:
        raise BadRecording(f"{folder} can't be a folder for a recording: {error}. Name another one.") from error
    try:
        os.write(file, f"{header}\n".encode("utf-8", "replace"))
    except OSError as error:
        os.close(file)
        raise BadRecording(f"{folder} can't be written to: {error}. Make room, or name another folder.") from error
    return file


def _exclusive(path: Path) -> int:
    """A new file for this user alone, never one that is there, nor where a link leads."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
