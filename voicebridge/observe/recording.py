"""A recorded session on disk, and how to read it.

call.jsonl     a line of JSON each: first the header, then what went down and came up, in order, to the end
user.wav       what was sent, in the session's input format, without the time in between
agent.wav      what came back, in its output format; more files follow where the format changes

{"recording": 1, "began": ..., "capabilities": {...}, "config": {...}, "history": [...]}
{"command": {"type": "send_text", ...}, "t": 0.51}                       t: seconds since the beginning
{"command": {"type": "send_audio", ...}, "t": 0.53, "audio": {"file": "user.wav", "at": 44, "bytes": 640}}
{"event": {"type": "output_text", ...}, "t": 0.9}
{"refused": "c7", "error": "Unsupported", "fault": {...}, "t": 1.2}      `send` raised this, some lines after
{"cancelled": "c8", "t": 1.3}                                            nobody knows whether it was sent
{"gap": {"lines": 12, "audio_bytes": 640}, "t": 5.0}                     missing: the disk was too slow for these
{"gap": {"lines": 1, "what": "SendAudio"}, "t": 5.1}                     missing: it could not be written
{"close": true, "t": 9.0}                                                the application ended the session
{"end": {"complete": true}, "t": 9.1}                                    missing where the program was killed
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

from voicebridge.contract import errors
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, ReportPlayed, SendAudio
from voicebridge.contract.errors import BadRecording, ConfigError, VoiceBridgeError
from voicebridge.contract.events import Event, OutputAudio
from voicebridge.contract.fault import Fault
from voicebridge.contract.lines import load

__all__ = ["LOG", "VERSION", "AudioPlace", "Line", "Recording", "ScriptedCommand"]

VERSION = 1
"""Of the format. A reader refuses later ones."""
LOG = "call.jsonl"
_LONGEST = 32 * 1024 * 1024
"""Bytes of the longest line that is read."""
_AUDIO_FILE = re.compile(r"(?:user|agent)(?:-[0-9]{1,6})?\.wav")
_FILE_BYTES = 2**32
"""Of the longest WAV file."""
_LONGEST_S = 366 * 24 * 3600
"""Seconds of the longest recording."""
_SENT_AUDIO = b'{"command": {"type": "send_audio"'
_WHOLE_FRAME = 4
"""Bytes of the largest frame: what is left of one at the end of a file was never written."""

Kind = Literal["command", "event", "refused", "cancelled", "gap", "close", "end"]
_KINDS: tuple[Kind, ...] = ("command", "event", "refused", "cancelled", "gap", "close", "end")


@dataclass(frozen=True, slots=True)
class AudioPlace:
    """Where the audio of a command or event is."""

    file: str
    at: int
    """Bytes from the beginning of the file, its header included."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    kind: Kind
    t: float
    """Seconds since the recording began."""
    message: Command | Event | None = None
    """Of a command or event; one with audio comes without it: see `Recording.whole`."""
    audio: AudioPlace | None = None
    data: Any = None
    """What another kind of line says."""


@dataclass(frozen=True, slots=True)
class ScriptedCommand:
    """A command that is neither audio nor a report of the player: those are matched one by one."""

    id: str
    type: str
    refused: VoiceBridgeError | None = None
    """What `send` raised."""


