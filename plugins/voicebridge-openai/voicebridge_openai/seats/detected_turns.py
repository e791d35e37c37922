"""A realtime transcription session in which the vendor finds the user's turns. Pure.

A turn begins with `input_audio_buffer.speech_started`. It has ended when speech has stopped and all of it is written
down: whoever goes on to speak before that goes on with the same turn. A fresh mark that comes before ends it by a
commit.
Events are those of the `openai` SDK 3.54 (`types/realtime`). Not known: whether the vendor commits speech that goes on
under the id that it told when that began; both are borne.
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
from voicebridge.contract.stages import Mark, Transcript, TurnSignal, Usage
from voicebridge.core.own_turns import OwnTurns
from voicebridge.transport.duplex import Half
from voicebridge_openai.usage import transcription_units
from voicebridge_openai.vendor_errors import COMMIT_EMPTY, code_of, ends_the_session

from .event_json import event_object
from .http_errors import told
from .session_request import FORMAT, PADDING_MS

__all__ = ["DetectedTurns"]

Output = Transcript | TurnSignal | Usage
_ANSWER_S = 10.0
"""Seconds without any news of a transcript that is due, after which there will be none."""
_COMMIT = '{"type":"input_audio_buffer.commit","event_id":"cut"}'
_TOLD = "conversation.item.input_audio_transcription."


@dataclass(slots=True)
class _Turn:
    """What the vendor has of one turn: an item for each stretch of speech."""

    texts: dict[str, str] = field(default_factory=dict)
    """Of each item, so far."""
    open: set[str] = field(default_factory=set)
    """Those that are not written down yet."""
    cut: bool = False
    """A commit has ended it: what is said from now on belongs to the next."""

    def add(self, item_id: str) -> None:
        if item_id not in self.texts:
            self.texts[item_id] = ""
            self.open.add(item_id)

    @property
    def text(self) -> str:
        return " ".join(filter(None, (" ".join(text.split()) for text in self.texts.values())))


class DetectedTurns(Half[bytes | Mark, Output]):
    """One connection's meaning, from its opening on.

    Args:
        opening: frames to send first.
        turns: shared by the connections of one `listen`.
        from_ms: of the audio that earlier connections have heard.
        wait_ms: of silence that the vendor counts into a turn.
    """

    def __init__(self, opening: Iterable[Frame], turns: OwnTurns, *, from_ms: float, wait_ms: float) -> None:
        self._opening = list(opening)
        self._turns, self._from_ms, self._wait_ms = turns, from_ms, wait_ms
        self._sent = 0
        """Bytes of audio."""
        self._speaks = False
        self._stopped: set[str] = set()
        """Items that the vendor commits by itself."""
        self._said = deque([_Turn()])
        """The turn that goes on, at the end, and before it those that were cut and are not written down yet."""
        self._end_ms = from_ms
        self._news_at = 0.0

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        waits = self._turns.cuts or (self._said[0].open and not self._speaks)
        return self._news_at + _ANSWER_S if waits else None

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return not self._turns.cuts

    @property
    def rests(self) -> bool:
        """Whether nothing would be lost if the connection ended now."""
        return not (self._speaks or self._turns.cuts or any(turn.texts for turn in self._said))

    def take(self, piece: bytes | Mark, now: float) -> Iterable[Frame | Output]:
        """See `Half.take`."""
        opening, self._opening = self._opening, []
        yield from opening
        if isinstance(piece, bytes):
            if piece:
                self._sent += len(piece)
                audio = base64.b64encode(piece).decode()
                yield orjson.dumps({"type": "input_audio_buffer.append", "audio": audio}).decode()
            return
        cuts = self._turns.cuts
        yield from self._turns.mark(piece, audio=self._sent > 0)
        if self._turns.cuts > cuts:
            self._news_at = now
            yield _COMMIT

    def end(self, now: float) -> Iterable[Frame | Output]:
        """See `Half.end`."""
        return ()

    def tick(self, now: float) -> Iterable[Frame | Output]:
        """See `Half.tick`.

        Raises:
            VoiceBridgeError: a transcript is long overdue.
        """
        if self.due is None or now < self.due:
            return
        if not self._turns.cuts:
            message = f"The server gave no transcript within {_ANSWER_S:g} s."
            raise VoiceBridgeError(Fault(category="busy", code="transcript_timeout", message=message, retryable=True))
        while self._turns.cuts:
            yield from self._turns.give_up()

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Output]:
        """See `Half.receive`.

        Raises:
            VoiceBridgeError: a transcription failed, or the vendor told an error.
        """
        event = event_object(frame)
        kind, item_id = event.get("type"), event.get("item_id")
        if kind == "error":
            yield from self._error(event.get("error"))
        elif not isinstance(kind, str) or not isinstance(item_id, str):
            return
        elif kind == "input_audio_buffer.speech_started":
            yield from self._began(item_id, _ms(event, "audio_start_ms") + PADDING_MS)
        elif kind == "input_audio_buffer.speech_stopped":
            self._speaks, self._news_at = False, now
            self._stopped.add(item_id)
            self._end_ms = self._from_ms + _ms(event, "audio_end_ms") - self._wait_ms
        elif kind == "input_audio_buffer.committed":
            self._news_at = now
            self._said[-1].add(item_id)
            if item_id in self._stopped:
                self._stopped.discard(item_id)
            else:
                yield from self._cut_here()
        elif kind.startswith(_TOLD):
            self._news_at = now
            yield from self._transcribed(kind.removeprefix(_TOLD), item_id, event)

    def _began(self, item_id: str, start_ms: float) -> Iterator[Output]:
        turn, self._speaks = self._said[-1], True
        begun = bool(turn.texts)
        turn.add(item_id)
        if not begun:
            yield from self._turns.began(self._from_ms + min(start_ms, FORMAT.ms(self._sent)))

    def _cut_here(self) -> Iterator[Output]:
        """Our commit has ended the turn, or would have if there had been more of it."""
        self._said[-1].cut, self._speaks = True, False
        self._said.append(_Turn())
        yield from self._ended()

    def _transcribed(self, what: str, item_id: str, event: Mapping[str, Any]) -> Iterator[Output]:
        if what == "failed":
            raise VoiceBridgeError(told(event.get("error")))
        turn = next((turn for turn in self._said if item_id in turn.open), None)
        if turn is None:
            return
        if what == "delta":
            delta = event.get("delta")
            turn.texts[item_id] += delta if isinstance(delta, str) else ""
        elif what == "completed":
            text = event.get("transcript")
            turn.texts[item_id] = text if isinstance(text, str) else turn.texts[item_id]
            turn.open.discard(item_id)
            if units := transcription_units(event.get("usage")):
                yield Usage(units)
        if turn is self._said[0]:
            yield from self._turns.heard(turn.text)
        yield from self._ended()

    def _ended(self) -> Iterator[Output]:
        """Tell the ends of turns of which all is written down."""
        while len(self._said) > 1 and not self._said[0].open:
            yield from self._turns.ended(self._said.popleft().text, self._place(self._end_ms))
        turn = self._said[0]
        # While a commit of ours is on its way, that will say where the turn ends.
        if turn.texts and not (turn.open or self._speaks or self._turns.cuts):
            self._said[0] = _Turn()
            yield from self._turns.ended(turn.text, self._place(self._end_ms))

    def _place(self, ms: float) -> float:
        """Within the audio that was sent."""
        return min(max(ms, self._from_ms), self._from_ms + FORMAT.ms(self._sent))

    def _error(self, error: object) -> Iterator[Output]:
        if isinstance(error, Mapping) and code_of(error) == COMMIT_EMPTY:
            if self._turns.cuts:
                yield from self._cut_here()
            return
        fault = told(error)
        settings = isinstance(error, Mapping) and error.get("event_id") == "settings"
        if settings or ends_the_session(fault) or self.due is not None:
            raise VoiceBridgeError(fault)


def _ms(event: Mapping[str, Any], name: str) -> float:
    value = event.get(name)
    return float(value) if isinstance(value, int | float) and value >= 0 else 0.0
