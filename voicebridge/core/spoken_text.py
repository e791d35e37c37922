"""Which words were spoken by when: by their times where they are known, else by proportion."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from voicebridge.contract.stages import Word

__all__ = ["ROUNDING_MS", "SpokenText"]

ROUNDING_MS = 20.0
"""Two who speak of the same moment may differ by this much: conversions and players round."""


@dataclass(slots=True)
class _Piece:
    text: str
    start_ms: float | None
    """None: where the piece before ends."""
    end_ms: float | None
    """None: where the next one starts; of the last one, where the audio ends."""
    words: list[Word] = field(default_factory=list)
    """Their times count from `start_ms`."""

    timed: bool = False
    """Whether it is known when its words were spoken."""


class SpokenText:
    """The words of a response, in order, each piece of them with as much as is known of its place in the audio.

    Text without times is spread over the audio that no other piece claims: all of it, if no piece has times.
    """

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._placed: _Piece | None = None

    def say(
        self, text: str, start_ms: float | None = None, end_ms: float | None = None, words: Sequence[Word] = ()
    ) -> None:
        """More words. Times are milliseconds from the response's first sample; those of `words` from `start_ms`."""
        start_ms, end_ms = _known(start_ms), _known(end_ms)
        if self._placed and not self._placed.timed:  # whoever placed that did not know of these words
            self._pieces, self._placed = [_Piece("".join(piece.text for piece in self._pieces), None, None)], None
        last = self._pieces[-1] if self._pieces else None
        if last and last.end_ms is None and start_ms is None:
            last.text += text
            last.end_ms, last.timed = end_ms, last.timed or end_ms is not None
        else:
            self._pieces.append(_Piece(text, start_ms, end_ms, list(words), end_ms is not None or bool(words)))

    def time(self, words: Sequence[Word], start_ms: float) -> None:
        """Times of words of the last piece, counted from `start_ms`."""
        if not self._pieces:
            self.say("", start_ms)
        last = self._pieces[-1]
        later = start_ms - (last.start_ms or 0.0)
        last.words += [replace(word, start_ms=word.start_ms + later, end_ms=word.end_ms + later) for word in words]
        last.timed = True

    def place(self, text: str, end_ms: float, *, timed: bool) -> None:
        """The words so far end there, as somebody found out.

        Ignored where the text has times of its own, or other words.

        Args:
            timed: it was found by their times.
        """
        last = self._pieces[-1] if self._pieces else None
        if last is None or last.timed or len(self._pieces) != (2 if self._placed else 1):
            return
        if self._placed is None and last.start_ms is not None:
            return
        whole = "".join(piece.text for piece in self._pieces)
        if whole.lstrip().startswith(text):
            end = len(whole) - len(whole.lstrip()) + len(text)
            self._placed = _Piece(whole[:end], None, end_ms, timed=timed)
            self._pieces = [self._placed, _Piece(whole[end:], end_ms, None)]

    @property
    def whole(self) -> str:
        """All the words."""
        return "".join(piece.text for piece in self._pieces).strip()

    def until(self, ms: float, total_ms: float) -> tuple[str, Literal["aligned", "proportion"]]:
        """The words spoken in the first `ms` of `total_ms`, to whole words, and how they were found."""
        if ms <= 0:
            return "", "proportion"
        if self._placed and self._placed.end_ms is not None and abs(ms - self._placed.end_ms) <= ROUNDING_MS:
            ms = self._placed.end_ms
        spoken, basis, before = [], False, 0.0
        for number, piece in enumerate(self._pieces):
            start = before if piece.start_ms is None else piece.start_ms
            end = self._end(number, total_ms)
            if ms < start or ms == start < end or (number and ms == self._placed_end_ms):
                break
            basis = piece.timed
            if ms < end:
                spoken.append(_part(piece, ms - start, end - start))
                break
            spoken.append(piece.text)
            before = end
        return self._without_half_a_word("".join(spoken)).strip(), "aligned" if basis else "proportion"

    def _without_half_a_word(self, spoken: str) -> str:
        """Pieces may be shorter than words."""
        if not spoken or not spoken[-1].isalnum():
            return spoken
        whole = "".join(piece.text for piece in self._pieces)
        return _whole_words(whole, len(spoken)) if whole[len(spoken) : len(spoken) + 1].isalnum() else spoken

    @property
    def _placed_end_ms(self) -> float | None:
        """What comes behind there has no audio yet, even where the audio ends there as well."""
        return self._placed.end_ms if self._placed else None

    def _end(self, number: int, total_ms: float) -> float:
        if (end := self._pieces[number].end_ms) is not None:
            return end
        following = self._pieces[number + 1].start_ms if number + 1 < len(self._pieces) else None
        return total_ms if following is None else following


def _known(ms: float | None) -> float | None:
    return ms if ms is not None and math.isfinite(ms) else None


def _part(piece: _Piece, ms: float, length_ms: float) -> str:
    if piece.words:
        return _by_words(piece.text, [word.text for word in piece.words if word.end_ms <= ms])
    return _whole_words(piece.text, int(len(piece.text) * ms / length_ms))


def _by_words(text: str, words: Sequence[str]) -> str:
    """The text as far as these words of it, or these characters, reach."""
    end = 0
    for word in words:
        if (at := text.find(word, end)) >= 0:
            end = at + len(word)
    if not end and words:  # they are written in another way than the text
        return f" {' '.join(words)} "
    while end < len(text) and not text[end].isspace() and not text[end].isalnum():
        end += 1
    return _whole_words(text, end)


def _whole_words(text: str, end: int) -> str:
    """The text up to `end`, without a word that is cut there. A wide character is a word."""
    while 0 < end < len(text) and not (text[end].isspace() or text[end - 1].isspace() or _is_wide(text[end - 1])):
        end -= 1
    return text[:end]


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
