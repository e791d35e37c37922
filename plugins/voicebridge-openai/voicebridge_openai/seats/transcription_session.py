"""A realtime transcription session: marks become commits, and what is transcribed of them becomes their answers. Pure.

Events are those of the `openai` SDK 3.54 (`types/realtime`). The vendor transcribes each commit as an item of its own;
transcripts come in any order, and their item's id is told by `input_audio_buffer.committed`, in the order of the
commits.
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge.transport.duplex import Half
from voicebridge_openai.usage import transcription_units
from voicebridge_openai.vendor_errors import COMMIT_EMPTY, code_of, ends_the_session

from .event_json import event_object
from .http_errors import told
from .session_request import FORMAT

__all__ = ["LEAST_MS", "TranscriptionSession"]

Output = Transcript | Usage
LEAST_MS = 100
"""Less can't be committed."""
_ANSWER_S = 10.0
"""Seconds without any news of a transcript that was asked for, after which there will be none."""
_CLEAR = '{"type":"input_audio_buffer.clear"}'
_TOLD = "conversation.item.input_audio_transcription."


@dataclass(slots=True, eq=False)
class _Item:
    """What one commit holds."""

    event_id: str
    id: str = ""
    text: str = ""
    ms: float = 0.0
    done: bool = False


@dataclass(slots=True, eq=False)
class _Utterance:
    items: list[_Item] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(filter(None, (" ".join(item.text.split()) for item in self.items)))


@dataclass(slots=True, eq=False)
class _Answer:
    """A mark, and what its text consists of."""

    mark: int
    items: tuple[_Item, ...]

    @property
    def done(self) -> bool:
        return all(item.done for item in self.items)