class Recording:
    """A folder that a recorder has written, or still writes. Reads on demand: its size does not matter.

    Raises:
        BadRecording: there is no such folder, or it holds no recording of this format; the message says which.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._log = self.folder / LOG
        self.header = self._read_header()
        self.complete = False
        """It ends where the session ended, and nothing is missing in between."""
        self.problem = "it ends in the middle of the call: the program that recorded it was stopped"
        """Why it is not complete; empty where it is."""
        self.script: tuple[ScriptedCommand, ...] = ()
        self.refused: frozenset[str] = frozenset()
        """The ids of commands, audio among them, that were not taken, or nobody knows."""
        self.duration_s = 0.0
        self._survey()

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the recorded session could do before its handshake."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(Capabilities).validate_python(self.header["capabilities"])
        except (KeyError, ValidationError) as error:
            raise BadRecording(f"{self._log} is damaged: its first line does not say what the session could do.") from (
                error if isinstance(error, KeyError) else None
            )

    def lines(self) -> Iterator[Line]:
        """All lines after the header. What was being written when the program was killed is passed over.

        Raises:
            BadRecording: a line in the middle can't be read.
        """
        for number, text in self._texts():
            yield self._parsed(number, text)

    def whole(self, line: Line) -> Command | Event:
        """The command or event of a line, with its audio.

        Raises:
            BadRecording: the file with the audio is missing or too short.
        """
        assert line.message is not None
        if line.audio is None or not isinstance(line.message, SendAudio | OutputAudio):
            return line.message
        return replace(line.message, pcm=self._pcm(line.audio))

    def _pcm(self, place: AudioPlace) -> bytes:
        path = self.folder / place.file
        try:
            with _opened(path) as file:
                file.seek(place.at)
                pcm = file.read(place.size)
        except OSError as error:
            raise BadRecording(f"{path}, which belongs to this recording, can't be read: {error.strerror}.") from error
        if place.size - len(pcm) >= _WHOLE_FRAME:
            raise BadRecording(f"{path} is shorter than {self._log} says. Copy the recording again, all its files.")
        return pcm

    def _read_header(self) -> Mapping[str, Any]:
        try:
            with _opened(self._log) as file:
                first = file.readline(_LONGEST)
        except FileNotFoundError as error:
            there = self.folder.is_dir()
            why = f"has no {LOG}: it is no recorded session" if there else "does not exist"
            raise BadRecording(f"{self.folder} {why}. Name the folder that --record made.") from error
        except (OSError, ValueError) as error:
            raise BadRecording(f"{self._log} can't be read: {error}.") from error
        try:
            header = json.loads(first)
            version = header["recording"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadRecording(f"{self._log} is no log of a recorded session: its first line is no header.") from error
        if version != VERSION:
            raise BadRecording(
                f"{self.folder} was recorded in format {version!r}, and this voicebridge reads {VERSION}. "
                "Upgrade voicebridge, or record again."
            )
        return dict(header)

    def _texts(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines after the header, with their numbers."""
        with _opened(self._log) as file:
            file.readline(_LONGEST)
            number = 1
            while (text := file.readline(_LONGEST)).endswith(b"\n"):
                number += 1
                yield number, text
            if len(text) >= _LONGEST:
                raise BadRecording(f"Line {number + 1} of {self._log} is too long to be one.")

    def _survey(self) -> None:
        """One quick look at all lines: what was asked, what was refused, how it ended. Audio is not looked at."""
        asked: list[Line] = []
        refusals: dict[str, VoiceBridgeError | None] = {}
        last, gaps = b"", 0
        end: Line | None = None
        for number, text in self._texts():
            last = text
            if text.startswith((b'{"event"', _SENT_AUDIO)):
                continue
            line = self._parsed(number, text)
            if line.kind == "command" and not isinstance(line.message, ReportPlayed):
                asked.append(line)
            elif line.kind == "refused":
                refusals[str(line.data.get("refused"))] = _refusal(line.data)
            elif line.kind == "cancelled":
                refusals[str(line.data)] = None
            elif line.kind == "gap":
                gaps += 1
            elif line.kind == "end":
                end = line
        self.duration_s = self._parsed(0, last).t if last else 0.0
        self._conclude(end, gaps)
        commands = [line.message for line in asked if isinstance(line.message, Command)]
        self.script = tuple(ScriptedCommand(one.id, one.type_name(), refusals.get(one.id)) for one in commands)
        self.refused = frozenset(refusals)

    def _conclude(self, end: Line | None, gaps: int) -> None:
        if end is not None and isinstance(end.data, Mapping):
            self.problem = "" if end.data.get("complete") else str(end.data.get("problem", "it says so itself"))
        elif gaps:
            self.problem = "parts of it are missing"
        self.complete = not self.problem

    def _parsed(self, number: int, text: bytes) -> Line:
        try:
            fields = json.loads(text)
            [kind] = [kind for kind in _KINDS if kind in fields][:1]
            message, audio = None, None
            if kind in ("command", "event"):
                message = load(json.dumps(fields[kind]))
                audio = _place(fields["audio"]) if "audio" in fields else None
            data = fields if kind == "refused" else fields[kind]
            return Line(kind, _time(fields["t"]), message, audio, data)
        except (ConfigError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            why = str(error) if isinstance(error, VoiceBridgeError) else type(error).__name__
            raise BadRecording(f"Line {number} of {self._log} can't be read: {why}") from error


def _opened(path: Path) -> BinaryIO:
    """A regular file to read. A recording may come from anywhere: a link would lead out of it, a pipe would never end.

    Raises:
        BadRecording: it is something else.
        OSError: it can't be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    strange = BadRecording(f"{path} is a link, a pipe or a folder. A recording holds files alone: copy it again.")
    try:
        file = open(os.open(path, flags), "rb")  # noqa: SIM115  # given to the caller, who closes it
    except IsADirectoryError as error:
        raise strange from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise strange from error
        raise
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise strange
    return file


def _time(told: Any) -> float:
    t = float(told)
    if not 0 <= t <= _LONGEST_S:  # nor NaN
        raise BadRecording(f"its time is {t:g} s.")
    return t


def _place(fields: Mapping[str, Any]) -> AudioPlace:
    place = AudioPlace(str(fields["file"]), int(fields["at"]), int(fields["bytes"]))
    # A recording may come from anywhere: it names files beside its log, and nothing else.
    if not _AUDIO_FILE.fullmatch(place.file) or not 0 <= place.at < _FILE_BYTES or not 0 <= place.size <= _LONGEST:
        raise BadRecording("its audio lies outside of the recording.")
    return place


def _refusal(fields: Mapping[str, Any]) -> VoiceBridgeError:
    """The error that `send` raised, as it was."""
    cls = getattr(errors, str(fields.get("error")), VoiceBridgeError)
    if not (isinstance(cls, type) and issubclass(cls, VoiceBridgeError)):
        cls = VoiceBridgeError
    told = fields.get("fault")
    known = {name: told[name] for name in Fault.__slots__ if name in told} if isinstance(told, Mapping) else {}
    return cls(Fault(**({"category": "protocol", "message": "The command was refused."} | known)))
