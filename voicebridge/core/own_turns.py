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
    a mark                   any          the text of the oldest ended turn, or of one that may have ended; else it
                                          waits for one of these, or for a fresh mark: what is heard lags behind
    a fresh mark             ended        the text of the oldest ended turn, which is claimed by it
    a fresh mark             other        nothing yet: the turn is cut, and the vendor must be asked to end it (`cuts`);
                                          where nobody wants the text and there is no turn, there is nothing to cut

Where the application ends turns by hand (`manual`), what the vendor takes for turns are pieces of one: their texts are
joined, and no signals are told. Joined they are, too, where a detector finds the turns and nobody heeds these signals:
then no mark follows an `end` at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voicebridge.contract.stages import Mark, Transcript, TurnSignal, Word

__all__ = ["OwnTurns"]

_HEEDED_S = 0.25
"""Whoever heeds an `end` has put a mark by then."""

_Told = Transcript | TurnSignal


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
        self._oldest_at = 0.0
        """When the oldest of them ended."""
        self._sure = False
        """What was heard of the open turn may be all of it."""
        self._asked: list[int] = []
        """Marks that wait, none of them fresh."""
        self._cutting: deque[tuple[Mark, _Turn]] = deque()
        """Fresh marks that wait for the vendor to end its turn, and what was heard before that turn."""

    @property
    def cuts(self) -> int:
        """Fresh marks that wait. For each the vendor is to end its turn where that was put, or it is given up after a
        while (`give_up`)."""
        return len(self._cutting)

    @property
    def asks(self) -> bool:
        """Whether marks wait for a text that a fresh one would bring."""
        return bool(self._asked)

    def began(self, audio_ms: float) -> list[_Told]:
        """The user speaks."""
        self._open, self._stale, self._sure, self._now = True, False, False, _Turn()
        return [] if self.manual or self.cuts else [TurnSignal("speech", audio_ms)]

    def heard(self, text: str, words: tuple[Word, ...] = (), language: str | None = None) -> list[_Told]:
        """The whole text of the turn so far."""
        if self._stale:
            return []
        self._sure = self._sure and text == self._now.text
        changed, self._now = text != self._now.text, _Turn(text, words, language)
        return [self._so_far()] if text and changed and not self.cuts else []

    def may_have_ended(self, text: str, audio_ms: float, confidence: float = 1.0) -> list[_Told]:
        """That may be all: `text` is the whole turn."""
        told = self.heard(text, self._now.words if text == self._now.text else (), self._now.language)
        self._sure = self._open
        told += self._told_asked(self._known(joined=True)) if self._open else []
        if self._open and not self.manual and not self.cuts:
            told.append(TurnSignal("eager_end", audio_ms, confidence))
        return told

    def goes_on(self, audio_ms: float) -> list[_Told]:
        """It was not all."""
        self._sure = False
        quiet = self.manual or self.cuts or not self._open
        return [] if quiet else [TurnSignal("resumed", audio_ms)]

    def ended(
        self,
        text: str,
        audio_ms: float,
        confidence: float = 1.0,
        words: tuple[Word, ...] = (),
        language: str | None = None,
        *,
        now: float = 0.0,
    ) -> list[_Told]:
        """The turn is over, and this is its text. `now` is seconds on the clock of `mark`."""
        turn, begun, stale = _Turn(text, words, language), self._open, self._stale
        self._open, self._stale, self._now = False, False, _Turn()
        if stale:
            return []
        if self._cutting:
            return self._answer_cut(turn)
        if not begun and not text:
            return []
        if not self._ended:
            self._oldest_at = now
        self._ended.append(turn)
        told: list[_Told] = [*self._told_asked(self._known(joined=True))]
        if self.manual:
            return told
        told += [] if begun else [TurnSignal("speech", audio_ms)]
        return [*told, TurnSignal("end", audio_ms, confidence)]

    def mark(self, mark: Mark, *, audio: bool = True, now: float = 0.0) -> list[_Told]:
        """The cascade wants the text since the last fresh mark. After a fresh one, see `cuts`.

        Args:
            audio: whether there was any since then.
            now: seconds on the clock of `ended`.
        """
        joined = self.manual or (bool(self._ended) and now - self._oldest_at > _HEEDED_S)
        if not mark.fresh:
            return self._mark(mark, joined=joined)
        if self._ended and not joined and not self.cuts:
            turn, self._oldest_at = self._ended.popleft(), now
            return [turn.answer(mark.n)] if mark.wanted else []
        if not (mark.wanted or self._open or self.manual or self._asked):
            self._ended.clear()
            return []
        if not (audio or self._ended or self.cuts or self._asked):
            return [_Turn().answer(mark.n)] if mark.wanted else []
        before = self._known(joined=True, beyond=False)
        self._ended.clear()
        if joined and not self.manual and not self._open and not self.cuts:
            return [*self._told_asked(before), *([before.answer(mark.n)] if mark.wanted else [])]
        self._cutting.append((mark, before))
        return []

    def give_up(self) -> list[_Told]:
        """The vendor does not end the turn for the oldest fresh mark that waits: what is known of it is its text. What
        it still says of it is ignored."""
        turn, self._now = self._now, _Turn()
        self._stale, self._open = self._open, False
        return self._answer_cut(turn)

    def _known(self, *, joined: bool, beyond: bool = True) -> _Turn:
        """What was heard since the last fresh mark; without `beyond`, not that of the vendor's open turn."""
        if self._ended and not joined:
            return self._ended[0]
        known = _Turn()
        for turn in self._ended:
            known = known.with_more(turn)
        return known.with_more(self._now) if beyond else known

    def _answer_cut(self, turn: _Turn) -> list[_Told]:
        mark, before = self._cutting.popleft()
        whole = before.with_more(turn)
        return [*self._told_asked(whole), *([whole.answer(mark.n)] if mark.wanted else [])]

    def _mark(self, mark: Mark, *, joined: bool) -> list[_Told]:
        """One that does not begin an utterance."""
        if not mark.wanted or self.cuts:  # answers come in order, and this one would not
            return []
        known = self._known(joined=joined)
        if known.text and (self._ended or self._sure) and not (joined and self._open and not self._sure):
            return [known.answer(mark.n)]
        self._asked.append(mark.n)
        return []

    def _told_asked(self, turn: _Turn) -> list[_Told]:
        asked, self._asked = self._asked, []
        return [turn.answer(mark) for mark in asked]

    def _so_far(self) -> Transcript:
        known = self._known(joined=True) if self.manual else self._now
        return Transcript(known.text, words=known.words, language=known.language)
