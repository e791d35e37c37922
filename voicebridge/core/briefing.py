"""What a new connection must be told so that a conversation goes on: settings, what was said, and the user's voice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Configure, Interrupt, ReportPlayed
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.events import CommandSettled, Event, UserTurn
from voicebridge.contract.items import Item

from .backlog import Backlog, Due
from .chronicle import Chronicle
from .replay_point import ReplayPoint
from .turn_ends import TurnEnds

__all__ = ["Briefing", "Opening"]

_TOLERANCE_MS = 20.0
"""Backends round where a turn ended. No turn is so short."""


@dataclass(frozen=True, slots=True)
class Opening:
    """With what a connection is opened."""

    config: SessionConfig
    history: tuple[Item, ...]
    start_ms: float
    """From where on it hears the user, in milliseconds from the first sample of the session."""


class Briefing:
    """Follows the commands and events of a session that may have to go on over another connection.

    A new one is opened with `open`, and then told what `backlog` gives: the user's audio since the last turn whose
    words are known, and the commands that belong into it.

    Args:
        format: of the user's audio.
        capabilities: what the backend is expected to do.
    """

    def __init__(
        self, config: SessionConfig, history: Iterable[Item], format: AudioFormat, capabilities: Capabilities
    ) -> None:
        self.backlog = Backlog(format)
        self._config, self._format = config, format
        self._patches: dict[str, Configure] = {}
        """Changes of the settings that are not settled."""
        self._chronicle = Chronicle(history)
        self._replay = ReplayPoint(transcribes=capabilities.input_transcript != "none")
        self.turn_ends = TurnEnds(format.size(_TOLERANCE_MS))

    # Commands

    def heard(self, pcm: bytes) -> None:
        """The user's audio goes on."""
        self.backlog.add(pcm, safe=self._safe())

    def heeded(self, command: ReportPlayed | Interrupt) -> None:
        """The application says what was heard, and what it does not want any more, whichever connection that is of."""
        self._chronicle.sent(command)
        if isinstance(command, Interrupt):
            self.turn_ends.interrupted(command)

    def given(self, due: Due) -> None:
        """A connection is given a command."""
        command = due.command
        self._chronicle.sent(command)
        self.turn_ends.forget(self.backlog.audio.start)
        self.turn_ends.given(due.place, command)
        if isinstance(command, Configure):
            self._patches[command.id] = command

    def forget(self, command: Command) -> None:
        """It was not taken after all."""
        self._chronicle.withdraw(command.id)
        self.turn_ends.withdraw(command.id)
        self._patches.pop(command.id, None)

    # Events

    def happened(self, event: Event) -> None:
        """Something was told."""
        self._replay.happened(event)
        self.turn_ends.happened(event)
        self._chronicle.happened(event)
        if isinstance(event, CommandSettled):
            patch = self._patches.pop(event.command_id, None)
            if patch is not None and event.fault is None:
                self._config = self._config.patched(patch.patch)

    def ready(self, capabilities: Capabilities) -> None:
        """The connection can do this, and has what it was given."""
        self._replay.transcribes = capabilities.input_transcript != "none"
        self.backlog.ready()

    # The next connection

    def lost(self) -> list[UserTurn]:
        """The connection is lost. What is to be told: turns that were under way are heard again as other ones."""
        now_ms = self._format.ms(self.backlog.audio.end)
        discarded = [
            UserTurn(turn_id=turn_id, phase="discarded", audio_ms=now_ms, source="inferred")
            for turn_id in self._replay.abandon()
        ]
        for event in discarded:
            self._chronicle.happened(event)
        return discarded

    def take_back(self) -> None:
        """What a connection was given that never got ready, another one gets."""
        for due in self.backlog.take_back():
            self.forget(due.command)

    def open(self) -> Opening:
        """Decide from where on the next connection hears the user; what was said before, it is told."""
        unwritten = self._replay.unwritten
        for turn_id in unwritten:
            self._chronicle.withdraw(turn_id)
        start = self.backlog.start(self._safe())
        self.backlog.repeat(self.turn_ends.again(start, unwritten))
        start_ms = self._format.ms(start)
        self._replay.restart(start_ms)
        return Opening(self._config, self._chronicle.items(), start_ms)

    def _safe(self) -> int:
        """The first byte of what a new connection has to hear. A server may claim to have heard what was never sent."""
        return min(self._format.size(self._replay.ms), self.backlog.audio.end)
