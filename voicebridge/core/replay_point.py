"""From where on the user's voice must be sent again when a connection was lost."""

from __future__ import annotations

from voicebridge.contract.events import Event, InputTranscript, ResponseEnded, ResponseStarted, UserTurn

__all__ = ["ReplayPoint"]


class ReplayPoint:
    """Follows a session's turns. Milliseconds count from the first sample sent into it.

    What a turn said is safe once its text is final, for then a new backend can be told. Until then its audio is what
    there is of it. Turns before one that is told as text are not heard again: that would repeat it as well. A backend
    that writes nothing down has heard a turn when it is committed. One that ended by itself and was answered is not
    heard again either: it would be answered twice.

    Args:
        transcribes: whether texts of turns will come.
    """

    def __init__(self, *, transcribes: bool) -> None:
        self.transcribes = transcribes
        """May change when the backend says what it does."""
        self._end_ms = 0.0
        """Where the last turn that was committed or discarded ended."""
        self._unwritten: dict[str, float] = {}
        """Committed turns whose text is still to come, and where they began."""
        self._open: dict[str, None] = {}
        """Turns that are not over. Some of their text may be known."""
        self._over: set[str] = set()
        self._final: set[str] = set()
        """Turns whose text is final."""
        self._failed: set[str] = set()
        """Turns whose text will not come."""
        self._by_hand: set[str] = set()
        """Turns that the application ended: whether they are answered, it says."""
        self._answers: dict[str, tuple[str, ...]] = {}
        """Responses that run, and the turns without text that were there when they began."""

    @property
    def ms(self) -> float:
        """The beginning of what a new backend has to hear."""
        return next(iter(self._unwritten.values()), self._end_ms)

    @property
    def open(self) -> bool:
        """Whether a turn is not over."""
        return bool(self._open)

    @property
    def awaited(self) -> bool:
        """Whether the text of a committed turn is still to come."""
        return not self._failed.issuperset(self._unwritten)

    @property
    def unwritten_turns(self) -> int:
        """How many committed turns will be heard again."""
        return len(self._unwritten)

    @property
    def unwritten(self) -> tuple[str, ...]:
        """Turns whose audio will be sent again, and whose text must not be told as well."""
        return (*self._unwritten, *self._open)

    def abandon(self) -> tuple[str, ...]:
        """Nobody hears the turns that are under way any more: their ids. They will be heard again as other ones."""
        abandoned = tuple(self._open)
        self._open.clear()
        return abandoned

    def happened(self, event: Event) -> None:
        """Something was told."""
        if isinstance(event, UserTurn):
            if event.phase in ("committed", "discarded"):
                self._end(event)
            else:
                self._open[event.turn_id] = None
        elif isinstance(event, InputTranscript):
            if event.final:
                (self._final if event.fault is None else self._failed).add(event.turn_id)
            if event.turn_id not in self._over:
                self._open[event.turn_id] = None
            elif event.turn_id in self._final:
                self._write(event.turn_id)
        elif isinstance(event, ResponseStarted):
            if not event.aside:
                self._answers[event.response_id] = tuple(t for t in self._unwritten if t not in self._by_hand)
        elif isinstance(event, ResponseEnded) and event.status != "lost":
            for turn_id in self._answers.pop(event.response_id, ()):
                self._write(turn_id)

    def _end(self, turn: UserTurn) -> None:
        self._open.pop(turn.turn_id, None)
        self._over.add(turn.turn_id)
        if turn.phase == "committed" and self.transcribes:
            self._unwritten[turn.turn_id] = self._end_ms
            if turn.source == "client":
                self._by_hand.add(turn.turn_id)
        self._end_ms = max(self._end_ms, turn.audio_ms)
        if turn.turn_id in self._final:
            self._write(turn.turn_id)

    def _write(self, turn_id: str) -> None:
        """The turn is over and its text known: neither it nor what came before it is heard again."""
        for earlier in list(self._unwritten) if turn_id in self._unwritten else ():
            del self._unwritten[earlier]
            if earlier == turn_id:
                return

    def restart(self, at_ms: float) -> None:
        """A new backend hears everything from here on as if for the first time."""
        for turns in (self._unwritten, self._open, self._over, self._final, self._failed, self._answers, self._by_hand):
            turns.clear()
        self._end_ms = at_ms
