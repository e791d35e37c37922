"""A conversation in writing, while it goes on."""

from __future__ import annotations

from typing import TextIO

from voicebridge.contract.events import (
    BackendError,
    Event,
    InputTranscript,
    OutputText,
    ResponseEnded,
    SessionReady,
    SessionRestarted,
    ToolCall,
)

from .plain_text import plain

__all__ = ["Captions"]


class Captions:
    """Writes who says what, a line each, as it is said.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._speaking = False
        """The agent's line is open."""

    def show(self, event: Event) -> None:
        """Write what a person wants to know of an event."""
        if isinstance(event, SessionReady):
            self.note("Ready: speak. Ctrl-C ends the conversation.")
        elif isinstance(event, InputTranscript) and event.final:
            self.note(f"You: {event.text}" if event.fault is None else f"! {event.fault.message}")
        elif isinstance(event, OutputText) and event.kind != "thought":
            self._say(event.delta)
        elif isinstance(event, ToolCall):
            self.note(f"({event.name} {event.arguments})")
        elif isinstance(event, ResponseEnded):
            self._close(event)
        elif isinstance(event, SessionRestarted):
            self.note(f"(connected again: {event.reason})")
        elif isinstance(event, BackendError) and not event.fatal:  # a fatal one is raised to the caller as well
            self.note(f"! {event.fault.message}")

    def note(self, line: str) -> None:
        """Write a line of its own."""
        self.end()
        self._write(f"{line}\n")

    def end(self) -> None:
        """End the line that is open."""
        if self._speaking:
            self._speaking = False
            self._write("\n")

    def _say(self, delta: str) -> None:
        if not self._speaking:
            self._speaking = True
            self._write("Agent: ")
            delta = delta.lstrip()
        self._write(delta.replace("\n", " "))

    def _close(self, ended: ResponseEnded) -> None:
        if ended.status == "interrupted" and self._speaking:
            self._write(" ...")
        self.end()
        if ended.status == "failed":
            self.note(f"! {ended.fault.message if ended.fault else 'The answer failed.'}")

    def _write(self, text: str) -> None:
        self._out.write(plain(text))
        self._out.flush()
