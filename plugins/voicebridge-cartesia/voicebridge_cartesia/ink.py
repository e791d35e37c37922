"""The wire of the recognisers without turns: audio and marks in, transcripts out.

Facts: `cartesia` 4.2 (`stt.manual_finalize`): the text `finalize` makes it write down all that it has heard; pieces of
text come, of which those that are final are joined as they are, and then `flush_done`. The connection is closed after
three minutes without a message; a little silence keeps it open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, Usage, Word
from voicebridge.core.json_event import Event, number, read_event, text_of

from .faults import told
from .timed_words import timed_words

__all__ = ["FINALIZE", "KEEP_ALIVE_S", "SILENCE", "InkHalf"]

FINALIZE = "finalize"
KEEP_ALIVE_S = 60.0
SILENCE = bytes(PCM_16K.size(100))
_SILENT_S = 5.0
_SILENT = Fault(
    category="busy", code="unanswered", message="Cartesia did not finish a transcript in time.", retryable=True
)
Told = Transcript | Usage


@dataclass(slots=True)
class _Utterance:
    start_s: float
    final: str = ""
    interim: str = ""
    words: list[Word] = field(default_factory=list)
    language: str | None = None
    said: str = ""


@dataclass(slots=True)
class _Asked:
    """A `finalize`, or what needs none of its own."""

    at: float
    utterance: _Utterance
    mark: int | None
    done: bool


class InkHalf:
    """Is a `Half`. For one connection."""

    def __init__(self, now: float) -> None:
        self._sent_bytes = self._reported_bytes = self._finalized_bytes = 0
        self._vendor_bytes = 0
        """With the silence that kept the connection open."""
        self._sent_at = now
        self._now = _Utterance(0.0)
        self._asked: deque[_Asked] = deque()

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        keep_alive = self._sent_at + KEEP_ALIVE_S
        return min(keep_alive, self._asked[0].at + _SILENT_S) if self._asked else keep_alive

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return not self._asked

    def take(self, piece: bytes | Mark, now: float) -> Iterable[Frame | Told]:
        """See `Half.take`."""
        if isinstance(piece, Mark):
            return self._mark(piece, now)
        if not piece:
            return ()
        self._sent_bytes += len(piece)
        self._vendor_bytes += len(piece)
        self._sent_at = now
        return (piece,)

    def end(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.end`."""
        return self._usage()

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Told]:
        """See `Half.receive`."""
        event = read_event(frame, "Cartesia")
        match text_of(event, "type"):
            case "transcript":
                return self._transcript(event)
            case "flush_done":
                for asked in self._asked:
                    if not asked.done:
                        asked.done = True
                        break
                return self._answers()
            case "error":
                raise VoiceBridgeError(told(event))
        return ()

    def tick(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.tick`."""
        if self._asked and now >= self._asked[0].at + _SILENT_S:
            raise VoiceBridgeError(_SILENT)
        if now < self._sent_at + KEEP_ALIVE_S:
            return ()
        self._sent_at = now
        self._vendor_bytes += len(SILENCE)
        return (SILENCE,)

    def _mark(self, mark: Mark, now: float) -> list[Frame | Told]:
        outputs: list[Frame | Told] = []
        new = self._sent_bytes > self._finalized_bytes
        if new:
            self._finalized_bytes = self._sent_bytes
            outputs.append(FINALIZE)
        if new or mark.wanted:
            self._asked.append(_Asked(now, self._now, mark.n if mark.wanted else None, done=not new))
        if mark.fresh:
            self._now = _Utterance(PCM_16K.ms(self._vendor_bytes) / 1000)
            outputs += self._usage()
        return [*outputs, *self._answers()]

    def _transcript(self, event: Event) -> list[Told]:
        utterance = self._asked[0].utterance if self._asked else self._now
        text = text_of(event, "text")
        if event.get("is_final"):
            utterance.final += text
            utterance.interim = ""
            utterance.words += _words(event, utterance.start_s)
            utterance.language = text_of(event, "language") or utterance.language
        else:
            utterance.interim = text
        so_far = (utterance.final + utterance.interim).strip()
        waits = any(asked.mark is not None for asked in self._asked) or utterance is self._now
        if not waits or not so_far or so_far == utterance.said:
            return []
        utterance.said = so_far
        return [Transcript(so_far, language=utterance.language)]

    def _answers(self) -> list[Transcript]:
        answers = []
        while self._asked and self._asked[0].done:
            asked = self._asked.popleft()
            if asked.mark is not None:
                said = asked.utterance
                text, words = (said.final or said.interim).strip(), tuple(said.words)
                answers.append(Transcript(text, final=True, mark=asked.mark, words=words, language=said.language))
        return answers

    def _usage(self) -> list[Usage]:
        used, self._reported_bytes = self._sent_bytes - self._reported_bytes, self._sent_bytes
        return [Usage({"audio_s": PCM_16K.ms(used) / 1000}, "estimated")] if used else []


def _words(event: Event, start_s: float) -> list[Word]:
    """The words, their times from `start_s`. The SDK's types have three lists, Cartesia's pages an object a word."""
    listed = event.get("words")
    found: list[Word] = []
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict):
            continue
        begin, end, text = number(one, "start"), number(one, "end"), text_of(one, "word")
        if text and begin is not None and end is not None:
            found.append(Word(text, begin * 1000, max(begin, end) * 1000))
        else:
            found += timed_words({"word_timestamps": one})
    from_ms = start_s * 1000
    return [Word(word.text, max(0.0, word.start_ms - from_ms), max(0.0, word.end_ms - from_ms)) for word in found]
