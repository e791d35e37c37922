"""A recogniser that finds the user's turns itself, and the marks that a cascade puts all the same.

A cascade answers `eager_end` with a mark, and `end` with a fresh one: they come back a moment after the signal, when
the vendor may already have told more. So an ended turn keeps its text here until the fresh mark that claims it.

    the vendor says          state        becomes       told
    began                    no turn      open          speech
    heard                    open         open          the text so far
    may_have_ended           open         open          the text so far, eager_end
    goes_on                  open         open          resumed
    ended                    open         ended         end
    ended                    cut          no turn       the text of the fresh mark that cut it, and no signal

    the cascade puts         state        told
    a mark                   any          the text of the oldest ended turn, else the text so far; it is passed over
                                          where there is none, and behind a fresh one that waits
    a fresh mark             ended        the text of the oldest ended turn, which is claimed by it
    a fresh mark             other        nothing yet: the turn is cut, and the vendor must be asked to end it (`cuts`);
                                          where nobody wants the text and there is no turn, there is nothing to cut

Where the application ends turns by hand (`manual`), what the vendor takes for turns are pieces of one: their texts are
joined, and no signals are told.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicebridge.contract.stages import Mark, Transcript, TurnSignal, Word

__all__ = ["OwnTurns"]

Told = Transcript | TurnSignal


@dataclass(frozen=True, slots=True)
class _Turn:
    text: str = ""
    words: tuple[Word, ...] = ()
    language: str | None = None

    def with_more(self, other: _Turn) -> _Turn:
        text = " ".join(part for part in (self.text, other.text) if part)
        return _Turn(text, self.words + other.words, other.language or self.language)

    def answer(self, mark: int) -> Transcript:
        return Transcript(self.text, final=True, mark=mark, words=self.words, language=self.language)


class OwnTurns:
    """See the table above. What each call gives is to be told in this order.

    Args:
        manual: the application ends the turns. May be changed at any time.
    """

    def __init__(self, *, manual: bool = False) -> None:
        self.manual = manual
        self._open = False
        """The vendor is in a turn."""
        self._stale = False
        """It is in one that was given up."""
        self._now = _Turn()
        """What it has heard of that."""
        self._ended: deque[_Turn] = deque()
        """Turns that no fresh mark has claimed yet."""
        self._cutting: deque[tuple[Mark, _Turn]] = deque()
        """Fresh marks that wait for the vendor to end its turn, and what was heard before that turn."""

    @property
    def cuts(self) -> int:
        """Fresh marks that wait. For each the vendor is to end its turn where that was put, or it is given up after a
        while (`give_up`)."""
        return len(self._cutting)

    def began(self, audio_ms: float) -> list[Told]:
        """The user speaks."""
        self._open, self._stale, self._now = True, False, _Turn()
        return [] if self.manual or self.cuts else [TurnSignal("speech", audio_ms)]

    def heard(self, text: str, words: tuple[Word, ...] = (), language: str | None = None) -> list[Told]:
        """The whole text of the turn so far."""
        if self._stale:
            return []
        changed, self._now = text != self._now.text, _Turn(text, words, language)
        return [self._so_far()] if text and changed and not self.cuts else []

    def may_have_ended(self, text: str, audio_ms: float, confidence: float = 1.0) -> list[Told]:
        """That may be all: `text` is the whole turn."""
        told = self.heard(text, self._now.words if text == self._now.text else (), self._now.language)
        if self._open and not self.manual and not self.cuts:
            told.append(TurnSignal("eager_end", audio_ms, confidence))
        return told

    def goes_on(self, audio_ms: float) -> list[Told]:
        """It was not all."""
        quiet = self.manual or self.cuts or not self._open
        return [] if quiet else [TurnSignal("resumed", audio_ms)]

    def ended(
        self,
        text: str,
        audio_ms: float,
        confidence: float = 1.0,
        words: tuple[Word, ...] = (),
        language: str | None = None,
    ) -> list[Told]:
        """The turn is over, and this is its text."""
        turn, begun, stale = _Turn(text, words, language), self._open, self._stale
        self._open, self._stale, self._now = False, False, _Turn()
        if stale:
            return []
        if self._cutting:
            return self._answer_cut(turn)
        if not begun and not text:
            return []
        self._ended.append(turn)
        if self.manual:
            return []
        first = [] if begun else [TurnSignal("speech", audio_ms)]
        return [*first, TurnSignal("end", audio_ms, confidence)]

    def mark(self, mark: Mark, *, audio: bool = True) -> list[Told]:
        """The cascade wants the text since the last fresh mark. After a fresh one, see `cuts`.

        Args:
            audio: whether there was any since then.
        """
        if not mark.fresh:
            known = self._known()
            return [known.answer(mark.n)] if mark.wanted and known.text and not self.cuts else []
        if self._ended and not self.manual and not self.cuts:
            turn = self._ended.popleft()
            return [turn.answer(mark.n)] if mark.wanted else []
        if not (mark.wanted or self._open or self.manual):
            return []
        if not (audio or self._ended or self.cuts):
            return [_Turn().answer(mark.n)] if mark.wanted else []
        before = self._known(beyond=False)
        self._ended.clear()
        self._cutting.append((mark, before))
        return []

    def give_up(self) -> list[Told]:
        """The vendor does not end the turn for the oldest fresh mark that waits: what is known of it is its text. What
        it still says of it is ignored."""
        turn, self._now = self._now, _Turn()
        self._stale, self._open = self._open, False
        return self._answer_cut(turn)

    def _known(self, *, beyond: bool = True) -> _Turn:
        """What was heard since the last fresh mark; without `beyond`, not that of the vendor's open turn."""
        if self._ended and not self.manual:
            return self._ended[0]
        known = _Turn()
        for turn in self._ended:
            known = known.with_more(turn)
        return known.with_more(self._now) if beyond else known

    def _answer_cut(self, turn: _Turn) -> list[Told]:
        mark, before = self._cutting.popleft()
        return [before.with_more(turn).answer(mark.n)] if mark.wanted else []

    def _so_far(self) -> Transcript:
        known = self._known() if self.manual else self._now
        return Transcript(known.text, words=known.words, language=known.language)
