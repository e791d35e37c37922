"""A user who speaks a recording: in real time, waiting for each answer as people do, silent once it is over."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from voicebridge.audio.file import RecordingReader
from voicebridge.contract.commands import EndTurn, ReportPlayed, SendAudio
from voicebridge.contract.errors import SessionClosed
from voicebridge.contract.session import VoiceSession

from .dialogue import Dialogue, Turn
from .speech_spans import PAUSE_MS, Span

__all__ = ["FRAME_MS", "PATIENCE_S", "RecordedUser"]

FRAME_MS = 20.0
PATIENCE_S = 60.0
"""Without any event for so long, no answer will come."""
_LISTEN_S = 3.0
"""Seconds in which a backend that has all audio must have noticed what was in it."""
_BURST_MS = 2_000.0
"""Silence sent at once after a recording that is played fast: enough to end any turn."""
_LOOK_S = 0.01
_SETTLED_S = 0.5
"""Seconds without news after a backend noticed a pause: it does not take it for the end of the turn."""
_NEAR_MS = 500.0
"""By which the backend and the level of the voice may disagree about the end of the same words."""


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A span of speech that was sent to its end."""

    end_ms: float
    """On the session's audio clock, which counts the silence put in, too."""
    at: float
    """Seconds, when its last sample was sent."""


