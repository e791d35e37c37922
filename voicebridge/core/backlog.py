"""What a connection is still to be told: the user's latest audio, and commands at their places in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.commands import Command
from voicebridge.contract.events import CommandSettled

from .recent_audio import RecentAudio

__all__ = ["Backlog", "Due"]

_KEPT_AUDIO_MS = 30_000


@dataclass(frozen=True, slots=True)
class Due:
    """A command that a connection is to get."""

    place: int
    """How much audio came before it, in bytes from the first sample of the session."""
    command: Command
    again: bool = False
    """An earlier connection had it, and its fate was told."""


class Backlog:
    """Keeps the last 30 s of audio, and commands that no connection has.

    command                              becomes
    no connection is there               held
    held, and its turn comes             given (`next`)
    given, the connection not ready      early: if it never gets ready, it is held again, before all others
    given, and not taken                 held again, before all others (`put_back`)
    """

    def __init__(self, format: AudioFormat) -> None:
        self.audio = RecentAudio(format)
        self.lost_bytes = 0
        """Of the audio that the connection should have heard, what was not there any more."""
        self.on_lost: Callable[[int, int], None] = lambda start, end: None
        """Is told of audio that no connection will get: from which place to which."""
        self._kept = format.size(_KEPT_AUDIO_MS)
        self.fell_behind = False
        """The connection takes less than there is: it still needs what it was not told."""
        self.told = 0
        """Up to where the connection has the audio, while it is told what it missed."""
        self._wanted: int | None = None
        """From where the next connection that gets ready should hear it."""
        self._held: deque[Due] = deque()
        self._early: list[Due] = []

    def add(self, pcm: bytes, *, safe: int) -> None:
        """The user's audio goes on. Nobody will ask for what lies before the offset `safe`."""
        self.audio.add(pcm)
        self.let_go(safe)

    def let_go(self, safe: int) -> None:
        """Forget what is too old, and what lies before the offset `safe`."""
        if self.fell_behind:
            safe = min(safe, self.told)
        self.audio.forget(before=max(self.audio.end - self._kept, safe))

    def hold(self, command: Command) -> None:
        """Keep a command for the next connection."""
        self._held.append(Due(self.audio.end, command))

    def put_back(self, due: Due) -> None:
        """The connection did not take what `next` gave: another one gets it."""
        self._held.appendleft(due)

    # A connection

    def start(self, wanted: int) -> int:
        """A new connection should hear the audio from `wanted` on. From where on it will."""
        if self._wanted is None:
            self._wanted = wanted
        self.fell_behind = False
        self.told = max(wanted, self.audio.start)
        self.lost_bytes = self.told - self._wanted
        if self.lost_bytes:
            self.on_lost(self._wanted, self.told)
        return self.told

    def repeat(self, commands: Iterable[tuple[int, Command]]) -> None:
        """Commands that it gets though earlier connections had them, each with its place: among those held."""
        again = [Due(place, command, again=True) for place, command in commands]
        held = (due for due in self._held if not due.again)
        self._held = deque(sorted([*again, *held], key=lambda due: due.place))

    @property
    def behind(self) -> int:
        """How much of the audio a connection that fell behind has still to be told."""
        return self.audio.end - self.told if self.fell_behind else 0

    def fall_behind(self) -> None:
        """The connection, which has everything, takes no more for now."""
        self.told, self.fell_behind = self.audio.end, True

    def caught_up(self) -> None:
        """It has everything again."""
        self.fell_behind = False

    def next(self, most: int | None = None) -> bytes | Due | None:
        """What the connection is told next; None: it has everything.

        Args:
            most: so many bytes of audio at a time.
        """
        self.pass_over_lost()
        upto = self._held[0].place if self._held else self.audio.end
        if most is not None:
            upto = min(upto, self.told + most)
        if self.told < upto:
            pcm = self.audio.since(self.told)[: upto - self.told]
            self.told = upto
            return pcm
        return self._held.popleft() if self._held else None

    def pass_over_lost(self) -> None:
        """What was to be told next may be too old to be there."""
        gone = max(0, self.audio.start - self.told)
        if gone:
            self.on_lost(self.told, self.told + gone)
            self.told += gone
            self.lost_bytes += gone

    def given_early(self, due: Due) -> None:
        """The connection took a command before it was ready."""
        self._early.append(due)

    def gives_back(self, settled: CommandSettled) -> bool:
        """Whether this is the end of a connection that was never ready, and no command's fate."""
        if all(due.command.id != settled.command_id for due in self._early):
            return False
        if settled.fault is not None and settled.fault.category == "closed":
            return True
        self._early = [due for due in self._early if due.command.id != settled.command_id]
        return False

    def ready(self) -> None:
        """The connection has what it was given. Audio that grew too old before that was lost to it."""
        self._wanted = None
        self._early.clear()

    def take_back(self) -> list[Due]:
        """The connection is over. What it was given and never had is held again; that is told here, too."""
        early, self._early = self._early, []
        self._held.extendleft(reversed(early))
        return early

    def give_up(self) -> list[Due]:
        """There will be no connection: what was held, without what was told its fate already."""
        held = [due for due in self._held if not due.again]
        self._held.clear()
        return held
