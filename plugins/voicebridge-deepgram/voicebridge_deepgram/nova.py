"""The listen v1 wire, as a recogniser of what others cut into utterances: audio and marks in, transcripts out.

Facts: `deepgram-sdk` 7.17 `listen.v1`, and Deepgram's pages on Finalize and KeepAlive. The vendor's clock counts the
audio of this connection; `Finalize` makes it write down all that it has heard, and is answered by `Results` with
`from_finalize`, but not where it has little left to write. So a mark is answered by whichever comes first:

    a final piece that reaches the place of the mark
    `from_finalize`
    a second without either, if all but half a second had been heard before: there is nothing left to come

An empty frame of bytes would end the stream: none is ever sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, Usage, Word
from voicebridge.core.json_event import Event, number, objects, read_event, text_of

from .faults import told

__all__ = ["FINALIZE", "KEEP_ALIVE", "NovaHalf", "alternative", "words_of"]

FINALIZE = '{"type":"Finalize"}'
KEEP_ALIVE = '{"type":"KeepAlive"}'
_KEEP_ALIVE_S = 4.0
"""Deepgram asks for one every 3 to 5 s, and closes after 10."""
_UNANSWERED_S = 1.0
_LITTLE_S = 0.5
"""Audio of which no more than silence is left to be written down, where `Finalize` is not answered."""
_SILENT_S = 5.0
"""A mark that is not answered for so long: the peer is dead, or as good as that."""
_SAME_PLACE_S = 0.05
_NO_SPACES = ("zh", "ja", "th")
_SILENT = Fault(
    category="busy", code="unanswered", message="Deepgram did not finish a transcript in time.", retryable=True
)
Told = Transcript | Usage


@dataclass(slots=True)
class _Utterance:
    start_s: float
    """Of the vendor's clock."""
    texts: list[str] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    interim: str = ""
    language: str | None = None
    said: str = ""
    """What was told last."""


@dataclass(slots=True)
class _Asked:
    """A place up to which the text is wanted."""

    place_s: float
    at: float
    utterance: _Utterance
    mark: int | None
    """None: nobody waits for it; it only keeps utterances apart."""
    done: bool = False


