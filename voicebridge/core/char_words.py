"""Which words of a text a voice has spoken by when, from the times that it gives for single characters.

A voice is sent text, and tells, with each piece of audio, which characters that piece speaks and when. Words come out
whole, even where a piece ends inside of one; joined, the texts that come out are the text that went in.

The characters should be those of the text. Where they are not, because the voice wrote "five" for "5", the words are
found again by the next one that both have. What lies between them is then spoken together with that word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from voicebridge.contract.stages import Word

__all__ = ["CharWords", "Covered", "TimedChar"]

_SEARCHED_WORDS = 8
"""So many words ahead a word is looked for that the voice wrote in another way before."""


@dataclass(frozen=True, slots=True)
class TimedChar:
    """A character (or what the voice treats as one), and when it is spoken: milliseconds of any clock."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True)
class Covered:
    """What has been spoken since it was last asked."""

    text: str = ""
    """As it was sent, with the white space before it. It ends with a whole word; a wide character is one."""
    words: tuple[Word, ...] = ()
    """Those of them whose times are known, in the clock of the characters. The first may have begun before this piece
    of audio."""


@dataclass(slots=True)
class _Spoken:
    """A word that is being spoken, as the voice writes it."""

    text: str = ""
    start_ms: float = 0.0
    end_ms: float = 0.0

    def add(self, char: TimedChar) -> None:
        if not self.text:
            self.start_ms = char.start_ms
        self.text += char.text
        self.end_ms = max(char.end_ms, self.start_ms)

    @property
    def times(self) -> tuple[float, float]:
        return self.start_ms, self.end_ms


class CharWords:
    """Follows a voice through the text that it was sent."""

    def __init__(self) -> None:
        self._text = ""
        """What was sent and is not covered yet."""
        self._at = 0
        """How much of that has been spoken: the end of a character, in the middle of a word."""
        self._word = _Spoken()
        self._lost = False
        """The voice writes something else than the text."""

    @property
    def waiting(self) -> str:
        """What was sent and is not covered yet."""
        return self._text

    def sent(self, text: str) -> None:
        """More text is on its way to the voice. It begins a word of its own."""
        self._text += text

    def spoken(self, chars: Iterable[TimedChar]) -> Covered:
        """The voice speaks these. What was not sent is left out."""
        words: list[Word] = []
        end = 0
        for char in chars:
            if char.text.isspace() or not char.text:
                end = self._pause(words) or end
                continue
            self._word.add(char)
            self._lost = self._lost or not self._step(char.text)
            if not self._lost and _divides(self._text, self._at):
                end = self._end_word(words)
        return Covered(self._cover(end), tuple(words))

    def rest(self) -> Covered:
        """The voice has spoken all that was sent."""
        words: list[Word] = []
        self._pause(words)
        self._word = _Spoken()
        return Covered(self._cover(len(self._text)), tuple(words))

    def _step(self, char: str) -> bool:
        """Whether the text goes on with that character. It is passed over then."""
        at = self._at
        if at == 0 or _divides(self._text, at):
            at = _behind_space(self._text, at)
        if not self._text.startswith(char, at):
            return False
        self._at = at + len(char)
        return True

    def _pause(self, words: list[Word]) -> int:
        """The voice has ended a word. Where the text goes on behind it, if that is news; else 0."""
        if not self._lost:
            return 0  # it was told when it ended, or the voice cuts in two what the text does not
        found = self._find_again()
        if found:
            self._at = found
            self._end_word(words)
        self._word, self._lost = _Spoken(), False
        return found

    def _end_word(self, words: list[Word]) -> int:
        words.append(Word(self._text[_word_begin(self._text, self._at) : self._at], *self._word.times))
        self._word = _Spoken()
        return self._at

    def _find_again(self) -> int:
        """The end of the next word that the text has in common with the voice. 0: there is none nearby."""
        wanted = _plain(self._word.text)
        at = self._at if _divides(self._text, self._at) else _word_begin(self._text, self._at)
        for _ in range(_SEARCHED_WORDS if wanted else 0):
            at = _behind_space(self._text, at)
            if not (found := self._text[at:].split(maxsplit=1)):
                break
            at += len(found[0])
            if _plain(found[0]) == wanted:
                return at
        return 0

    def _cover(self, end: int) -> str:
        covered, self._text = self._text[:end], self._text[end:]
        self._at = max(0, self._at - end)
        return covered


def _divides(text: str, at: int) -> bool:
    """Whether a word ends there."""
    if not at:
        return False
    return at == len(text) or text[at].isspace() or _is_wide(text[at - 1]) or _is_wide(text[at])


def _word_begin(text: str, at: int) -> int:
    """Of the word that reaches there."""
    begin = at
    while begin and not text[begin - 1].isspace() and (begin == at or not _divides(text, begin)):
        begin -= 1
    return begin


def _behind_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _plain(word: str) -> str:
    """A word without its case and marks."""
    return "".join(char for char in word.casefold() if char.isalnum())


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"
