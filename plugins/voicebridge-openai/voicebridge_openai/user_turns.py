"""The user's turns: the vendor's item ids and times become ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from voicebridge.contract.events import Event, InputTranscript, UsageReported, UserTurn
from voicebridge.contract.fault import Fault

from .input_audio import InputAudio
from .usage import transcription_units

__all__ = ["Turn", "UserTurns"]

_REMEMBERED = 64
"""Turns whose transcripts may still come."""
Source = Literal["server", "client", "inferred"]


@dataclass(slots=True)
class Turn:
    """One turn of the user."""

    id: str
    phase: Literal["", "speech", "pause", "committed", "discarded"] = ""
    began_ms: float | None = None
    """Where the client began it, while that can't be told yet: the turn before has not been committed."""
    text: str = ""
    written: bool = False
    """Whether its final transcript was told."""

    @property
    def over(self) -> bool:
        """Whether it can't go on."""
        return self.phase in ("committed", "discarded")


class UserTurns:
    """Follows `input_audio_buffer.*` and the transcripts.

    The vendor's times include what it adds: `speech_started` the padding before the speech, `speech_stopped` the
    silence that it waited for. Both are taken off where they are known (server VAD), so that `UserTurn.audio_ms` says
    where speech and silence began. Semantic detection adds an amount that nobody tells: its times are passed on.
    """

    def __init__(self, audio: InputAudio) -> None:
        self._audio = audio
        self.padding_ms = self.silence_ms = 0.0
        """What is taken off."""
        self.transcription_model = ""
        """As "vendor/model"."""
        self.unanswered: list[str] = []
        """Turns that the vendor will answer by itself."""
        self.committed_ms = 0.0
        """Where the last turn that the vendor committed ended."""
        self._unwanted: set[str] = set()
        """Those of them whose answers nobody waits for."""
        self._silences: dict[str, None] = {}
        """Items that hold no turn: the silence that an idle time-out commits."""
        self._count = 0
        self._open: Turn | None = None
        self._ending: list[Turn] = []
        """Ended by the client, and not committed yet."""
        self._turns: dict[str, Turn] = {}

    @property
    def open(self) -> Turn | None:
        """The turn that is under way."""
        return self._open

    @property
    def user_speaks(self) -> bool:
        """Whether the user has the floor."""
        return self._open is not None

    # By the client

    def opened_by_client(self) -> list[Event]:
        """Push-to-talk: the first audio of a turn."""
        if self._open is not None:
            return []
        turn = self._begin()
        if self._ending:
            turn.began_ms = self._audio.sent_ms
            return []
        return self._tell(turn, "speech", self._audio.sent_ms, "client")

    def ended_by_client(self) -> Turn:
        """The turn that an `EndTurn` ends. It is told once the vendor has committed it."""
        turn, self._open = self._open or self._begin(), None
        self._ending.append(turn)
        return turn

    def not_ended(self, turn: Turn) -> list[Event]:
        """The vendor refused to commit what an `EndTurn` ended: there is no such turn."""
        self._ending = [ending for ending in self._ending if ending is not turn]
        return self._tell(turn, "discarded", self._audio.sent_ms, "server") if turn.phase and not turn.over else []

    def told_late(self) -> list[Event]:
        """The turn that began while another was being committed."""
        turn = self._open
        if self._ending or turn is None or turn.phase or turn.began_ms is None:
            return []
        return self._tell(turn, "speech", turn.began_ms, "client")

    def discarded(self, source: Source) -> list[Event]:
        """The buffer was cleared."""
        turn, self._open = self._open, None
        return self._tell(turn, "discarded", self._audio.sent_ms, source) if turn and turn.phase else []

    # By the vendor

    def started(self, frame: Mapping[str, Any]) -> list[Event]:
        """`speech_started`."""
        turn = self._turn_of(frame.get("item_id"))
        if turn.over or turn.phase == "speech":
            return []
        at = _ms(frame, "audio_start_ms")
        # A turn at the very beginning has less padding than configured, nobody knows how much.
        return self._tell(turn, "speech", at + self.padding_ms if at else 0.0, "server")

    def stopped(self, frame: Mapping[str, Any]) -> list[Event]:
        """`speech_stopped`."""
        turn = self._turn_of(frame.get("item_id"))
        if turn.over or turn.phase == "pause":
            return []
        self.committed_ms = _ms(frame, "audio_end_ms", self._audio.sent_ms)
        at = max(0.0, self.committed_ms - self.silence_ms)
        return [*self._speech_first(turn, at), *self._tell(turn, "pause", at, "server")]

    def committed(
        self, item_id: object, *, by: Turn | None = None, end_ms: float | None = None, source: Source | None = None
    ) -> list[Event]:
        """`committed`: by the `EndTurn` that ended the turn `by`, else by the vendor."""
        if self.silent(item_id):
            return []
        twice = None if by is None else self.knows(item_id)
        turn = by or self._turn_of(item_id)
        if isinstance(item_id, str):
            self._remember(item_id, turn)
        if self._open is turn:
            self._open = None
        self._ending = [ending for ending in self._ending if ending is not turn]
        if turn.over:
            return []
        at = end_ms if end_ms is not None else self.committed_ms if turn.phase == "pause" else self._audio.sent_ms
        source = source or ("client" if by else "server")
        discarded: list[Event] = []
        if twice is not None and twice is not turn and not twice.over:
            # The vendor noticed speech while the `EndTurn` was on its way, and has committed it with the rest.
            discarded = self._tell(twice, "discarded", at, "server")
            self._open = None if self._open is twice else self._open
        return [*discarded, *self._speech_first(turn, at), *self._tell(turn, "committed", at, source)]

    def timed_out(self, frame: Mapping[str, Any]) -> None:
        """`timeout_triggered`: the user said nothing for so long that the vendor commits the silence, and speaks."""
        if isinstance(item_id := frame.get("item_id"), str):
            self._silences[item_id] = None
            if len(self._silences) > _REMEMBERED:
                del self._silences[next(iter(self._silences))]

    def silent(self, item_id: object) -> bool:
        """Whether an item is silence, and no turn."""
        return isinstance(item_id, str) and item_id in self._silences

    def knows(self, item_id: object) -> Turn | None:
        """The turn of an item."""
        return self._turns.get(item_id) if isinstance(item_id, str) else None

    # Whom the vendor will answer

    def will_be_answered(self, turn_id: str) -> None:
        """The vendor answers this turn by itself. Of those before it, the unwanted ones are past being cancelled."""
        self.passed_over(self._unwanted)
        self.unanswered.append(turn_id)

    def answered(self) -> tuple[tuple[str, ...], bool]:
        """The vendor answers by itself: the turns that it answers, and whether nobody waits for any of them."""
        turn_ids = tuple(self.unanswered)
        unwanted = bool(turn_ids) and self._unwanted.issuperset(turn_ids)
        self.passed_over(turn_ids)
        return turn_ids, unwanted

    def passed_over(self, turn_ids: Iterable[str]) -> None:
        """The vendor does not answer these any more."""
        gone = set(turn_ids)
        self.unanswered = [turn_id for turn_id in self.unanswered if turn_id not in gone]
        self._unwanted -= gone

    def withdraw_answers(self) -> None:
        """Nobody waits for the answers to the turns that have ended."""
        self._unwanted.update(self.unanswered)

    # Transcripts

    def transcript_grew(self, frame: Mapping[str, Any]) -> list[Event]:
        """A piece more of it, or in some dialects all of it so far."""
        turn = self.knows(frame.get("item_id"))
        if turn is None or turn.written:
            return []
        delta, whole = frame.get("delta"), frame.get("transcript")
        text = turn.text + delta if isinstance(delta, str) else whole
        if not isinstance(text, str) or text == turn.text:
            return []
        turn.text = text
        return [InputTranscript(turn_id=turn.id, text=text, final=False)]

    def transcript_completed(self, frame: Mapping[str, Any]) -> list[Event]:
        """The final one; one dialect sends several before it, marked as in progress."""
        turn, text = self.knows(frame.get("item_id")), frame.get("transcript")
        if turn is None or turn.written or not isinstance(text, str):
            return []
        if frame.get("status") == "in_progress":
            return self.transcript_grew({"item_id": frame.get("item_id"), "transcript": text})
        turn.text, turn.written = text, True
        events: list[Event] = []
        if units := transcription_units(frame.get("usage")):
            model = self.transcription_model
            events.append(UsageReported(units=units, model=model, basis="exact", turn_id=turn.id))
        return [*events, InputTranscript(turn_id=turn.id, text=text, final=True, language=_language(frame))]

    def transcript_failed(self, frame: Mapping[str, Any], fault: Fault) -> list[Event]:
        """There will be none."""
        turn = self.knows(frame.get("item_id"))
        if turn is None or turn.written:
            return []
        turn.written = True
        return [InputTranscript(turn_id=turn.id, text=turn.text, final=True, fault=fault)]

    # Small things

    def _begin(self) -> Turn:
        self._count += 1
        self._open = Turn(f"t{self._count}")
        return self._open

    def _turn_of(self, item_id: object) -> Turn:
        """The turn of an item; a new item while a turn is open goes on with that."""
        turn = self.knows(item_id) or self._open or self._begin()
        if isinstance(item_id, str):
            self._remember(item_id, turn)
        return turn

    def _remember(self, item_id: str, turn: Turn) -> None:
        self._turns[item_id] = turn
        if len(self._turns) > _REMEMBERED:
            del self._turns[next(iter(self._turns))]

    def _speech_first(self, turn: Turn, at: float) -> list[Event]:
        """No turn ends that did not begin: where the vendor told no beginning, it is inferred."""
        if turn.phase:
            return []
        if turn.began_ms is not None:
            return self._tell(turn, "speech", turn.began_ms, "client")
        return self._tell(turn, "speech", at, "inferred")

    def _tell(
        self, turn: Turn, phase: Literal["speech", "pause", "committed", "discarded"], at: float, source: Source
    ) -> list[Event]:
        turn.phase = phase
        return [UserTurn(turn_id=turn.id, phase=phase, audio_ms=min(at, self._audio.sent_ms), source=source)]


def _ms(frame: Mapping[str, Any], name: str, otherwise: float = 0.0) -> float:
    value = frame.get(name)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return float(value) if fits else otherwise  # type: ignore[arg-type]  # `fits` says that it is a number


def _language(frame: Mapping[str, Any]) -> str | None:
    languages = frame.get("languages")
    first = languages[0] if isinstance(languages, list) and languages else None
    code = first.get("code") if isinstance(first, Mapping) else None
    return code if isinstance(code, str) else None