class RecordedUser:
    """Speaks into a session.

    Args:
        spans: where the recording holds speech.
        fast: send as fast as the session takes it. Answers are then taken for heard as soon as they are complete.
        silence_ms: what ends a turn, as far as it is known.
        push_to_talk: the backend does not find the end of a turn: say that it is at the recording's end.
    """

    def __init__(
        self,
        session: VoiceSession,
        dialogue: Dialogue,
        reader: RecordingReader,
        spans: Sequence[Span],
        *,
        fast: bool,
        silence_ms: float | None,
        push_to_talk: bool = False,
    ) -> None:
        self._session, self._dialogue, self._reader, self._spans = session, dialogue, reader, spans
        self._fast, self._push_to_talk = fast, push_to_talk
        self._silence_ms = PAUSE_MS if silence_ms is None else silence_ms
        self._clock = asyncio.get_running_loop().time
        self._began = 0.0
        self._sent_ms = 0.0
        self._spoken: list[_Spoken] = []
        self._sent_at = (array("d"), array("d"))
        """Of each frame: milliseconds of audio up to its end, and when it was sent, in seconds."""
        self._played: set[str] = set()
        self.position_ms = 0.0
        """How far into the recording."""
        self.out_of_patience = False
        """An answer did not come."""

    async def speak(self) -> None:
        """Speak it all, then keep silent until the last answer is over."""
        self._began = self._clock()
        upcoming = list(self._spans)
        for frame in self._reader:
            frame_ms = self._reader.format.ms(len(frame))
            if upcoming and not self._push_to_talk:
                if self._fast and self.position_ms <= upcoming[0].start_ms < self.position_ms + frame_ms:
                    await self._let_catch_up(upcoming[0])
                await self._let_answer()
            await self._send(frame)
            if upcoming and upcoming[0].end_ms <= self.position_ms + frame_ms:
                self._note_end(upcoming.pop(0), frame_ms)
            self.position_ms += frame_ms
        await self._listen()

    def speech_ended_at(self, turn: Turn) -> float | None:
        """Seconds, when the last sample of the user's speech in that turn was sent.

        Where the recording's level shows an end of speech near to where the backend saw it, that one counts. Where it
        does not, the backend has taken a turn for over while the voice went on, and what it says is all there is.
        """
        if near := [one for one in self._spoken if abs(one.end_ms - turn.end_ms) <= _NEAR_MS]:
            return min(near, key=lambda one: abs(one.end_ms - turn.end_ms)).at
        if turn.end_ms > 0:
            return self._when(turn.end_ms)
        before = [one.at for one in self._spoken if turn.ended_at is None or one.at <= turn.ended_at]
        return before[-1] if before else None

    def _when(self, session_ms: float) -> float | None:
        """When that millisecond of the session's audio was sent, to the frame."""
        ends, times = self._sent_at
        frame = bisect_left(ends, session_ms)
        return times[frame] - (ends[frame] - session_ms) / 1000 if frame < len(ends) else None

    def _note_end(self, span: Span, frame_ms: float) -> None:
        end_ms = self._sent_ms - (self.position_ms + frame_ms - span.end_ms)
        at = self._when(end_ms)
        assert at is not None
        self._spoken.append(_Spoken(end_ms, at))

    async def _send(self, frame: bytes) -> None:
        """Send a frame when its last sample would have been captured."""
        self._sent_ms += self._reader.format.ms(len(frame))
        # Deadlines count from the beginning, so that a late frame makes no other late.
        due = self._clock() if self._fast else self._began + self._sent_ms / 1000
        await asyncio.sleep(due - self._clock())
        for values, value in zip(self._sent_at, (self._sent_ms, due), strict=True):
            values.append(value)
        await self._session.send(SendAudio(pcm=frame))

    async def _silence(self, ms: float = FRAME_MS) -> None:
        await self._send(bytes(self._reader.format.size(ms)))

    async def _let_answer(self) -> None:
        """While there is more to say: wait until the agent has finished, once it has noticed that it is its turn."""
        dialogue = self._dialogue
        while not dialogue.open and self._patient():
            if not (dialogue.answering or (not self._fast and self._clock() < dialogue.plays_until)):
                break
            if self._fast:
                await asyncio.sleep(_LOOK_S)
            else:
                await self._silence()
        if self._fast:
            await self._report_played()

    async def _let_catch_up(self, coming: Span) -> None:
        """Played fast, the backend may be behind. If it is owed the end of a turn, give it the time to notice."""
        if not self._spoken or self._gap_ms(coming) < self._silence_ms:
            return
        began = self._clock()
        while self._patient() and (self._busy or self._quiet_s(began) < _LISTEN_S):
            if self._caught_up() or self._settled():
                return
            await asyncio.sleep(_LOOK_S)

    async def _listen(self) -> None:
        """Keep silent until the last answer is over, or it is clear that there is none."""
        if self._push_to_talk:
            await self._session.send(EndTurn())
        elif self._fast:
            for _ in range(round(_BURST_MS / FRAME_MS)):
                await self._silence()
        if self._fast:  # from here on there is nothing to hurry for
            self._fast, self._began = False, self._clock() - self._sent_ms / 1000
        ended = self._clock()
        while self._patient() and (self._busy or not (self._caught_up() or self._quiet_s(ended) >= _LISTEN_S)):
            if self._push_to_talk:  # more sound would be another turn
                await asyncio.sleep(FRAME_MS / 1000)
            else:
                await self._silence()
        with suppress(SessionClosed):
            await self._report_played()

    @property
    def _busy(self) -> bool:
        return self._dialogue.open or self._dialogue.answering

    def _caught_up(self) -> bool:
        """All that was said so far was answered, text of it included."""
        turns = self._dialogue.turns
        if not turns or self._busy or not turns[-1].final or turns[-1].answer_fault is not None:
            return False  # where an answer failed, another backend may give one
        return not self._spoken or turns[-1].end_ms >= self._spoken[-1].end_ms - _NEAR_MS

    def _settled(self) -> bool:
        """The backend knows of the pause and waits, as we do."""
        return self._dialogue.pausing and self._quiet_s(0.0) >= _SETTLED_S

    def _gap_ms(self, coming: Span) -> float:
        before = [span.end_ms for span in self._spans if span.end_ms <= coming.start_ms]
        return coming.start_ms - before[-1] if before else 0.0

    async def _report_played(self) -> None:
        """Where nobody waits until it is played, an answer is taken for heard when it is complete."""
        for turn in self._dialogue.turns:
            if turn.answered and turn.response_id and turn.response_id not in self._played:
                self._played.add(turn.response_id)
                await self._session.send(ReportPlayed(response_id=turn.response_id, ms=turn.audio_ms))

    def _quiet_s(self, since: float) -> float:
        """Seconds without an event, counted from `since` at the earliest."""
        return self._clock() - max(since, self._dialogue.last_event_at)

    def _patient(self) -> bool:
        """Whether to wait on."""
        waits_since = self._spoken[-1].at if self._spoken else 0.0
        self.out_of_patience = self._busy and self._quiet_s(waits_since) > PATIENCE_S
        return not self.out_of_patience
