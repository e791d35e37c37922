"""From where on the user's voice must be sent again when a connection was lost."""

from __future__ import annotations

from voicebridge.contract.events import Event, InputTranscript, UserTurn

__all__ = ["ReplayPoint"]


class ReplayPoint:
    """Follows a session's turns. Milliseconds count from the first sample sent into it.

    What a turn said is safe once its text is final, for then a new backend can be told. Until then its audio is what
    there is of it. A backend that writes nothing down has heard a turn when it is committed.

    Args:
        transcribes: whether texts of turns will come.
    """

    def __init__(self, *, transcribes: bool) -> None:
        self._transcribes = transcribes
        self._end_ms = 0.0
        """Where the last turn that was committed or discarded ended."""
        self._unwritten: dict[str, float] = {}
        """Committed turns whose text is still to come, and where they began."""

    @property
    def ms(self) -> float:
        """The beginning of what a new backend has to hear."""
        return next(iter(self._unwritten.values()), self._end_ms)

    @property
    def unwritten(self) -> tuple[str, ...]:
        """Turns whose audio will be sent again, and whose text must not be told as well."""
        return tuple(self._unwritten)

    def happened(self, event: Event) -> None:
        """Something was told."""
        if isinstance(event, UserTurn) and event.phase in ("committed", "discarded"):
            if event.phase == "committed" and self._transcribes:
                self._unwritten[event.turn_id] = self._end_ms
            self._end_ms = max(self._end_ms, event.audio_ms)
        elif isinstance(event, InputTranscript) and event.final and event.fault is None:
            self._unwritten.pop(event.turn_id, None)

    def restart(self, at_ms: float) -> None:
        """A new backend hears everything from here on as if for the first time."""
        self._unwritten.clear()
        self._end_ms = at_ms
