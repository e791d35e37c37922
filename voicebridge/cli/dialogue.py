"""What was said in a session, turn by turn, and when. From events alone, so it is the same for every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from voicebridge.audio.level import first_audible
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.events import (
    BackendError,
    Event,
    InputTranscript,
    OutputAudio,
    OutputText,
    ProviderEvent,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    UserTurn,
)
from voicebridge.contract.fault import Fault

__all__ = ["Dialogue", "Turn"]

_LOOKED_AT = DOOR_FORMAT.size(5_000)
"""Bytes of a reply in which its first audible sample is looked for."""


@dataclass(slots=True)
class Turn:
    """A turn of the user, and its answer. Times are those of events: seconds."""

    id: str
    opened_at: float
    ended_at: float | None = None
    """The user's turn was committed."""
    end_ms: float = 0.0
    """Milliseconds of audio from the first sample sent to where the user had finished, as the backend tells it."""
    heard: str = ""
    fault: Fault | None = None
    """Why it was not understood, or the answer failed."""
    answer_fault: Fault | None = None
    """Why its answer failed, if no other one was begun."""
    answer: str = ""
    audio_ms: float = 0.0
    """Of the answer."""
    status: str = ""
    """How the answer ended; empty while it has not."""
    response_id: str = ""
    paused_at: float | None = None
    transcripts: list[tuple[float, str]] = field(default_factory=list)
    final: bool = False
    """The transcript is."""
    times: dict[str, float] = field(default_factory=dict)
    """Of the answer's stages, by name, as far as they are known."""
    guessed: bool = False
    """The answer was begun while it was not yet sure that the turn was over."""
    _head: bytearray = field(default_factory=bytearray)

    @property
    def answered(self) -> bool:
        """The answer is over."""
        return bool(self.status)

    @property
    def transcript_at(self) -> float | None:
        """When the text was known that stayed. None without a final one."""
        known = None
        for at, text in reversed(self.transcripts if self.final else ()):
            if text != self.heard:
                break
            known = at
        return known

    def hear_answer(self, audio: OutputAudio) -> None:
        """Take a piece of the answer."""
        self.audio_ms += DOOR_FORMAT.ms(len(audio.pcm))
        begins = self.times.setdefault("first_audio", audio.at)
        if "audible" in self.times or len(self._head) >= _LOOKED_AT:
            return
        self._head += audio.pcm
        found = first_audible(bytes(self._head), DOOR_FORMAT.rate)
        if found is not None:
            # A player that starts with the first piece is there so much later, but not before that sample came.
            self.times["audible"] = max(begins + found / DOOR_FORMAT.rate, audio.at)
            self._head.clear()


