"""The wire of Ink-2 with turns of its own: audio and marks in, transcripts and turn signals out.

Facts: `cartesia` 4.2 (`stt.auto_finalize`):

    turn.start -> speech     turn.eager_end -> eager_end     turn.resume -> resumed     turn.end -> end

Its events have no times: a signal is placed where the audio was when it came. Nothing ends a turn by hand; one that the
application ends has the text that is known a moment later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from voicebridge.contract.codec import Frame
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, TurnSignal, Usage
from voicebridge.core.json_event import read_event, text_of
from voicebridge.core.own_turns import OwnTurns

from .faults import told
from .ink import KEEP_ALIVE_S, SILENCE

__all__ = ["InkTurnsHalf"]

_CUT_S = 1.0
"""What was said before a turn was ended by hand is written down by then."""
Told = Transcript | TurnSignal | Usage


class InkTurnsHalf:
    """Is a `Half`. For one connection.

    Args:
        manual: the application ends the turns.
    """

    def __init__(self, now: float, *, manual: bool = False) -> None:
        self.turns = OwnTurns(manual=manual)
        self._sent_bytes = self._reported_bytes = self._fresh_bytes = 0
        self._sent_at = now
        self._cut_at: deque[float] = deque()

    @property
    def due(self) -> float | None:
        """See `Half.due`."""
        keep_alive = self._sent_at + KEEP_ALIVE_S
        return min(keep_alive, self._cut_at[0] + _CUT_S) if self._cut_at else keep_alive

    @property
    def over(self) -> bool:
        """See `Half.over`."""
        return not self._cut_at

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
        event = read_event(frame, "Cartesia")
        text, at_ms = text_of(event, "transcript").strip(), PCM_16K.ms(self._sent_bytes)
        match text_of(event, "type"):
            case "turn.start":
                return self.turns.began(at_ms)
            case "turn.update":
                return self.turns.heard(text)
            case "turn.eager_end":
                return self.turns.may_have_ended(text, at_ms)
            case "turn.resume":
                return self.turns.goes_on(at_ms)
            case "turn.end":
                over = self.turns.ended(text, at_ms, now=now)
                if self.turns.cuts < len(self._cut_at):
                    self._cut_at.popleft()
                return over
            case "error":
                raise VoiceBridgeError(told(event))
        return ()

    def tick(self, now: float) -> Iterable[Frame | Told]:
        """See `Half.tick`."""
        outputs: list[Frame | Told] = []
        if self._cut_at and now >= self._cut_at[0] + _CUT_S:
            self._cut_at.popleft()
            outputs += self.turns.give_up()
        if now >= self._sent_at + KEEP_ALIVE_S:
            self._sent_at = now
            outputs.append(SILENCE)
        return outputs

    def _mark(self, mark: Mark, now: float) -> list[Frame | Told]:
        outputs: list[Frame | Told] = [*self.turns.mark(mark, audio=self._fresh_bytes < self._sent_bytes, now=now)]
        if mark.fresh:
            self._fresh_bytes = self._sent_bytes
            outputs += self._usage()
        if self.turns.cuts > len(self._cut_at):
            self._cut_at.append(now)
        return outputs

    def _usage(self) -> list[Usage]:
        used, self._reported_bytes = self._sent_bytes - self._reported_bytes, self._sent_bytes
        return [Usage({"audio_s": PCM_16K.ms(used) / 1000}, "estimated")] if used else []
