"""The listen v2 wire (Flux), which finds the user's turns itself: audio and marks in, transcripts and turn signals out.

Facts: `deepgram-sdk` 7.17 `listen.v2`; Deepgram's pages on the Flux state machine, its thresholds and `ForceEndTurn`:

    StartOfTurn -> speech     EagerEndOfTurn -> eager_end     TurnResumed -> resumed     EndOfTurn -> end

The transcript of `EndOfTurn` is that of the `EagerEndOfTurn` before it: where it would change, `TurnResumed` comes
first. So a guess with the eager text is right whenever the turn ends there. `ForceEndTurn` ends a turn by hand.

Nothing is known to keep a connection without audio open but audio: silence is sent, and taken out of the times again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, TurnSignal, Usage, Word
from voicebridge.core.json_event import Event, number, objects, read_event, text_of
from voicebridge.core.own_turns import OwnTurns

from .faults import told

__all__ = ["FORCE_END", "FluxHalf"]

FORCE_END = '{"type":"ForceEndTurn"}'
_FORCED_S = 1.5
"""A turn that is not ended by then is taken as it is."""
_KEEP_ALIVE_S = 5.0
_SILENCE = bytes(PCM_16K.size(100))
_SILENT_S = 5.0
_SILENT = Fault(
    category="busy", code="unanswered", message="Deepgram fell silent in the middle of a turn.", retryable=True
)
Told = Transcript | TurnSignal | Usage


class FluxHalf:
    """Is a `Half`. For one connection.

    Args:
        manual: the application ends the turns.
    """

    def __init__(self, now: float, *, manual: bool = False) -> None:
        self.turns = OwnTurns(manual=manual)
        self._sent_bytes = 0
        self._reported_bytes = 0
        self._sent_at = now
        self._added: list[tuple[float, float]] = []
        """Silence that nobody spoke: where it begins in the vendor's clock, and its length; milliseconds."""
        self._fresh_ms = 0.0
        """Where the last fresh mark was put."""
        self._forced_at: deque[float] = deque()
        """When the ends were asked for that have not come."""
        self._in_turn = False
        self._unheard_from: float | None = None
        """Since when audio goes out in a turn without a word from the vendor."""

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        times = [self._sent_at + _KEEP_ALIVE_S]
        if self._forced_at:
            times.append(self._forced_at[0] + _FORCED_S)
        if self._unheard_from is not None:
            times.append(self._unheard_from + _SILENT_S)
        return min(times)

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
        if self._in_turn and self._unheard_from is None:
            self._unheard_from = now
        return (piece,)

    def end(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.end`."""
        if self.turns.asks:
            return self._mark(Mark(0, fresh=True, wanted=False), now)
        return self._usage()

    def receive(self, frame: Frame, now: float) -> Iterable[Frame | Told]:
        """See `Half.receive`."""
        event = read_event(frame, "Deepgram")
        self._unheard_from = None
        kind = text_of(event, "type")
        if kind == "Error":
            raise VoiceBridgeError(told(event))
        return self._turn_info(event, now) if kind == "TurnInfo" else ()

    def tick(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.tick`."""
        outputs: list[Frame | Told] = []
        if self._unheard_from is not None and now >= self._unheard_from + _SILENT_S:
            raise VoiceBridgeError(_SILENT)
        if self._forced_at and now >= self._forced_at[0] + _FORCED_S:
            self._forced_at.popleft()
            outputs += self.turns.give_up()
        if now >= self._sent_at + _KEEP_ALIVE_S:
            self._added.append((self._vendor_ms, PCM_16K.ms(len(_SILENCE))))
            self._sent_at = now
            outputs.append(_SILENCE)
        return outputs

    def _mark(self, mark: Mark, now: float) -> list[Frame | Told]:
        outputs: list[Frame | Told] = [
            *self.turns.mark(mark, audio=self._fresh_ms < PCM_16K.ms(self._sent_bytes), now=now)
        ]
        if mark.fresh:
            self._fresh_ms = PCM_16K.ms(self._sent_bytes)
            outputs += self._usage()
        if self.turns.cuts > len(self._forced_at):
            self._forced_at.append(now)
            outputs.append(FORCE_END)
        return outputs

    def _turn_info(self, event: Event, now: float) -> list[Transcript | TurnSignal]:
        text, words = text_of(event, "transcript").strip(), self._words(event)
        sure = number(event, "end_of_turn_confidence")
        confidence = 1.0 if sure is None else min(max(sure, 0.0), 1.0)
        language = _language(event)
        match text_of(event, "event"):
            case "StartOfTurn":
                self._in_turn = True
                return [*self.turns.began(self._begin_ms(event)), *self.turns.heard(text, words, language)]
            case "Update":
                return [*self.turns.heard(text, words, language)]
            case "EagerEndOfTurn":
                so_far = self.turns.heard(text, words, language)
                return [*so_far, *self.turns.may_have_ended(text, self._end_ms(event), confidence)]
            case "TurnResumed":
                again = self._our_ms(number(event, "audio_window_end") or 0.0)
                return [*self.turns.goes_on(again), *self.turns.heard(text, words, language)]
            case "EndOfTurn":
                self._in_turn = False
                over = self.turns.ended(text, self._end_ms(event), confidence, words, language, now=now)
                if self.turns.cuts < len(self._forced_at):
                    self._forced_at.popleft()
                return [*over]
        return []

    @property
    def _vendor_ms(self) -> float:
        return PCM_16K.ms(self._sent_bytes) + sum(length for _, length in self._added)

    def _our_ms(self, seconds: float) -> float:
        """A place of the vendor's clock, in milliseconds of the user's audio; never beyond what was sent of that."""
        ms = seconds * 1000
        added = sum(min(length, ms - begin) for begin, length in self._added if begin < ms)
        return min(max(0.0, ms - added), PCM_16K.ms(self._sent_bytes))

    def _time(self, event: Event, which: str) -> float | None:
        """Where the first word starts, or the last one ends."""
        words = objects(event, "words")
        seconds = number(words[0 if which == "start" else -1], which) if words else None
        return None if seconds is None else self._our_ms(seconds)

    def _begin_ms(self, event: Event) -> float:
        first = self._time(event, "start")
        return self._our_ms(number(event, "audio_window_start") or 0.0) if first is None else first

    def _end_ms(self, event: Event) -> float:
        last = self._time(event, "end")
        return self._our_ms(number(event, "audio_window_end") or 0.0) if last is None else last

    def _words(self, event: Event) -> tuple[Word, ...]:
        words = []
        for one in objects(event, "words"):
            begin, end, text = number(one, "start"), number(one, "end"), text_of(one, "word")
            if text and begin is not None and end is not None:
                place = [max(0.0, self._our_ms(seconds) - self._fresh_ms) for seconds in (begin, end)]
                words.append(Word(text, place[0], place[1]))
        return tuple(words)

    def _usage(self) -> list[Usage]:
        used, self._reported_bytes = self._sent_bytes - self._reported_bytes, self._sent_bytes
        return [Usage({"audio_s": PCM_16K.ms(used) / 1000}, "estimated")] if used else []


def _language(event: Event) -> str | None:
    languages = event.get("languages")
    first = languages[0] if isinstance(languages, list) and languages else None
    return first if isinstance(first, str) else None
