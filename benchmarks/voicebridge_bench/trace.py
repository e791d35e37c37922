"""What happened in a conversation, by the clock of the one who listens: events in, time-stamped facts out.

Pure: `apply(event, now)` takes an event at the moment it was received, in seconds. No clock is read and nothing waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.contract.events import (
    BackendError,
    Event,
    InputTranscript,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    UserTurn,
)

from .playout import Playout

__all__ = ["Answer", "Commit", "Heard", "Trace"]

_TOLERANCE_MS = 20.0
"""Audio that was converted on its way may be this much longer or shorter than its sender thinks."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The backend decided that the user's turn is over."""

    turn_id: str
    at: float
    """Seconds, when the decision arrived."""


@dataclass(slots=True)
class Heard:
    """What the backend says that the user said in one of its turns."""

    first_at: float
    texts: list[tuple[float, str]] = field(default_factory=list)
    """Each text, and when it came."""
    final_at: float | None = None
    fault: str | None = None

    @property
    def text(self) -> str:
        """The last one."""
        return self.texts[-1][1] if self.texts else ""

    def text_at(self, at: float) -> str:
        """The one that was known at a time, in seconds."""
        return next((text for came, text in reversed(self.texts) if came <= at), "")


@dataclass(slots=True)
class Answer:
    """A response as it arrived. Times are seconds."""

    id: str
    started_at: float
    cause: str = ""
    answers: tuple[str, ...] = ()
    aside: bool = False
    first_text_at: float | None = None
    first_audio_at: float | None = None
    text: str = ""
    ended_at: float | None = None
    status: str | None = None
    fault: str | None = None
    pcm: bytearray = field(default_factory=bytearray)
    audible: int | None = None
    """The first audible sample of `pcm`, once there is one."""
    _searched: int = 0
    """Samples of `pcm` in which there is none."""

    def find_audible(self, rate: int) -> int | None:
        """Look for it in what has arrived since the last look. `rate` is in Hz."""
        if self.audible is None and len(self.pcm) // 2 > self._searched:
            from voicebridge.audio.level import first_audible

            # A whole number of its steps, and further back than a sound must last: it is found at the same sample
            # however the audio was cut.
            step = max(1, round(rate / 1000))
            start = max(0, self._searched // step - 40) * step
            found = first_audible(bytes(self.pcm[2 * start :]), rate)
            self.audible = None if found is None else start + found
            self._searched = len(self.pcm) // 2
        return self.audible


@dataclass(slots=True)
class Trace:
    """All of one conversation."""

    format: AudioFormat = DOOR_FORMAT
    """Of the agent's audio."""
    yields: bool = True
    """The speaker falls silent when the user speaks, as that of `VoiceAgent` does."""
    ready: SessionReady | None = None
    ready_at: float | None = None
    commits: list[Commit] = field(default_factory=list)
    discarded: set[str] = field(default_factory=set)
    """Turns that the backend took back: nothing was said in them."""
    heard: dict[str, Heard] = field(default_factory=dict)
    """By the backend's turn id, in order of appearance."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """By response id, in order of appearance."""
    playout: Playout = field(default_factory=Playout)
    silenced: dict[str, float] = field(default_factory=dict)
    """Responses that were cut while they played, and the milliseconds of each that were heard."""
    faults: list[tuple[float, str]] = field(default_factory=list)
    largest_delay_ms: float = 0.0
    """Milliseconds between an event's own time stamp and its arrival here, at worst."""

    def apply(self, event: Event, now: float) -> None:
        """Take the next event."""
        if event.at:
            self.largest_delay_ms = max(self.largest_delay_ms, (now - event.at) * 1000)
        match event:
            case SessionReady():
                self.ready, self.ready_at, self.format = event, now, event.output_format
            case UserTurn(phase="committed"):
                self.commits.append(Commit(event.turn_id, now))
            case UserTurn(phase="discarded"):
                self.discarded.add(event.turn_id)
            case UserTurn(phase="speech") if self.yields:
                self.fall_silent(now)
            case InputTranscript():
                self._hear(event, now)
            case ResponseStarted():
                self.answers[event.response_id] = Answer(
                    event.response_id, now, event.cause, event.answers, event.aside
                )
            case OutputText(kind="speech" | "text"):
                answer = self._answer(event.response_id, now)
                answer.first_text_at = answer.first_text_at or now
                answer.text += event.delta
            case OutputAudio():
                self._play(event, now)
            case OutputHeard():
                # Somebody below knows that less will be heard than came: it was cut.
                answer = self._answer(event.response_id, now)
                if event.heard_ms + _TOLERANCE_MS < self.format.ms(len(answer.pcm)):
                    self._silence(event.response_id, now)
            case ResponseEnded():
                self._end(event, now)
            case BackendError():
                self.faults.append((now, event.fault.message))

    def fall_silent(self, now: float) -> None:
        """Cut all that plays or waits to be played."""
        for response_id in self.playout.sounding(now):
            self._silence(response_id, now)

    def sounded_at(self, response_id: str) -> float | None:
        """When the first audible sample of a response left the speaker; None if none ever did."""
        sample = self.answers[response_id].find_audible(self.format.rate)
        return None if sample is None else self.playout.sounds_at(response_id, sample * 1000 / self.format.rate)

    def open_answers(self) -> list[Answer]:
        """The responses that have not ended."""
        return [answer for answer in self.answers.values() if answer.ended_at is None]

    def _answer(self, response_id: str, now: float) -> Answer:
        return self.answers.setdefault(response_id, Answer(response_id, now))

    def _hear(self, event: InputTranscript, now: float) -> None:
        heard = self.heard.setdefault(event.turn_id, Heard(now))
        heard.texts.append((now, event.text))
        heard.fault = event.fault.message if event.fault else None
        if event.final:
            heard.final_at = now

    def _play(self, event: OutputAudio, now: float) -> None:
        answer = self._answer(event.response_id, now)
        if answer.first_audio_at is None:
            answer.first_audio_at = now
        answer.pcm += event.pcm
        if event.response_id not in self.silenced:
            self.playout.add(event.response_id, self.format.ms(len(event.pcm)), now)

    def _end(self, event: ResponseEnded, now: float) -> None:
        answer = self._answer(event.response_id, now)
        answer.ended_at, answer.status = now, event.status
        answer.fault = event.fault.message if event.fault else event.reason
        if event.status == "interrupted":
            self.playout.stop(event.response_id, now)

    def _silence(self, response_id: str, now: float) -> None:
        if response_id in self.playout.sounding(now):
            self.playout.stop(response_id, now)
            self.silenced[response_id] = self.playout.played_ms(response_id, now)
