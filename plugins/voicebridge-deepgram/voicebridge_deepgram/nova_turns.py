"""The listen v1 wire, as a recogniser that finds turns by Deepgram's endpointing.

Facts: `deepgram-sdk` 7.17 `listen.v1`. `SpeechStarted` begins a turn; `Results` with `speech_final` end it (silence),
or `UtteranceEnd` (a gap between words, where noise hides the silence). A turn is ended by hand with `Finalize`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, TurnSignal, Usage, Word
from voicebridge.core.json_event import Event, number, read_event, text_of
from voicebridge.core.own_turns import OwnTurns

from .faults import told
from .nova import FINALIZE, KEEP_ALIVE, alternative, words_of

__all__ = ["NovaTurnsHalf"]

_KEEP_ALIVE_S = 4.0
_FORCED_S = 1.5
Told = Transcript | TurnSignal | Usage


class NovaTurnsHalf:
    """Is a `Half`. For one connection.

    Args:
        manual: the application ends the turns.
    """

    def __init__(self, now: float, *, manual: bool = False) -> None:
        self.turns = OwnTurns(manual=manual)
        self._sent_bytes = 0
        self._reported_bytes = 0
        self._sent_at = now
        self._forced_at: deque[float] = deque()
        """When the ends were asked for that have not come."""
        self._texts: list[str] = []
        """The final pieces of the turn."""
        self._words: list[Word] = []
        self._fresh_s = 0.0
        self._begun = False
        self._end_s = 0.0

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        keep_alive = self._sent_at + _KEEP_ALIVE_S
        return min(keep_alive, self._forced_at[0] + _FORCED_S) if self._forced_at else keep_alive

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return not self._forced_at

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
        if self.turns.asks:
            return self._mark(Mark(0, fresh=True, wanted=False), now)
        return self._usage()

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Told]:
        """See `Half.receive`."""
        event = read_event(frame, "Deepgram")
        match text_of(event, "type"):
            case "Error":
                raise VoiceBridgeError(told(event))
            case "SpeechStarted":
                return self._begin(number(event, "timestamp") or 0.0)
            case "Results":
                return self._results(event, now)
            case "UtteranceEnd":
                return self._over(number(event, "last_word_end"), now)
        return ()

    def tick(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.tick`."""
        outputs: list[Frame | Told] = []
        if self._forced_at and now >= self._forced_at[0] + _FORCED_S:
            self._forced_at.popleft()
            self._forget()
            outputs += self.turns.give_up()
        if now >= self._sent_at + _KEEP_ALIVE_S:
            self._sent_at = now
            outputs.append(KEEP_ALIVE)
        return outputs

    def _mark(self, mark: Mark, now: float) -> list[Frame | Told]:
        heard = self._fresh_s < PCM_16K.ms(self._sent_bytes) / 1000
        outputs: list[Frame | Told] = [*self.turns.mark(mark, audio=heard, now=now)]
        if mark.fresh:
            self._fresh_s = PCM_16K.ms(self._sent_bytes) / 1000
            outputs += self._usage()
        if self.turns.cuts > len(self._forced_at):
            self._forced_at.append(now)
            outputs.append(FINALIZE)
        return outputs

    def _begin(self, at_s: float) -> list[Told]:
        if self._begun:
            return []
        self._begun = True
        return [*self.turns.began(at_s * 1000)]

    def _results(self, event: Event, now: float) -> list[Told]:
        said = alternative(event)
        text, words = text_of(said, "transcript").strip(), words_of(said, self._fresh_s)
        start_s = number(event, "start") or 0.0
        outputs: list[Told] = []
        if text:
            outputs += self._begin(start_s)
            self._end_s = start_s + (number(event, "duration") or 0.0)
            if words:
                self._end_s = self._fresh_s + words[-1].end_ms / 1000
        final = bool(event.get("is_final"))
        if final and text:
            self._texts.append(text)
            self._words += words
        outputs += self.turns.heard(
            " ".join([*self._texts, *([text] if text and not final else [])]), tuple(self._words)
        )
        if event.get("speech_final") or (event.get("from_finalize") and self._forced_at):
            outputs += self._over(None, now)
        return outputs

    def _over(self, last_word_end_s: float | None, now: float) -> list[Told]:
        if not (self._begun or self.turns.cuts):
            return []
        end_s = self._end_s if last_word_end_s is None or last_word_end_s < 0 else last_word_end_s
        text, words = " ".join(self._texts), tuple(self._words)
        self._forget()
        over = self.turns.ended(text, end_s * 1000, words=words, now=now)
        if self.turns.cuts < len(self._forced_at):
            self._forced_at.popleft()
        return [*over]

    def _forget(self) -> None:
        self._texts, self._words, self._begun = [], [], False

    def _usage(self) -> list[Usage]:
        used, self._reported_bytes = self._sent_bytes - self._reported_bytes, self._sent_bytes
        return [Usage({"audio_s": PCM_16K.ms(used) / 1000}, "estimated")] if used else []
