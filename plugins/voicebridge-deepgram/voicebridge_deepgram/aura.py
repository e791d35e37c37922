"""The speak v1 wire: clauses in, speech out.

Facts: `deepgram-sdk` 7.17 `speak.v1`, and Deepgram's pages on Flush and Clear. Text is spoken once it has been
flushed; audio comes as frames of bytes, and `Flushed` tells where that of one flush ends. A connection takes 20
flushes in 60 s, so not every clause has one of its own:

    the first clause is flushed at once
    others wait for `Flushed`, and share the next flush; after 14 in a minute they wait for the end of the answer
    the end of an answer is always flushed
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Flush, Speech, Usage
from voicebridge.core.json_event import read_event, text_of

from .faults import told

__all__ = ["CLEAR", "MOST_CHARACTERS", "AuraHalf", "FlushBudget", "parts"]

CLEAR = '{"type":"Clear"}'
FLUSH = '{"type":"Flush"}'
MOST_CHARACTERS = 2_000
"""Of one request."""
_MINUTE_S = 60.0
_FREE_FLUSHES = 14
"""Of the 20 in a minute. The rest is for beginnings and ends of answers."""
_SILENT_S = 5.0
Told = Speech | Usage


class FlushBudget:
    """The flushes of one connection."""

    def __init__(self) -> None:
        self._at: deque[float] = deque()

    def spend(self, now: float) -> None:
        """One is sent."""
        self._at.append(now)

    def has_room(self, now: float) -> bool:
        """Whether one may be sent that could wait, or another answer begin."""
        while self._at and self._at[0] <= now - _MINUTE_S:
            self._at.popleft()
        return len(self._at) < _FREE_FLUSHES


@dataclass(slots=True)
class _Group:
    """Text that one flush speaks."""

    untold: str = ""
    """What no piece of audio was told to cover yet."""
    characters: int = 0
    speakable: bool = False


class AuraHalf:
    """Is a `Half`. For one answer.

    Args:
        frame_bytes: of a sample.
    """

    def __init__(self, budget: FlushBudget, *, frame_bytes: int = 2) -> None:
        self._budget, self._frame_bytes = budget, frame_bytes
        self._flushed: deque[_Group] = deque()
        """Those whose audio is still to come, or coming."""
        self._open = _Group()
        self._ended = self._begun = False
        self._odd = b""
        self._left = ""
        """Text that had no audio before its flush was done."""
        self._progress_at = 0.0
        self._warning = ""

    @property
    def clean(self) -> bool:
        """Whether the connection owes nothing: no text was sent that has not been spoken."""
        return not self._flushed and not self._open.characters

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        return self._progress_at + _SILENT_S if self._flushed else None

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return self._ended and not self._flushed

    def take(self, piece: str | Flush, now: float) -> Iterable[Frame | Told]:
        """See `Half.take`."""
        frames: list[Frame | Told] = []
        if isinstance(piece, str):
            self._open.untold += piece
            if piece.strip():
                self._open.speakable = True
                self._open.characters += len(piece)
                frames += [orjson.dumps({"type": "Speak", "text": part}).decode() for part in parts(piece)]
        if not self._flushed and (not self._begun or self._budget.has_room(now)):
            frames += self._flush(now)
        return frames

    def end(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.end`."""
        self._ended = True
        frames = self._flush(now)
        return frames if frames or self._flushed else self._rest()

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Told]:
        """See `Half.receive`."""
        if isinstance(frame, bytes):
            self._progress_at = now
            return self._audio(frame)
        event = read_event(frame, "Deepgram")
        match text_of(event, "type"):
            case "Error":
                raise VoiceBridgeError(told(event))
            case "Flushed":
                self._progress_at = now
                return self._done(now)
            case "Warning":
                self._warning = f" It warned: {text_of(event, 'description') or text_of(event, 'code')}"
        return ()

    def tick(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.tick`."""
        if self._flushed and now >= self._progress_at + _SILENT_S:
            message = f"Deepgram gave no speech in time.{self._warning}"
            raise VoiceBridgeError(Fault(category="busy", code="unanswered", message=message, retryable=True))
        return ()

    def _flush(self, now: float) -> list[Frame | Told]:
        group = self._open
        if not group.speakable:
            return []
        if not self._flushed:
            self._progress_at = now
        self._flushed.append(group)
        self._open, self._begun = _Group(), True
        self._budget.spend(now)
        return [FLUSH, Usage({"characters": group.characters}, "estimated")]

    def _audio(self, frame: bytes) -> list[Told]:
        pcm = self._odd + frame
        whole = len(pcm) - len(pcm) % self._frame_bytes
        self._odd = pcm[whole:]
        if not whole:
            return []
        group = self._flushed[0] if self._flushed else self._open
        text, self._left, group.untold = self._left + group.untold, "", ""
        return [Speech(pcm[:whole], text)]

    def _done(self, now: float) -> list[Frame | Told]:
        if self._flushed:
            self._left += self._flushed.popleft().untold
        self._odd = b""
        if self._flushed:
            return []
        if self._ended:
            return self._rest()
        return self._flush(now) if self._budget.has_room(now) else []

    def _rest(self) -> list[Frame | Told]:
        """Text without audio of its own, such as white space: it is part of what was said."""
        rest, self._left, self._open = self._left + self._open.untold, "", _Group()
        return [Speech(b"", rest)] if rest else []


def parts(text: str) -> list[str]:
    """The text in parts that one request takes, cut at spaces where there are any."""
    cut = []
    while len(text) > MOST_CHARACTERS:
        end = text.rfind(" ", 1, MOST_CHARACTERS) + 1 or MOST_CHARACTERS
        cut.append(text[:end])
        text = text[end:]
    return [*cut, text]