class TranscriptionSession(Half[bytes | Mark, Output]):
    """One connection's meaning, from its opening on.

    Args:
        opening: frames to send first.
    """

    def __init__(self, opening: Iterable[Frame]) -> None:
        self._opening = list(opening)
        self._utterance = _Utterance()
        self._held = 0
        """Bytes that the vendor has and that are not committed."""
        self._unnamed: deque[_Item] = deque()
        """Commits whose item's id is not known yet."""
        self._named: dict[str, tuple[_Item, _Utterance]] = {}
        self._begun: dict[str, str] = {}
        """Text of an item that the vendor writes down before it is committed."""
        self._owners: dict[_Item, _Utterance] = {}
        self._answers: deque[_Answer] = deque()
        self._commits = 0
        self._news_at = 0.0
        """When something was last asked or told of transcripts."""

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        return self._news_at + _ANSWER_S if self._answers else None

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return not self._answers

    @property
    def rests(self) -> bool:
        """Whether nothing would be lost if the connection ended now."""
        return not (self._answers or self._held or self._utterance.items)

    def take(self, piece: bytes | Mark, now: float) -> Iterable[Frame | Output]:
        """See `Half.take`."""
        yield from self._opened()
        if isinstance(piece, bytes):
            if piece:
                self._held += len(piece)
                yield _frame("input_audio_buffer.append", audio=base64.b64encode(piece).decode())
            return
        if piece.wanted:
            self._news_at = now
            if self._held >= FORMAT.size(LEAST_MS):
                yield self._commit()
            self._answers.append(_Answer(piece.n, tuple(self._utterance.items)))
            yield from self._told()
        if piece.fresh:
            if self._held:
                yield _CLEAR
                self._held = 0
            self._utterance = _Utterance()
            if not self._unnamed:  # else it belongs to a commit whose item is still to be told
                self._begun.clear()

    def end(self, now: float) -> Iterable[Frame | Output]:
        """See `Half.end`."""
        return ()

    def tick(self, now: float) -> Iterable[Frame | Output]:
        """See `Half.tick`.

        Raises:
            VoiceBridgeError: a transcript is long overdue.
        """
        if self.due is None or now < self.due:
            return ()
        message = f"The server gave no transcript within {_ANSWER_S:g} s."
        raise VoiceBridgeError(Fault(category="busy", code="transcript_timeout", message=message, retryable=True))

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Output]:
        """See `Half.receive`.

        Raises:
            VoiceBridgeError: a transcription failed, or the vendor told an error.
        """
        event = event_object(frame)
        kind = event.get("type")
        if kind == "input_audio_buffer.committed":
            self._committed(event.get("item_id"))
        elif kind == "error":
            yield from self._error(event.get("error"))
        elif isinstance(kind, str) and kind.startswith(_TOLD):
            self._news_at = now
            yield from self._transcribed(kind.removeprefix(_TOLD), event)

    def _opened(self) -> Iterator[Frame]:
        opening, self._opening = self._opening, []
        yield from opening

    def _commit(self) -> Frame:
        self._commits += 1
        item = _Item(f"commit_{self._commits}", ms=FORMAT.ms(self._held))
        self._held = 0
        self._utterance.items.append(item)
        self._owners[item] = self._utterance
        self._unnamed.append(item)
        return _frame("input_audio_buffer.commit", event_id=item.event_id)

    def _committed(self, item_id: object) -> None:
        if not isinstance(item_id, str) or not self._unnamed:
            return
        item = self._unnamed.popleft()
        item.id, item.text = item_id, self._begun.pop(item_id, "")
        self._named[item_id] = (item, self._owners.pop(item))

    def _transcribed(self, what: str, event: Mapping[str, Any]) -> Iterator[Output]:
        item_id = event.get("item_id")
        if not isinstance(item_id, str):
            return
        if what == "failed":
            raise VoiceBridgeError(told(event.get("error")))
        named = self._named.get(item_id)
        if what == "delta":
            delta = event.get("delta")
            if isinstance(delta, str) and delta:
                yield from self._grown(item_id, named, delta)
        elif what == "completed" and named is not None:
            item, _ = self._named.pop(item_id)
            text = event.get("transcript")
            item.text, item.done = text if isinstance(text, str) else item.text, True
            units = transcription_units(event.get("usage"))
            yield Usage(units) if units else Usage({"audio_s": item.ms / 1000}, basis="estimated")
            yield from self._told(event)

    def _grown(self, item_id: str, named: tuple[_Item, _Utterance] | None, delta: str) -> Iterator[Output]:
        """Interim text, of the utterance that is being spoken or answered; not of one whose turn is not come."""
        if named is None:
            self._begun[item_id] = self._begun.get(item_id, "") + delta
            if not self._answers:
                begun = " ".join(self._begun[item_id].split())
                yield Transcript(" ".join(filter(None, (self._utterance.text, begun))))
            return
        item, utterance = named
        item.text += delta
        if self._answers and item in self._answers[0].items:
            yield Transcript(utterance.text)

    def _told(self, event: Mapping[str, Any] | None = None) -> Iterator[Output]:
        """The answers that are whole, in the order of their marks."""
        while self._answers and self._answers[0].done:
            answer = self._answers.popleft()
            text = " ".join(filter(None, (" ".join(item.text.split()) for item in answer.items)))
            yield Transcript(text, final=True, mark=answer.mark, language=_language(event or {}))

    def _error(self, error: object) -> Iterator[Output]:
        fault = told(error)
        event_id = error.get("event_id") if isinstance(error, Mapping) else None
        code = code_of(error) if isinstance(error, Mapping) else ""
        refused = next((item for item in self._unnamed if item.event_id == event_id), None)
        if refused is None and code == COMMIT_EMPTY and self._unnamed:
            refused = self._unnamed[0]
        if refused is not None and code == COMMIT_EMPTY:  # it counts otherwise than we: there is nothing to say
            self._unnamed.remove(refused)
            self._owners.pop(refused)
            refused.done = True
            yield from self._told()
        elif refused is not None or event_id == "settings" or ends_the_session(fault) or self._answers:
            raise VoiceBridgeError(fault)


def _frame(kind: str, **fields: Any) -> str:
    return orjson.dumps({"type": kind, **fields}).decode()


def _language(event: Mapping[str, Any]) -> str | None:
    languages = event.get("languages")
    first = languages[0] if isinstance(languages, list) and languages else None
    code = first.get("code") if isinstance(first, Mapping) else None
    return code if isinstance(code, str) and code else None
