"""What a new connection must be told so that a conversation goes on: what was said, and the user's voice."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, DiscardTurn, EndTurn, Interrupt, Respond, SendText
from voicebridge.contract.events import Event, UserTurn
from voicebridge.contract.items import Item, MessageItem

from .answer_due import AnswerDue
from .backlog import Backlog, Due
from .chronicle import Chronicle
from .replay_point import ReplayPoint
from .turn_ends import TurnEnds

__all__ = ["Briefing"]

_SWEEP_MS = 200.0
"""Audio that may come until the next look at what nobody will ask for any more."""
_UNJUDGED_MS = 500.0
"""So late a backend may say that somebody speaks."""
_TOLERANCE_MS = 20.0
"""Backends round where a turn ended. No turn is so short."""


class Briefing:
    """Follows the commands and events of a session that may have to go on over another connection.

    A new one is opened with the items of `seed`. When it takes over, `take_over` says from where on it hears the user;
    then it is told what `backlog` gives: the user's audio since the last turn whose words are known, and the commands
    that belong into it. Last, it is asked for the answer that `answer_due` knows to be owed.

    Args:
        format: of the user's audio.
        capabilities: what the backend is expected to do.
        auto_respond: turns are answered without being asked for.
    """

    def __init__(
        self, chronicle: Chronicle, format: AudioFormat, capabilities: Capabilities, *, auto_respond: bool = True
    ) -> None:
        self.chronicle = chronicle
        self.backlog = Backlog(format)
        self._unswept, self._sweep = 0, format.size(_SWEEP_MS)
        self.answer_due = AnswerDue(auto_respond=auto_respond)
        self._format = format
        self._replay = ReplayPoint(transcribes=capabilities.input_transcript != "none")
        self.turn_ends = TurnEnds(format.size(_TOLERANCE_MS))
        self._gap_start = 0

    # Commands

    def heard(self, pcm: bytes) -> None:
        """The user's audio goes on."""
        self.backlog.audio.add(pcm)
        self._unswept += len(pcm)
        if self._unswept >= self._sweep:  # not with each piece: finding out costs more than keeping them
            self._unswept = 0
            self.backlog.let_go(self._safe())

    def heeded(self, command: Interrupt) -> None:
        """The application says what it does not want any more, whichever connection that is of."""
        self.turn_ends.interrupted(command)
        self.answer_due.given(command)

    def given(self, due: Due) -> None:
        """A connection is given a command."""
        command = due.command
        self.chronicle.sent(command)
        self.turn_ends.forget(self.backlog.audio.start)
        self.turn_ends.given(due.place, command)
        self.answer_due.given(command)

    def repeated(self, due: Due) -> None:
        """A connection is given a command that an earlier one had: all but the answer to it is known."""
        self.answer_due.given(due.command)

    def forget(self, command: Command) -> None:
        """It was not taken after all."""
        self.chronicle.withdraw(command.id)
        self.turn_ends.withdraw(command.id)
        self.answer_due.withdraw(command.id)

    def is_due_again(self, command: Command, told: Sequence[Item] | None) -> bool:
        """Whether another connection can be given a command of which nobody knows what became: it certainly lacks it.

        Args:
            told: what that one was opened with; None: it is not opened yet.
        """
        if isinstance(command, EndTurn | DiscardTurn):
            return True
        if not self.answer_due.waits(command.id):
            return False
        if isinstance(command, SendText):
            item = MessageItem(role=command.role, text=command.text, images=command.images)
            return told is None or item not in told
        return isinstance(command, Respond)

    # Events

    def happened(self, event: Event) -> None:
        """Something was told."""
        self._replay.happened(event)
        self.turn_ends.happened(event)
        self.answer_due.happened(event)
        self.chronicle.happened(event)

    def ready(self, capabilities: Capabilities) -> None:
        """The connection can do this, and has what it was given."""
        self._replay.transcribes = capabilities.input_transcript != "none"
        self.backlog.ready()

    @property
    def user_speaks(self) -> bool:
        """Whether a turn of the user is not over."""
        return self._replay.open

    @property
    def unfinished(self) -> bool:
        """Whether an answer is owed, or the text of what was said is still to come."""
        return self.answer_due.owed or self._replay.awaited

    def unjudged(self) -> bytes:
        """The user's audio of which no connection may have said yet whether somebody speaks in it."""
        return self.backlog.audio.since(self._gap_start)

    # The next connection

    def seed(self, *, running: Collection[str] = ()) -> tuple[Item, ...]:
        """What a connection that is opened now should know. Turns that it is going to hear are none of it.

        Args:
            running: answers that are being given: it is told of them as a whole, when it takes over.
        """
        return self.chronicle.items(without=(*self._replay.unwritten, *running))

    def missing(self, told: Sequence[Item], *, skipped: int = 0) -> tuple[MessageItem, ...] | None:
        """What was said since a connection was seeded with `told`; None: it can't be told by adding to that.

        Args:
            skipped: items before those that it was not told.
        """
        now = self.seed()[skipped:]
        added = now[len(told) :]
        if now[: len(told)] != tuple(told) or not all(isinstance(item, MessageItem) for item in added):
            return None
        return tuple(item for item in added if isinstance(item, MessageItem))

    def news(self, told: Sequence[Item], *, skipped: int = 0) -> tuple[Item, ...]:
        """The same where some of it is not as it was told: all from there on."""
        now = self.seed()[skipped:]
        alike = next((n for n, (one, other) in enumerate(zip(now, told, strict=False)) if one != other), len(told))
        return now[alike:]

    def lost(self) -> list[UserTurn]:
        """The connection is lost. What is to be told: turns that were under way are heard again as other ones."""
        now_ms = self._format.ms(self.backlog.audio.end)
        end = self.backlog.audio.end
        self._gap_start = max(0, end - end % self._format.frame_bytes - self._format.size(_UNJUDGED_MS))
        discarded = [
            UserTurn(turn_id=turn_id, phase="discarded", audio_ms=now_ms, source="inferred")
            for turn_id in self._replay.abandon()
        ]
        for event in discarded:
            self.chronicle.happened(event)
        return discarded

    def take_back(self) -> list[str]:
        """What a connection was given that never got ready, another one gets. The ids of these commands."""
        taken = [due.command for due in self.backlog.take_back()]
        for command in taken:
            self.forget(command)
        return [command.id for command in taken]

    def take_over(self) -> float:
        """Another connection carries the call. From where on it hears the user, in milliseconds of the session."""
        unwritten, committed = self._replay.unwritten, self._replay.unwritten_turns
        for turn_id in unwritten:
            self.chronicle.withdraw(turn_id)
            self.answer_due.withdraw(turn_id)
        start = self.backlog.start(self._safe())
        again = self.turn_ends.again(start, unwritten)
        asked_again = [command for _, command in again if isinstance(command, EndTurn) and command.respond]
        for command in asked_again:
            self.answer_due.withdraw(command.id)
        self.answer_due.hand_on()
        if asked_again or (unwritten and self.answer_due.auto_respond):
            self.answer_due.heard_again()
        elif committed:
            self.answer_due.heard_again_unanswered(committed)
        self.backlog.repeat(again)
        start_ms = self._format.ms(start)
        self._replay.restart(start_ms)
        self._gap_start = max(start, self._gap_start)
        return start_ms

    def _safe(self) -> int:
        """The first byte of what a new connection has to hear. A server may claim to have heard what was never sent."""
        return min(self._format.size(self._replay.ms), self.backlog.audio.end)
