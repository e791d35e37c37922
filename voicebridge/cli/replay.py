"""`voicebridge replay`: a recorded conversation, read again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from voicebridge.audio.file import WavWriter
from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command, ReportPlayed, SendAudio, SendText
from voicebridge.contract.errors import BadOption
from voicebridge.contract.events import Event, OutputAudio, SessionReady
from voicebridge.contract.lines import dump
from voicebridge.observe.recording import Line, Recording
from voicebridge.session.captions import Captions

__all__ = ["replay"]


def replay(folder: Path, *, pace: str, out: Path | None, json: bool) -> int:
    """Run the command; its exit status.

    Raises:
        BadRecording: the folder holds no recording that can be read.
        BadOption: there is no such pace.
        BadAudio: `out` can't be written.
    """
    if pace not in ("recorded", "instant"):
        raise BadOption(f"--pace is recorded or instant, not {pace!r}.", code="bad_option")
    recording = Recording(folder)
    print(_about(recording), file=sys.stderr)
    captions = Captions(sys.stdout)
    try:
        with ExitStack() as files:
            voice = _Voice(recording, out, files) if out is not None else None
            for line in _paced(recording, pace):
                if voice is not None:
                    voice.take(line)
                if json:
                    _print_line(line)
                else:
                    _show(captions, line)
    finally:
        captions.end()
    return 0


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
        print(dump(line.message), flush=True)


def _show(captions: Captions, line: Line) -> None:
    """What a person wants to know."""
    message = line.message
    if isinstance(message, SendText):
        captions.note(f"{'You' if message.role == 'user' else message.role.capitalize()} (in writing): {message.text}")
    elif isinstance(message, Event) and not isinstance(message, SessionReady):
        captions.show(message)
    elif isinstance(message, Command) and message.type_name() in ("interrupt", "send_tool_result"):
        captions.note(f"({message.type_name().replace('_', ' ')})")


class _Voice:
    """The agent's side as a file of its own: what came, whether or not it was heard to its end."""

    def __init__(self, recording: Recording, out: Path, files: ExitStack) -> None:
        self._recording, self._out, self._files = recording, out, files
        self._writer: WavWriter | None = None
        formats = recording.capabilities.formats_out
        self._format = formats[0] if formats else AudioFormat()

    def take(self, line: Line) -> None:
        """Write the audio of a line, if it has any of the agent's."""
        if isinstance(line.message, SessionReady):
            self._format = line.message.output_format
        elif isinstance(line.message, OutputAudio):
            event = self._recording.whole(line)
            assert isinstance(event, OutputAudio)
            if self._writer is None:
                self._writer = self._files.enter_context(WavWriter(self._out, self._format))
            self._writer.write(event.pcm)
