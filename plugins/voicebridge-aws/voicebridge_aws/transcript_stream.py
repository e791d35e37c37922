"""One stream of Amazon Transcribe as frames: audio and at most one mark in, transcripts out.

Facts: the developer guide of Amazon Transcribe on streaming, websockets and event-stream encoding. The wire has no word
for "tell me the final text, and go on": the vendor finds its own segments by pauses, and only the end of a stream makes
all of it final. So a mark ends its stream with an empty AudioEvent, upon which the vendor sends what is left and closes
(1000; so say the vendor's samples). The next audio begins another stream.

What nobody has tried from here: how long that takes, and whether every stream is closed. So one whose last words are
final and that says no more for a second counts as closed as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, Usage, Word

from .event_stream import Message, decoded, encoded
from .faults import named_fault

__all__ = ["CLOSED", "LEAST_BILLED_S", "TranscriptStream", "Utterance"]

Out = Frame | Transcript | Usage

CLOSED = b""
"""Stands for the vendor's normal close."""
LEAST_BILLED_S = 15.0
"""Each stream is billed as so many seconds at least (its page of prices)."""
_PIECE_BYTES = PCM_16K.size(100)
"""Sent at once: ten frames a second. The end of an utterance never waits for a piece to fill."""
_LONGEST_BYTES = PCM_16K.size(1_000)
_HELD_BYTES = PCM_16K.size(800)
"""After a guess that was right comes only the rest of the silence: it is not worth a stream of its own."""
_KEEP_ALIVE_S = 8.0
"""The vendor gives up a stream without audio after 15 s."""
_SILENCE = bytes(PCM_16K.size(100))
_ANSWER_S = 5.0
_QUIET_S = 1.0
_AUDIO: Mapping[str, str] = {
    ":content-type": "application/octet-stream",
    ":event-type": "AudioEvent",
    ":message-type": "event",
}
_NO_ANSWER = Fault(
    category="network",
    code="silent",
    message=f"Amazon Transcribe did not write down an utterance within {_ANSWER_S:g} s. Try again.",
    retryable=True,
)
_GONE = Fault(
    category="network",
    code="ended_early",
    message="Amazon Transcribe ended a stream in the middle of an utterance. Try again.",
    retryable=True,
)


@dataclass(slots=True)
class Utterance:
    """What is settled of an utterance: that of the streams before."""

    texts: list[str] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    ms: float = 0.0
    """Of audio."""

    def answer(self, mark: Mark, language: str | None = None) -> Transcript:
        """The final text for a mark."""
        return Transcript(_joined(self.texts), final=True, mark=mark.n, words=tuple(self.words), language=language)