class NovaHalf:
    """Is a `Half`. For one connection.

    Args:
        language: as it was asked for: some are written without spaces.
    """

    def __init__(self, now: float, *, language: str | None = None) -> None:
        self._joint = "" if (language or "").partition("-")[0].lower() in _NO_SPACES else " "
        self._sent_bytes = 0
        self._reported_bytes = 0
        self._sent_at = now
        """When there was the last sign of life from here."""
        self._now = _Utterance(0.0)
        self._utterances = deque([self._now])
        self._asked: deque[_Asked] = deque()
        """What waits, in order."""
        self._finalizes: deque[_Asked] = deque()
        """Those sent and not answered. One that is not waited for any more may still be."""
        self._final_s = 0.0
        """All before this has been written down for good."""
        self._heard_s = 0.0
        """All before this has been heard."""

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        keep_alive = self._sent_at + _KEEP_ALIVE_S
        return min(keep_alive, self._asked[0].at + self._patience(self._asked[0])) if self._asked else keep_alive

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
        self._sent_at = now
        return (piece,)

    def end(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.end`."""
        return self._usage()

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Told]:
        """See `Half.receive`."""
        event = read_event(frame, "Deepgram")
        kind = text_of(event, "type")
        if kind == "Error":
            raise VoiceBridgeError(told(event))
        return self._results(event) if kind == "Results" else ()

    def tick(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.tick`."""
        outputs: list[Frame | Told] = []
        if self._asked and now >= self._asked[0].at + self._patience(self._asked[0]):
            if self._left(self._asked[0]) > _LITTLE_S:
                raise VoiceBridgeError(_SILENT)
            self._asked[0].done = True
            outputs += self._answers()
        if now >= self._sent_at + _KEEP_ALIVE_S:
            self._sent_at = now
            outputs.append(KEEP_ALIVE)
        return outputs

    @property
    def _place_s(self) -> float:
        return PCM_16K.ms(self._sent_bytes) / 1000

    def _left(self, asked: _Asked) -> float:
        """Seconds of audio before a place that have not been heard yet."""
        return asked.place_s - max(self._heard_s, asked.utterance.start_s)

    def _patience(self, asked: _Asked) -> float:
        return _SILENT_S if self._left(asked) > _LITTLE_S else _UNANSWERED_S

    def _mark(self, mark: Mark, now: float) -> list[Frame | Told]:
        outputs: list[Frame | Told] = []
        asked = _Asked(self._place_s, now, self._now, mark.n if mark.wanted else None)
        asked.done = self._final_s >= asked.place_s - _SAME_PLACE_S or asked.place_s == self._now.start_s
        if mark.wanted or not asked.done:
            self._asked.append(asked)
        if not asked.done and not any(sent.place_s == asked.place_s for sent in self._finalizes):
            self._finalizes.append(asked)
            outputs.append(FINALIZE)
        if mark.fresh:
            self._now = _Utterance(self._place_s)
            self._utterances.append(self._now)
            outputs += self._usage()
        return [*outputs, *self._answers()]

    def _results(self, event: Event) -> list[Transcript]:
        start_s, length_s = number(event, "start") or 0.0, number(event, "duration") or 0.0
        end_s = start_s + length_s
        said = alternative(event)
        text = text_of(said, "transcript").strip()
        utterance = self._utterance_at(start_s)
        self._heard_s = max(self._heard_s, end_s)
        utterance.interim = "" if event.get("is_final") else text
        if event.get("is_final"):
            if text:
                utterance.texts.append(text)
                utterance.words += words_of(said, utterance.start_s)
                languages = said.get("languages")
                if isinstance(languages, list) and languages and isinstance(languages[0], str):
                    utterance.language = languages[0]
            self._final_s = max(self._final_s, end_s)
            for asked in self._asked:
                asked.done = asked.done or asked.place_s <= end_s + 0.02
        if event.get("from_finalize"):
            self._finalized(end_s)
        answers = self._answers()
        return answers or self._so_far(utterance)

    def _finalized(self, end_s: float) -> None:
        """One of those that were asked for is done: which, its place tells; else it is the oldest."""
        reached = [sent for sent in self._finalizes if sent.place_s <= end_s + _SAME_PLACE_S]
        for sent in reached or list(self._finalizes)[:1]:
            self._finalizes.remove(sent)
            self._final_s = max(self._final_s, sent.place_s)
            for asked in self._asked:
                asked.done = asked.done or asked.place_s <= sent.place_s

    def _utterance_at(self, start_s: float) -> _Utterance:
        """The one in which a piece begins: after a `Finalize` a new piece begins, so none lies in two. One that nobody
        waits for any more is forgotten: its text is nobody's."""
        for utterance in reversed(self._utterances):
            if utterance.start_s <= start_s + _SAME_PLACE_S:
                return utterance
        return _Utterance(start_s)

    def _so_far(self, utterance: _Utterance) -> list[Transcript]:
        """The text of the utterance that the cascade is at, if it has changed."""
        first = next((asked.utterance for asked in self._asked if asked.mark is not None), self._now)
        text = self._joint.join([*utterance.texts, *([utterance.interim] if utterance.interim else [])])
        if utterance is not first or not text or text == utterance.said:
            return []
        utterance.said = text
        return [Transcript(text, language=utterance.language)]

    def _answers(self) -> list[Transcript]:
        """The marks that can be answered, in order."""
        outputs = []
        while self._asked and self._asked[0].done:
            asked = self._asked.popleft()
            if asked.mark is not None:
                outputs.append(self._answer(asked.utterance, asked.mark))
        oldest = self._asked[0].utterance if self._asked else self._now
        while self._utterances[0] is not oldest:
            self._utterances.popleft()
        return outputs

    def _answer(self, utterance: _Utterance, mark: int) -> Transcript:
        """All of it, also what the vendor had not made final when it fell silent."""
        texts: Sequence[str] = [*utterance.texts, utterance.interim] if utterance.interim else utterance.texts
        text = self._joint.join(texts)
        return Transcript(text, final=True, mark=mark, words=tuple(utterance.words), language=utterance.language)

    def _usage(self) -> list[Usage]:
        used, self._reported_bytes = self._sent_bytes - self._reported_bytes, self._sent_bytes
        return [Usage({"audio_s": PCM_16K.ms(used) / 1000}, "estimated")] if used else []


def alternative(event: Event) -> Event:
    """The best reading in `Results`."""
    channel = event.get("channel")
    readings = objects(channel, "alternatives") if isinstance(channel, dict) else []
    return readings[0] if readings else {}


def words_of(said: Event, start_s: float) -> list[Word]:
    """The words with their times, in milliseconds from `start_s`."""
    words = []
    for one in objects(said, "words"):
        begin, end = number(one, "start"), number(one, "end")
        text = text_of(one, "punctuated_word") or text_of(one, "word")
        if text and begin is not None and end is not None:
            words.append(Word(text, max(0.0, (begin - start_s) * 1000), max(0.0, (end - start_s) * 1000)))
    return words
