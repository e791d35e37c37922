"""What went into a session and what came out of it, in one order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, SendAudio
from voicebridge.contract.events import Event
from voicebridge.contract.message import Message

__all__ = ["Line", "Trace"]

Kind = Literal["send", "taken", "refused", "cancelled", "event", "note"]
E = TypeVar("E", bound=Event)
_SIGNS: dict[Kind, str] = {
    "send": "-> ",
    "taken": "",
    "refused": "!! ",
    "cancelled": "~~ ",
    "event": "<- ",
    "note": "## ",
}
_LAST_LINES = 80
_LONGEST_TEXT = 120


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened."""

    at: float
    """Seconds of the loop's clock."""
    kind: Kind
    """`send`: a command was given. `taken`, `refused`, `cancelled`: its `send` returned, raised, was cancelled."""
    message: Message | None = None
    text: str = ""

    def __str__(self) -> str:
        shown = _shown(self.message) if self.message is not None else ""
        return f"{self.at:9.3f} {_SIGNS[self.kind]}{' '.join(filter(None, (shown, self.text)))}"


class Trace:
    """Everything that one conversation was, as far as the outside can see it."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.capabilities = Capabilities()
        self.input_format = self.output_format = DOOR_FORMAT
        self.real_time = True
        """False: the loop's clock is virtual, and stamps from another clock mean nothing."""
        self.late_usage = False
        """True: the vendor tells what was used only after the end of what used it."""
        self.ending: Literal["", "stopped", "failed", "other"] = ""
        """How the iteration ended: it stopped, it raised `SessionFailed`, or something else."""
        self.closed_by_us = False

    def add(self, at: float, kind: Kind, message: Message | None = None, text: str = "") -> None:
        """Write a line."""
        self.lines.append(Line(at, kind, message, text))

    def events(self, kind: type[E], /, **values: Any) -> list[E]:
        """The events of a class whose fields have these values, in order."""
        found = [line.message for line in self.lines if line.kind == "event" and isinstance(line.message, kind)]
        return [event for event in found if all(getattr(event, name) == value for name, value in values.items())]

    def commands(self, kind: Kind) -> Iterator[Command]:
        """The commands whose `send` came to that."""
        for line in self.lines:
            if line.kind == kind and isinstance(line.message, Command):
                yield line.message

    def one_clock(self) -> bool:
        """Whether events are stamped by the clock of the loop."""
        return all(line.message.at <= line.at + 0.001 for line in self.lines if isinstance(line.message, Event))

    def sent_ms(self) -> float:
        """Milliseconds of audio given so far."""
        return audio_ms(self.commands("send"), self.input_format)

    def told(self) -> tuple[str, ...]:
        """For people: pieces of audio in a row are one line, and of a long trace the end is shown."""
        told: list[str] = []
        run: list[Line] = []
        for line in self.lines:
            if line.kind == "taken":
                continue
            if run and not (_is_audio(line) and line.kind == run[0].kind):
                told.append(_run(run))
                run = []
            if _is_audio(line):
                run.append(line)
            else:
                told.append(str(line))
        if run:
            told.append(_run(run))
        left = len(told) - _LAST_LINES
        return tuple([f"... {left} lines before", *told[left:]] if left > 0 else told)


def audio_ms(commands: Iterator[Command], format: AudioFormat) -> float:
    """Milliseconds of audio in these commands."""
    return format.ms(sum(len(command.pcm) for command in commands if isinstance(command, SendAudio)))


def _is_audio(line: Line) -> bool:
    return isinstance(line.message, SendAudio) and line.kind == "send"


def _run(lines: list[Line]) -> str:
    return f"{lines[0]}" + (f" and {len(lines) - 1} more until {lines[-1].at:.3f}" if len(lines) > 1 else "")


def _shown(message: Message) -> str:
    parts = []
    for field in fields(message):
        value = getattr(message, field.name)
        if field.name == "at" or value in (None, (), False, "") or value == {} or isinstance(value, Capabilities):
            continue
        if isinstance(value, bytes | bytearray | memoryview):
            value = f"<{len(value)} bytes>"
        elif isinstance(value, float):
            value = round(value, 3)
        elif isinstance(value, str):
            value = _short(value)
        parts.append(f"{field.name}={value}")
    return f"{type(message).__name__}({', '.join(parts)})"


def _short(text: str) -> str:
    """On one line, with what can't be shown as an escape."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[:_LONGEST_TEXT]}... ({len(text)} characters)"
