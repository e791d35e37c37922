"""Realtime transcription as frames: audio and marks in, transcripts out.

Facts: `RealtimeConnection` and the payload types of the SDK elevenlabs 2.78. The service refuses to end an utterance
with less than 0.3 s of audio ("Commit request ignored", elevenlabs/packages#378), so shorter ones are filled up with
silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson
import pybase64

from voicebridge.contract.codec import Frame
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, Usage

from .refusals import named_fault
from .settings import LiveOptions, language_code
from .wire_values import message_of

__all__ = ["ScribeLive", "query"]

Out = Frame | Transcript | Usage

_PIECE_BYTES = PCM_16K.size(100)
"""Sent at once: ten frames a second. The end of an utterance never waits for a piece to fill."""
_LONGEST_BYTES = PCM_16K.size(1_000)
_LEAST_BYTES = PCM_16K.size(300)
_MOST_TRIES = 3
_ANSWER_S = 5.0
_SILENT = Fault(
    category="network",
    code="silent",
    message=f"ElevenLabs did not write down an utterance within {_ANSWER_S:g} s. Try again.",
    retryable=True,
)
_WORN = frozenset({"insufficient_audio_activity", "session_time_limit_exceeded"})
"""Errors that end a connection, and say nothing against the next one."""
_NO_NEWS = frozenset({"session_started", "warning"})
_KEYWORDS, _KEYWORD_CHARS = 50, 20


def query(model: str, config: SessionConfig, options: LiveOptions) -> dict[str, str | list[str]]:
    """Of the address of the websocket.

    Raises:
        BadOption: more or longer keywords than the vendor takes.
    """
    keywords = list(config.transcription.keywords) if config.transcription else []
    if len(keywords) > _KEYWORDS or any(len(word) > _KEYWORD_CHARS for word in keywords):
        raise BadOption(
            f"ElevenLabs takes {_KEYWORDS} keywords of at most {_KEYWORD_CHARS} characters each.", code="bad_keywords"
        )
    asked: dict[str, object] = {
        "model_id": model,
        "audio_format": "pcm_16000",
        "commit_strategy": "manual",
        "language_code": language_code(config.language),
        "keyterms": keywords or None,
        "no_verbatim": options.no_verbatim,
        "filter_background_audio": options.filter_background_audio,
        "enable_logging": options.enable_logging,
    }
    return {name: _written(value) for name, value in asked.items() if value is not None}


def _written(value: object) -> str | list[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(slots=True)
class _Commit:
    """The end of some audio, on its way to the vendor and back."""

    marks: list[Mark]
    size: int
    """Bytes of audio that it ends, without silence of ours."""
    tries: int = 1


@dataclass(slots=True)
class _Segment:
    """Audio since the last commit."""

    waiting: bytearray = field(default_factory=bytearray)
    sent: int = 0
    partial: str = ""
    """What has been understood of it so far."""

    @property
    def size(self) -> int:
        return self.sent + len(self.waiting)


class ScribeLive:
    """Is a `Half`. It lasts longer than a connection: between utterances one may end, and another take over."""

    def __init__(self) -> None:
        self._segment = _Segment()
        self._commits: deque[_Commit] = deque()
        self._texts: list[str] = []
        """Of the segments of this utterance that are settled."""
        self.due: float | None = None
        self.worn = False
        """The connection will end, or should: the next utterance wants another one."""
        self.begins = False
        """The next frame is the first that the vendor has of ours: any connection will do."""

    @property
    def idle(self) -> bool:
        """Whether the vendor holds nothing of ours: nothing would be lost with the connection."""
        return not self._commits and not self._segment.sent

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return not self._commits

    def take(self, piece: bytes | Mark, now: float) -> Iterable[Out]:
        """See `Half.take`."""
        if isinstance(piece, bytes):
            self._segment.waiting += piece
            return self._full_pieces()
        if not (piece.wanted or piece.fresh):
            return []
        if not piece.wanted and not self._segment.sent:
            self._segment = _Segment()  # nobody has heard it, and nobody needs to
        if self._segment.size:
            return self._commit(piece, now)
        if self._commits:
            self._commits[-1].marks.append(piece)
            return []
        return self._answers([piece])

    def end(self, now: float) -> Iterable[Out]:
        """See `Half.end`."""
        return []

    def receive(self, frame: Frame, now: float) -> Iterable[Out]:
        """See `Half.receive`."""
        message = message_of(frame)
        kind, text = str(message.get("message_type") or ""), message.get("text")
        said = text.strip() if isinstance(text, str) else ""
        if kind == "partial_transcript":
            return self._partial(said)
        if kind == "committed_transcript":
            return self._committed(said, now)
        if kind in _NO_NEWS or "error" not in message:
            return []  # what a later version tells beside
        return self._error(kind, str(message["error"]), now)

    def tick(self, now: float) -> Iterable[Out]:
        """See `Half.tick`."""
        raise VoiceBridgeError(_SILENT)

    # Audio out

    def _full_pieces(self) -> list[Out]:
        frames: list[Out] = []
        while len(self._segment.waiting) >= _PIECE_BYTES:
            frames.append(self._chunk(_LONGEST_BYTES))
        return frames

    def _chunk(self, most: int) -> str:
        self.begins = self.begins or self.idle
        pcm = bytes(self._segment.waiting[:most])
        del self._segment.waiting[:most]
        self._segment.sent += len(pcm)
        return _frame(pcm)

    def _commit(self, mark: Mark, now: float) -> list[Out]:
        self.begins = self.begins or self.idle
        size, rest = self._segment.size, bytes(self._segment.waiting)
        self._segment = _Segment()
        self._commits.append(_Commit([mark], size))
        self.due = self.due or now + _ANSWER_S
        return [_frame(rest + bytes(max(0, _LEAST_BYTES - size)), commit=True)]

    # Transcripts in

    def _partial(self, text: str) -> list[Out]:
        if self._commits or not text or text == self._segment.partial:
            return []  # while a segment is being settled, it may still be that one's
        self._segment.partial = text
        return [Transcript(_joined([*self._texts, text]))]

    def _committed(self, text: str, now: float) -> list[Out]:
        if text:
            self._texts.append(text)
        if not self._commits:  # the vendor ends what grows too long by itself
            self._segment.partial = ""
            return [Transcript(_joined(self._texts))] if text else []
        commit = self._commits.popleft()
        self.due = now + _ANSWER_S if self._commits else None
        return [Usage({"audio_s": PCM_16K.ms(commit.size) / 1000}, basis="estimated"), *self._answers(commit.marks)]

    def _answers(self, marks: Iterable[Mark]) -> list[Out]:
        answers: list[Out] = []
        for mark in marks:
            if mark.wanted:
                answers.append(Transcript(_joined(self._texts), final=True, mark=mark.n))
            if mark.fresh:
                self._texts.clear()
        return answers

    def _error(self, kind: str, details: str, now: float) -> list[Out]:
        if kind == "commit_throttled" and not self._commits:
            return []
        if kind == "commit_throttled" and self._commits[0].tries < _MOST_TRIES:
            self._commits[0].tries += 1
            return [_frame(bytes(_LEAST_BYTES), commit=True)]
        if kind in _WORN:
            self.worn = True
            if self.idle:
                return []
            if kind == "insufficient_audio_activity" and self._commits:
                return self._committed("", now)  # nothing was said, and that is the answer
        raise VoiceBridgeError(named_fault(kind, details) or _unknown(kind, details))


def _frame(pcm: bytes, *, commit: bool = False) -> str:
    return orjson.dumps(
        {
            "message_type": "input_audio_chunk",
            "audio_base_64": pybase64.b64encode(pcm).decode(),
            "commit": commit,
            "sample_rate": PCM_16K.rate,
        }
    ).decode()


def _joined(texts: Iterable[str]) -> str:
    return " ".join(text for text in texts if text)


def _unknown(kind: str, details: str) -> Fault:
    return Fault(category="protocol", code=kind[:40], message=f"ElevenLabs reports an error: {details[:200]}")
