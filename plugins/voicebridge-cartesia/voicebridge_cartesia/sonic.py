"""The wire of the voices: clauses in, speech with the times of its words out.

Facts: `cartesia` 4.2 (`generation_request_param`, `websocket_response`), and Cartesia's pages on contexts. An answer is
a context: its inputs are joined as they are, with one melody; the last one says `continue: false`, and `done` is the
end of its audio. A context that had nothing to say for a second is over: what comes then begins another one.

Which words a piece of audio covers is known from `timestamps`, whose times count from the context's first sample. They
may come before their audio or after it; then their text is told with the next piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
import pybase64

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Flush, Speech, Usage, Word
from voicebridge.core.json_event import Event, bad_frame, read_event, text_of

from .faults import told
from .timed_words import timed_words

__all__ = ["SonicHalf", "context_names"]

_EXPIRES_S = 0.8
"""A context without audio for so long, and nothing left to say, may be over when the next clause arrives."""
_LATE_S = 1.5
"""An end that comes so late that the context may be over is not answered then: all has been spoken."""
_SILENT_S = 5.0
_LOOKED_AHEAD = 120
"""Characters in which a spoken word is looked for: what the voice reads in another way is not found."""
_SILENT = Fault(category="busy", code="unanswered", message="Cartesia gave no speech in time.", retryable=True)
Told = Speech | Usage


def context_names(prefix: str) -> Iterator[str]:
    """Names of contexts, no two alike."""
    return (f"{prefix}-{number}" for number in itertools.count(1))


class SonicHalf:
    """Is a `Half`. For one answer.

    Args:
        request: what all inputs have in common: model, voice, format.
        names: of contexts; shared by all answers of a connection.
    """

    def __init__(self, request: Mapping[str, Any], names: Iterator[str]) -> None:
        self._request, self._names = request, names
        self._context = ""
        """The one that text goes to. Empty: none is open."""
        self._started: dict[str, float | None] = {}
        """The contexts of this answer: where the audio of each begins, in ms of the answer's."""
        self._sent = ""
        self._held = ""
        """White space that waits for words."""
        self._spoken = self._told = 0
        """How much of what was sent is known to be spoken, and was told."""
        self._words: list[Word] = []
        """Their times, from the first sample of the answer, not told yet."""
        self._audio_ms = 0.0
        self._odd = b""
        self._ended = self._done = self._waits = self._late = False
        self._progress_at = 0.0

    @property
    def open_contexts(self) -> tuple[str, ...]:
        """Those that may still speak."""
        return () if self._done or not self._context else (self._context,)

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        return self._progress_at + self._patience_s if self._waits else None

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return self._ended and self._done

    def take(self, piece: str | Flush, now: float) -> Iterable[Frame | Told]:
        """See `Half.take`."""
        if isinstance(piece, Flush) or not piece:
            return ()
        text = self._held + piece
        if not text.strip():
            self._held = text
            return ()
        self._held = ""
        if not self._context or self._is_quiet(now):
            self._context = next(self._names)
            self._started[self._context] = None
        if not self._waits:
            self._waits, self._progress_at = True, now
        self._sent += text
        return [self._input(text, more=True), Usage({"characters": len(text)}, "estimated")]

    def end(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.end`."""
        self._ended = True
        if not self._context:  # nothing was said, or all that was has been spoken
            self._done = True
            return self._rest()
        self._late = self._is_quiet(now)
        self._waits, self._progress_at = True, now
        return [self._input("", more=False)]

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Told]:
        """See `Half.receive`."""
        event = read_event(frame, "Cartesia")
        context, kind = text_of(event, "context_id"), text_of(event, "type")
        if context not in self._started and (context or kind != "error"):
            return ()  # of an answer that was cancelled
        match kind:
            case "chunk":
                self._progress_at = now
                return self._audio(event, context)
            case "timestamps":
                self._place(timed_words(event), context)
            case "done":
                return self._over(context)
            case "error":
                raise VoiceBridgeError(told(event))
        return ()

    def tick(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.tick`."""
        if not self._waits or now < self._progress_at + self._patience_s:
            return ()
        if not self._late:
            raise VoiceBridgeError(_SILENT)
        self._waits, self._done = False, True
        return self._rest()

    @property
    def _patience_s(self) -> float:
        return _LATE_S if self._late else _SILENT_S

    def _is_quiet(self, now: float) -> bool:
        """Whether the context may be over."""
        return not self._waits and now - self._progress_at > _EXPIRES_S

    def _input(self, text: str, *, more: bool) -> str:
        return orjson.dumps(
            {**self._request, "context_id": self._context, "transcript": text, "continue": more}
        ).decode()

    def _audio(self, event: Event, context: str) -> list[Told]:
        try:
            pcm = self._odd + pybase64.b64decode(text_of(event, "data"), validate=True)
        except ValueError:
            raise VoiceBridgeError(bad_frame("Cartesia", "audio that is no base64")) from None
        whole = len(pcm) - len(pcm) % DOOR_FORMAT.frame_bytes
        self._odd = pcm[whole:]
        if not whole:
            return []
        if self._started[context] is None:
            self._started[context] = self._audio_ms
        if not self._ended:
            self._waits = False
        speech = self._speech(pcm[:whole])
        self._audio_ms += DOOR_FORMAT.ms(whole)
        return [speech]

    def _place(self, words: list[Word], context: str) -> None:
        """Find spoken words in the text."""
        began = self._started[context]
        start_ms = self._audio_ms if began is None else began
        for word in words:
            at = self._sent.find(word.text, self._spoken, self._spoken + len(word.text) + _LOOKED_AHEAD)
            if word.text and at >= 0:
                self._spoken = at + len(word.text)
                while self._spoken < len(self._sent) and not _ends_word(self._sent[self._spoken]):
                    self._spoken += 1
            self._words.append(Word(word.text, start_ms + word.start_ms, start_ms + word.end_ms))

    def _speech(self, pcm: bytes) -> Speech:
        text, self._told = self._sent[self._told : self._spoken], self._spoken
        words = tuple(Word(one.text, one.start_ms - self._audio_ms, one.end_ms - self._audio_ms) for one in self._words)
        self._words = []
        return Speech(pcm, text, words)

    def _over(self, context: str) -> list[Told]:
        """The context has no more audio."""
        self._odd = b""
        if context != self._context:
            return []
        self._context, self._waits = "", False
        if not self._ended:
            return []
        self._done = True
        return self._rest()

    def _rest(self) -> list[Told]:
        """What no time was told of is spoken as well."""
        self._sent += self._held
        self._held, self._spoken = "", len(self._sent)
        speech = self._speech(b"")
        return [speech] if speech.text or speech.words else []


def _ends_word(character: str) -> bool:
    return character.isspace() or character.isalnum()
