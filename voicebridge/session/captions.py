"""A conversation in writing, while it goes on."""

from __future__ import annotations

from typing import Protocol, TextIO

from voicebridge.contract.events import (
    BackendError,
    Event,
    InputTranscript,
    Interruption,
    OutputHeard,
    OutputText,
    ResponseEnded,
    SessionReady,
    SessionRestarted,
    ToolCall,
)

from .plain_text import plain

__all__ = ["Captions", "Shown"]

_REMEMBERED = 64
_LAST_WORDS = 40
"""Characters of an answer that was cut, to show where."""


class Shown(Protocol):
    """What captions ask the session for: names."""

    @property
    def agent(self) -> str | None: ...

    @property
    def backend(self) -> str: ...


class Captions:
    """Writes who says what, a line each, as it is said.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._speaking = False
        """The agent's line is open."""
        self._cut: dict[str, bool] = {}
        """Answers that were interrupted, and whether it was written how far they were heard."""
        self._heard: dict[str, OutputHeard] = {}
        """How far, of those that this was not written of: it may be known better in a moment."""

    def show(self, event: Event, session: Shown | None = None) -> None:
        """Write what a person wants to know of an event.

        Args:
            session: that told it. Without it no names of agents and backends are known.
        """
        if isinstance(event, SessionReady):
            self.note("Ready: speak. Ctrl-C ends the conversation.")
        elif isinstance(event, InputTranscript) and event.final:
            self.note(f"You: {event.text}" if event.fault is None else f"! {event.fault.message}")
        elif isinstance(event, OutputText) and event.kind != "thought" and event.response_id not in self._cut:
            self._say(event.delta, session)
        elif isinstance(event, Interruption) and event.action == "interrupt":
            self._interrupted(event)
        elif isinstance(event, OutputHeard) and not self._cut.get(event.response_id, True):
            self._heard[event.response_id] = event
        elif isinstance(event, ToolCall):
            self.note(f"({event.name} {event.arguments})")
        elif isinstance(event, ResponseEnded):
            self._close(event)
        elif isinstance(event, SessionRestarted):
            self._restarted(event, session)
        elif isinstance(event, BackendError) and not event.fatal:  # a fatal one is raised to the caller as well
            self.note(f"! {event.fault.message}")

    def note(self, line: str) -> None:
        """Write a line of its own."""
        self.end()
        self._tell_heard()
        self._write(f"{line}\n")

    def end(self) -> None:
        """End the line that is open. What comes after it begins a new one."""
        if self._speaking:
            self._speaking = False
            self._write("\n")

    def close(self) -> None:
        """The conversation is over."""
        self.end()
        self._tell_heard()

    def _say(self, delta: str, session: Shown | None) -> None:
        if not self._speaking:
            self._tell_heard()
            self._speaking = True
            name = None if session is None else session.agent
            self._write(f"Agent {name}: " if name else "Agent: ")
            delta = delta.lstrip()
        self._write(delta.replace("\n", " "))

    def _interrupted(self, decision: Interruption) -> None:
        if self._speaking:
            self._write(" ...")
            self.end()
        for response_id in decision.response_ids:
            self._cut.setdefault(response_id, False)
        while len(self._cut) > _REMEMBERED:
            del self._cut[next(iter(self._cut))]

    def _tell_heard(self) -> None:
        for response_id, heard in self._heard.items():
            self._cut[response_id] = True
            words = " ".join(heard.text.split())
            if not words:
                self._write("(you heard nothing of it)\n")
            elif heard.text_basis != "whole":
                self._write(f"(you heard it up to: {_last(words)})\n")
        self._heard.clear()

    def _close(self, ended: ResponseEnded) -> None:
        if ended.status == "interrupted" and self._speaking:
            self._write(" ...")
        self.end()
        if ended.status == "failed":
            self.note(f"! {ended.fault.message if ended.fault else 'The answer failed.'}")

    def _restarted(self, event: SessionRestarted, session: Shown | None) -> None:
        if event.reason in ("swap", "failover"):
            said = f"now {event.ready.model if session is None else session.backend}: {event.reason}"
        else:
            said = "connected again" if event.reason != "reconfigure" else "connected again, with other settings"
        if event.lost_audio_ms >= 1:
            said += f"; {event.lost_audio_ms / 1000:.1f} s of your voice were lost"
        self.note(f"({said})")

    def _write(self, text: str) -> None:
        self._out.write(plain(text))
        self._out.flush()


def _last(words: str) -> str:
    """The end of a text, from a whole word on."""
    if len(words) <= _LAST_WORDS:
        return words
    end = words[-_LAST_WORDS:]
    return f"... {end.partition(' ')[2] or end}"