class TranscriptStream:
    """Is a `Half`. It ends with its first mark.

    Args:
        utterance: what is settled already; what this stream settles is added.
    """

    def __init__(self, utterance: Utterance, now: float) -> None:
        self._utterance = utterance
        self._waiting = bytearray()
        self._sent = 0
        """Bytes of audio, silence of ours included."""
        self._taken = 0
        self._partial: dict[str, str] = {}
        """Texts that may still change, by the ids of their results."""
        self._told = ""
        self._language: str | None = None
        self._final = False
        """Since the end was sent, something has become final."""
        self.mark: Mark | None = None
        """The one that ended it."""
        self.over = False
        self.due: float | None = now + _KEEP_ALIVE_S

    def take(self, piece: bytes | Mark, now: float) -> Iterable[Out]:
        """See `Half.take`."""
        if isinstance(piece, Mark):
            return self._end(piece, now)
        self._waiting += piece
        self._taken += len(piece)
        self.due = now + _KEEP_ALIVE_S
        least = _HELD_BYTES if self._utterance.ms and not self._sent else _PIECE_BYTES
        return self._audio() if len(self._waiting) >= least else []

    def end(self, now: float) -> Iterable[Out]:
        """See `Half.end`. Without a mark nobody waits for a text."""
        return [] if self.mark is not None else self._finish()

    def receive(self, frame: Frame, now: float) -> Iterable[Out]:
        """See `Half.receive`."""
        if frame == CLOSED:
            if self.mark is None:
                raise VoiceBridgeError(_GONE)
            return self._settle()
        if isinstance(frame, str):
            raise VoiceBridgeError("Amazon Transcribe sent a text where an event was due.", code="bad_event")
        message = decoded(frame)
        if message.headers.get(":message-type", "event") != "event":
            raise VoiceBridgeError(_exception(message))
        if message.headers.get(":event-type") != "TranscriptEvent":
            return []  # what a later version tells beside
        return self._results(_results(message), now)

    def tick(self, now: float) -> Iterable[Out]:
        """See `Half.tick`."""
        if self.mark is None:
            self.due = now + _KEEP_ALIVE_S
            if not self._sent:
                return []
            self._sent += len(_SILENCE)
            return [encoded(_AUDIO, _SILENCE)]
        if self._final and not self._partial:
            return self._settle()
        raise VoiceBridgeError(_NO_ANSWER)

    # Audio out

    def _audio(self) -> list[Out]:
        frames: list[Out] = []
        while self._waiting:
            pcm = bytes(self._waiting[:_LONGEST_BYTES])
            del self._waiting[:_LONGEST_BYTES]
            self._sent += len(pcm)
            frames.append(encoded(_AUDIO, pcm))
        return frames

    def _end(self, mark: Mark, now: float) -> list[Out]:
        self.mark = mark
        if not mark.wanted:
            return self._finish()
        self.due = now + _ANSWER_S
        return [*self._audio(), encoded(_AUDIO, b"")]

    # Transcripts in

    def _results(self, results: Iterable[Mapping[str, Any]], now: float) -> list[Out]:
        for result in results:
            self._result(result)
        if self.over:
            return []
        if self.mark is not None:
            self.due = now + (_QUIET_S if self._final and not self._partial else _ANSWER_S)
            return []
        text = _joined([*self._utterance.texts, *self._partial.values()])
        if not text or text == self._told:
            return []
        self._told = text
        return [Transcript(text, language=self._language)]

    def _result(self, result: Mapping[str, Any]) -> None:
        number, best = str(result.get("ResultId") or ""), _best(result)
        text = str(best.get("Transcript") or "").strip()
        if isinstance(language := result.get("LanguageCode"), str):
            self._language = language
        if result.get("IsPartial"):
            self._partial[number] = text
            return
        self._partial.pop(number, None)
        self._final = self.mark is not None
        if text:
            self._utterance.texts.append(text)
            self._utterance.words += _words(best.get("Items"), self._utterance.ms)

    def _settle(self) -> list[Out]:
        """Nothing more comes. What never became final is still what was understood."""
        assert self.mark is not None, "it was waited for"
        self._utterance.texts += [text for text in self._partial.values() if text]
        self._partial.clear()
        used = self._finish()
        return [*used, self._utterance.answer(self.mark, self._language)]

    def _finish(self) -> list[Out]:
        if self.over:
            return []
        self.over, self.due = True, None
        self._utterance.ms += PCM_16K.ms(self._taken)
        billed = max(LEAST_BILLED_S, PCM_16K.ms(self._sent) / 1000)
        return [Usage({"audio_s": billed}, basis="estimated")] if self._sent else []


def _joined(texts: Iterable[str]) -> str:
    return " ".join(text for text in texts if text)


def _exception(message: Message) -> Fault:
    name = message.headers.get(":exception-type") or message.headers.get(":error-code") or "error"
    try:
        told = orjson.loads(message.payload)
        details = str(told.get("Message") or told.get("message") or "") if isinstance(told, Mapping) else ""
    except orjson.JSONDecodeError:
        details = message.payload[:200].decode("utf-8", "replace")
    details = details or message.headers.get(":error-message", "")
    text = f"Amazon Transcribe reports {name}: {details[:200].rstrip('.')}."
    return named_fault(name, details) or Fault(category="protocol", code=name[:40], message=text)


def _results(message: Message) -> list[Mapping[str, Any]]:
    try:
        told = orjson.loads(message.payload)
        results = told["Transcript"]["Results"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise VoiceBridgeError("Amazon Transcribe sent a transcript that can't be read.", code="bad_event") from None
    return [one for one in results if isinstance(one, Mapping)] if isinstance(results, list) else []


def _best(result: Mapping[str, Any]) -> Mapping[str, Any]:
    alternatives = result.get("Alternatives")
    first = alternatives[0] if isinstance(alternatives, list) and alternatives else {}
    return first if isinstance(first, Mapping) else {}


def _words(items: object, offset_ms: float) -> list[Word]:
    """The words, each with the signs behind it."""
    words: list[Word] = []
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, Mapping) or not isinstance(content := item.get("Content"), str):
            continue
        if item.get("Type") == "punctuation":
            if words:
                words[-1] = Word(words[-1].text + content, words[-1].start_ms, words[-1].end_ms)
            continue
        start, end = item.get("StartTime"), item.get("EndTime")
        if isinstance(start, int | float) and isinstance(end, int | float):
            words.append(Word(content, offset_ms + start * 1000, offset_ms + end * 1000))
    return words