class Dialogue:
    """Follows the events of a session.

    Args:
        on_audio: takes each piece of the agent's voice.
    """

    def __init__(self, on_audio: Callable[[bytes], None] = lambda pcm: None) -> None:
        self.turns: list[Turn] = []
        """Those that were committed, in order."""
        self.ready: SessionReady | None = None
        self.warm: dict[str, Mapping[str, Any]] = {}
        """What is known of each stage that is ready, by its seat."""
        self.faults: list[Fault] = []
        """What went wrong and did not end the session."""
        self.restarts: list[SessionRestarted] = []
        """Connections that took the call over."""
        self.last_event_at = 0.0
        self.plays_until = 0.0
        """Seconds: when a player that plays at once has played all that came."""
        self._on_audio = on_audio
        self._open: Turn | None = None
        self._responses: dict[str, Turn] = {}

    @property
    def open(self) -> bool:
        """The backend takes the user to be speaking, or has not yet made up its mind about a pause."""
        return self._open is not None

    @property
    def pausing(self) -> bool:
        """The backend has noticed a pause, which may or may not be the end of the turn."""
        return self._open is not None and self._open.paused_at is not None

    @property
    def answering(self) -> bool:
        """The latest turn is yet to be answered, or the answer is not over."""
        return bool(self.turns) and not self.turns[-1].answered

    def apply(self, event: Event) -> None:
        """Take the next event."""
        self.last_event_at = event.at
        if isinstance(event, SessionReady):
            self.ready = event
        elif isinstance(event, SessionRestarted):
            self.restarts.append(event)
        elif isinstance(event, UserTurn):
            self._user_turn(event)
        elif isinstance(event, InputTranscript):
            self._transcript(event)
        elif isinstance(event, ProviderEvent):
            self._provider(event)
        elif isinstance(event, BackendError):
            self.faults += [] if event.fatal else [event.fault]
        elif isinstance(event, ResponseStarted):
            self._started(event)
        elif isinstance(event, OutputAudio):
            self.plays_until = max(self.plays_until, event.at) + DOOR_FORMAT.ms(len(event.pcm)) / 1000
            self._on_audio(event.pcm)
            if turn := self._responses.get(event.response_id):
                turn.hear_answer(event)
        elif isinstance(event, (OutputText, ResponseEnded)) and (turn := self._responses.get(event.response_id)):
            self._written(turn, event)

    def _written(self, turn: Turn, event: OutputText | ResponseEnded) -> None:
        if isinstance(event, ResponseEnded) and event.status == "lost":
            return  # the next connection goes on with it
        if isinstance(event, ResponseEnded):
            turn.status, turn.fault = event.status, event.fault or turn.fault
            turn.answer_fault = event.fault
            self.faults += [event.fault] if event.fault else []
            if event.status == "interrupted":
                self.plays_until = min(self.plays_until, event.at)
        elif event.kind != "thought":
            turn.times.setdefault("first_text", event.at)
            turn.answer += event.delta

    def _user_turn(self, event: UserTurn) -> None:
        turn = self._open
        if turn is None or turn.id != event.turn_id:
            turn = Turn(event.turn_id, event.at)
        if event.phase == "committed":
            turn.ended_at, turn.end_ms = event.at, event.audio_ms
            self._pass_over()
            self.turns.append(turn)
        elif event.phase != "discarded":
            turn.paused_at = event.at if event.phase == "pause" else None
        self._open = turn if event.phase in ("speech", "pause") else None

    def _pass_over(self) -> None:
        """The user went on before the turn before was answered: nobody will answer it any more."""
        if self.turns and not self.turns[-1].response_id:
            self.turns[-1].status = "passed over"

    def _transcript(self, event: InputTranscript) -> None:
        known = [turn for turn in (*self.turns, self._open) if turn is not None and turn.id == event.turn_id]
        self.faults += [event.fault] if event.fault else []
        for turn in known:
            turn.heard, turn.final = event.text, event.final
            turn.fault = event.fault or turn.fault
            turn.transcripts.append((event.at, event.text))

    def _started(self, event: ResponseStarted) -> None:
        named = [turn for turn in self.turns if turn.id in event.answers]
        turn = named[-1] if named else self.turns[-1] if self.turns else None
        if turn is None:
            return  # a greeting: nobody asked
        turn.response_id, turn.status = event.response_id, ""
        if turn.answer_fault is not None:  # another backend tries it
            self.faults.remove(turn.answer_fault)
            turn.fault = turn.answer_fault = None
        turn.answer += " " if turn.answer[-1:].strip() else ""  # one that was lost, and goes on
        turn.times.setdefault("started", event.at)
        self._responses[event.response_id] = turn

    def _provider(self, event: ProviderEvent) -> None:
        if event.kind == "cascade.warm":
            self.warm[str(event.payload["seat"])] = event.payload
        elif event.kind == "cascade.timing" and (turn := self._responses.get(str(event.payload["response_id"]))):
            turn.guessed = bool(event.payload["guessed"])
            for name, at in event.payload.items():
                if isinstance(at, float):
                    turn.times.setdefault(name, at)
