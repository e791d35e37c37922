"""Both voices of a call, cut into a clip for each turn of the user and each response.

input                            effect
the user's audio goes on         the last 30 s are kept; what of an open turn is older, waits to be written
speech                           a turn opens, at its place in the audio, which may have been heard before: over a
                                 connection that was lost
speech, of an open turn          none
committed                        the rest of the turn waits to be written
committed, it was never opened   it began where the one before it ended, as far back as the audio is kept
discarded                        nothing of the turn is kept: what was written is to be forgotten
a response starts                its audio waits to be written as it comes; an aside's does not
a response ends                  no more is taken of it
not allowed                      nothing is kept
allowed again                    what comes from then on is
too much waits                   what comes is dropped, and counted
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.events import Event, OutputAudio, ResponseEnded, ResponseStarted, UserTurn

from .history_record import AudioChunk

__all__ = ["VoiceClips"]

_KEPT_MS = 30_000
_ENDS = 16
_SAME_END_MS = 100.0
"""Backends don't end a turn at the same sample when they hear it again."""
_WAITING_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _Turn:
    start: int
    """As all places here: bytes of the user's audio since the session began."""
    taken: int
    """Up to where it waits to be written, or was."""


class VoiceClips:
    """Collects what a store should have of both voices. What it holds is bounded, however slow the store is.

    Args:
        limit_bytes: of what may wait to be written.
    """

    def __init__(
        self, input_format: AudioFormat, output_format: AudioFormat, *, limit_bytes: int = _WAITING_BYTES
    ) -> None:
        self._input, self._output, self._limit = input_format, output_format, limit_bytes
        self._kept_bytes, self._slack = input_format.size(_KEPT_MS), input_format.size(1_000)
        self._allowed = True
        self._recent = bytearray()
        """The user's latest audio."""
        self._from = 0
        """The place of its first byte."""
        self._ends: deque[int] = deque([0], maxlen=_ENDS)
        """Where the last turns ended."""
        self._turns: dict[str, _Turn] = {}
        """Those that are open."""
        self._responses: dict[str, int] = {}
        """Those that run, with the bytes that they had."""
        self._waiting: deque[tuple[str, int, bytes, AudioFormat]] = deque()
        self._waiting_bytes = 0
        self._forgotten: list[str] = []
        self.overflowed = False
        """Whether more waited than may."""
        self.dropped_ms = 0.0
        """Milliseconds of audio that should have been kept, and were not."""

    @property
    def allowed(self) -> bool:
        """Whether anything may be kept."""
        return self._allowed

    @allowed.setter
    def allowed(self, allowed: bool) -> None:
        if allowed != self._allowed:
            self._allowed = allowed
            self._from += len(self._recent)
            self._recent.clear()

    # What is heard and told

    def heard(self, pcm: bytes) -> bool:
        """The user's audio goes on. Whether some of it has to be written now."""
        if not self._allowed:
            self._from += len(pcm)
            return False
        self._recent += pcm
        if len(self._recent) < self._kept_bytes + self._slack:
            return False
        self._forget(self._from + len(self._recent) - self._kept_bytes)
        return bool(self._turns)

    def happened(self, event: Event) -> None:
        """Something was told."""
        if isinstance(event, OutputAudio):
            if (offset := self._responses.get(event.response_id)) is not None:
                self._responses[event.response_id] = offset + len(event.pcm)
                if self._allowed:
                    self._wait(event.response_id, offset, event.pcm, self._output)
        elif isinstance(event, UserTurn):
            self._turned(event)
        elif isinstance(event, ResponseStarted):
            if not event.aside:
                self._responses[event.response_id] = 0
        elif isinstance(event, ResponseEnded):
            self._responses.pop(event.response_id, None)

    # What is to be written

    def waiting(self) -> tuple[list[AudioChunk], list[str], int]:
        """What is to be written, and the keys whose audio is to be forgotten after that. They wait until `written`.

        Returns: the number is for `written`.
        """
        joined: list[tuple[str, int, list[bytes], AudioFormat]] = []
        ends: dict[str, tuple[int, list[bytes]]] = {}
        for key, offset, pcm, format in self._waiting:
            end, parts = ends.get(key, (-1, []))
            if end != offset:
                parts = []
                joined.append((key, offset, parts, format))
            parts.append(pcm)
            ends[key] = offset + len(pcm), parts
        chunks = [
            AudioChunk(key=key, offset=offset, pcm=b"".join(parts), format=format)
            for key, offset, parts, format in joined
        ]
        return chunks, list(self._forgotten), len(self._waiting)

    def written(self, count: int, forgotten: int) -> None:
        """So many pieces of what waits were written, and the audio of so many keys was forgotten."""
        for _ in range(count):
            self._waiting_bytes -= len(self._waiting.popleft()[2])
        del self._forgotten[:forgotten]

    def _wait(self, key: str, offset: int, pcm: bytes, format: AudioFormat) -> None:
        if self._waiting_bytes + len(pcm) > self._limit:
            self.overflowed = True
            self.dropped_ms += format.ms(len(pcm))
        elif pcm:
            self._waiting.append((key, offset, pcm, format))
            self._waiting_bytes += len(pcm)

    # The user's turns

    def _turned(self, event: UserTurn) -> None:
        end = self._from + len(self._recent)
        place = min(self._input.size(max(0.0, event.audio_ms)), end)
        if event.phase == "speech":
            self._turns.setdefault(event.turn_id, _Turn(place, place))
        elif event.phase == "committed":
            turn = self._turns.pop(event.turn_id, None)
            self._take(event.turn_id, turn if turn is not None else self._unopened(place), place)
            self._ends.append(place)
        elif event.phase == "discarded":
            if event.source != "inferred":  # else its audio will be heard again
                self._ends.append(place)
            discarded = self._turns.pop(event.turn_id, None)
            if discarded is not None and discarded.taken > discarded.start:
                self._forgotten.append(event.turn_id)

    def _unopened(self, end: int) -> _Turn:
        """A turn of which nobody told that it began."""
        latest = end - self._input.size(_SAME_END_MS)
        start = max((before for before in self._ends if before <= latest), default=0)
        if self._allowed:
            self.dropped_ms += self._input.ms(max(0, min(self._from, end) - start))
        start = max(start, self._from)
        return _Turn(start, start)

    def _take(self, turn_id: str, turn: _Turn, end: int) -> None:
        """The turn up to `end` waits to be written."""
        if turn.taken == turn.start < self._from:
            turn.start = turn.taken = self._from
        start = max(turn.taken, self._from)
        if start < end:
            self._wait(
                turn_id, start - turn.start, bytes(self._recent[start - self._from : end - self._from]), self._input
            )
            turn.taken = end

    def _forget(self, before: int) -> None:
        for turn_id, turn in self._turns.items():
            self._take(turn_id, turn, before)
        del self._recent[: before - self._from]
        self._from = before
