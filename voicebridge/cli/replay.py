"""`voicebridge replay`: a recorded conversation, read again."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from voicebridge.audio.file import WavWriter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command, ReportPlayed, SendAudio, SendText
from voicebridge.contract.errors import BadAudio, BadOption
from voicebridge.contract.events import Event, OutputAudio, SessionReady
from voicebridge.contract.lines import dump
from voicebridge.contract.message import Message
from voicebridge.observe.recording import Line, Recording
from voicebridge.session.captions import Captions
from voicebridge.session.plain_text import escaped, plain

from .turn_order import TurnOrder, transcribed

__all__ = ["replay"]


def replay(folder: Path, *, pace: str, out: Path | None, json: bool) -> int:
    """Run the command; its exit status.

    Raises:
        BadRecording: the folder holds no recording that can be read.
        BadOption: there is no such pace.
        BadAudio: `out` can't be written, or lies in the recording.
    """
    if pace not in ("recorded", "instant"):
        raise BadOption(f"--pace is recorded or instant, not {pace!r}.", code="bad_option")
    recording = Recording(folder)
    if out is not None:
        out = _checked_out(out, folder)
    print(plain(_about(recording)), file=sys.stderr)
    captions = Captions(sys.stdout)
    try:
        with ExitStack() as files:
            voice = files.enter_context(_Voice(recording, out)) if out is not None else None
            order = TurnOrder(frozenset() if json else transcribed(recording.lines()))
            for line in _paced(recording, pace):
                if voice is not None:
                    voice.take(line)
                if json:
                    _print_line(line)
                elif line.message is not None and not isinstance(line.message, SendAudio | OutputAudio | ReportPlayed):
                    for message in order.take(line.message):
                        _show(captions, message)
            for message in order.rest():
                _show(captions, message)
    finally:
        captions.close()
    return 0


def _checked_out(out: Path, folder: Path) -> Path:
    """Where the voice goes, links followed: never into what is read, nor in the place of a device."""
    try:
        place = out.resolve()
        inside = place.is_relative_to(folder.resolve())
        strange = place.exists() and not place.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a name that no system takes
        raise BadAudio(f"{out} can't be written: {error}. Name another file.") from error
    if inside:
        raise BadAudio(f"{out} lies in the recording that is read. Name a file outside of {folder}.")
    if strange:
        raise BadAudio(f"{out} is there and is no file. Name another one.")
    return place


def _about(recording: Recording) -> str:
    began = str(recording.header.get("began", "at a time that is not known"))
    state = "complete" if recording.complete else f"not complete: {recording.problem}"
    return f"{recording.folder}: recorded {began}, {recording.duration_s:.1f} s, {state}"


def _paced(recording: Recording, pace: str) -> Iterator[Line]:
    began = time.monotonic()
    for line in recording.lines():
        if pace == "recorded":
            time.sleep(max(0.0, began + line.t - time.monotonic()))
        yield line


def _print_line(line: Line) -> None:
    """A command or event as a line of JSON, without the sound."""
    if line.message is not None and not isinstance(line.message, SendAudio | OutputAudio | ReportPlayed):
        print(escaped(dump(line.message)), flush=True)


def _show(captions: Captions, message: Message) -> None:
    """What a person wants to know."""
    if isinstance(message, SendText):
        captions.note(f"{'You' if message.role == 'user' else message.role.capitalize()} (in writing): {message.text}")
    elif isinstance(message, Event) and not isinstance(message, SessionReady):
        captions.show(message)
    elif isinstance(message, Command) and message.type_name() in ("interrupt", "send_tool_result"):
        captions.note(f"({message.type_name().replace('_', ' ')})")


class _Voice:
    """The agent's side as a file of its own: what came, whether or not it was heard to its end.

    A context manager. The file is there, in place of an older one, once all of it was written.
    """

    def __init__(self, recording: Recording, out: Path) -> None:
        self._recording, self._out = recording, out
        self._unfinished = out.with_name(f".{out.name[:64]}.{uuid.uuid4().hex}.part")
        self._writer: WavWriter | None = None
        formats = recording.capabilities.formats_out
        self._format = formats[0] if formats else AudioFormat()

    def __enter__(self) -> _Voice:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is None:
            return
        try:
            self._writer.close()
            if error is None:
                self._unfinished.replace(self._out)
        except OSError as problem:
            raise BadAudio(f"{self._out} can't be written: {problem}. Name another file.") from problem
        finally:
            self._unfinished.unlink(missing_ok=True)

    def take(self, line: Line) -> None:
        """Write the audio of a line, if it has any of the agent's."""
        if isinstance(line.message, SessionReady):
            self._format = line.message.output_format
        elif isinstance(line.message, OutputAudio):
            event = self._recording.whole(line)
            assert isinstance(event, OutputAudio)
            if self._writer is None:
                self._writer = WavWriter(self._unfinished, self._format)
            self._writer.write(event.pcm)
