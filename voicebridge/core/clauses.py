"""Cutting a stream of text into clauses that a voice can speak one by one.

The first clause may be short, so that speech starts at once; later ones are longer, because every cut costs melody.
Numbers (`1,000`, `3.14`, `10:30`, `555 123 4567`), addresses (`example.com`) and the abbreviations of a list, most of
them English, are never cut. A line feed ends a sentence: what models write as a list or a heading has no other mark.

In scripts that put no space between words, such as Chinese, a mark divides by itself; in those that put one between
phrases, such as Thai, that space does. What has neither for very long is cut between two letters.

How the text was cut into pieces on its way makes no difference, with one exception: a mark after a plain word that is
the last thing to have come is taken as an end at once. Speech starts a piece earlier for it, and the one who pays is
text without a space or with a bracket or quotation mark after that mark, when a piece ends just there.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

__all__ = ["ClauseSplitter", "is_unspaced"]

_SENTENCE_ENDS = ".!?。！？؟۔।॥។။።"
_WIDE = "…。！？；：，、"  # scripts that put no space after them
_OTHER = "؟۔،؛।॥។៖။၊።፣"  # Arabic, Urdu, Indic, Khmer, Burmese, Amharic
_ENDS = ".!?;:," + _WIDE + _OTHER
_AT_ONCE = "!?;," + _WIDE + _OTHER  # a full stop may be one of an address, a colon one of a time
_CLOSERS = "\"'”’)]»」』）】》"
_WITHIN_WORDS = "'’-“\"'‘(["  # beside letters, what plain words are written with
_PHRASE_CHARS = 12
"""In a script with spaces between phrases, a clause of fewer characters goes on."""
_UNSPACED_CHARS = 60
"""Letters without a space or a mark between them, after which a clause is cut all the same."""
_CLINGING_WORDS = 8
"""So many words beyond its limit a clause may have for the sake of a number."""
_LONGEST_ABBREVIATION = 6
_ABBREVIATIONS = frozenset(
    (
        *(
            "mr",
            "mrs",
            "ms",
            "dr",
            "prof",
            "sr",
            "jr",
            "st",
            "mt",
            "gen",
            "gov",
            "sen",
            "rep",
            "capt",
            "lt",
            "col",
            "sgt",
        ),
        *("rev", "hon", "ave", "blvd", "rd", "apt", "vs", "etc", "approx", "dept", "inc", "ltd", "corp", "fig", "ext"),
        *(
            "jan",
            "feb",
            "apr",
            "jun",
            "jul",
            "aug",
            "sep",
            "sept",
            "oct",
            "nov",
            "dec",
            "mon",
            "tue",
            "tues",
            "thu",
            "thur",
        ),
        *("thurs", "fri", "lb", "lbs", "oz", "ft", "hr", "hrs", "min", "mins", "sec", "secs", "vol", "pp", "cf", "al"),
        *("bzw", "usw", "ca", "nr", "str", "evtl", "ggf", "inkl", "tel", "zzgl", "sra", "srta", "mme", "mlle", "env"),
    ),
)
"""Beside those of single letters, as in "e.g." and "J. K.", and of two, as in "Ph.D."."""
_NUMBER_WORDS = frozenset({"no", "nos"})
"""Of a number, unless it is the first word, which is an answer."""


@dataclass(slots=True)
class _End:
    """An end mark and what closes with it, to the end of what has come: a clause may end after them."""

    sentence: bool
    wide: bool
    after_digit: bool
    at_once: bool
    """It need not wait for what follows."""


class ClauseSplitter:
    """Takes text as it comes; gives clauses, each with the white space before it. Joined, they are the text.

    Args:
        first_words: the first clause is cut at the next space once it has this many words and no end was found.
        later_words: later clauses end at an end mark only from this many words on, but always at the end of a sentence.
        longest_words: a later clause is cut at a space after this many words, but never within a number.
    """

    def __init__(self, *, first_words: int = 7, later_words: int = 4, longest_words: int = 30) -> None:
        if min(first_words, longest_words) < 1:
            raise ValueError("a clause has at least one word")
        self._first = True
        self._first_words = first_words
        self._later_words = later_words
        self._longest_words = longest_words
        self._held: list[str] = []
        """The characters since the last cut. What follows is known of them, so that none is looked at twice."""
        self._begin()

    def feed(self, text: str) -> list[str]:
        """The clauses that are complete now."""
        clauses = []
        for char in text:
            if (cut := self._cut_before(char)) is not None:
                clauses.append(self._take(cut))
            self._add(char)
        if self._end and self._end.at_once and self._long_enough(self._end):
            clauses.append(self._take(len(self._held)))
        return clauses

    def flush(self) -> str:
        """What is left, at the end of the text. May be empty."""
        return self._take(len(self._held))

    def _begin(self) -> None:
        self._words = 0
        self._word_start = self._word_end = 0
        self._plain = True
        self._speakable = False
        self._end: _End | None = None

    def _take(self, cut: int) -> str:
        """The clause before the cut. After a cut there is only white space, or nothing."""
        clause = "".join(self._held[:cut])
        del self._held[:cut]
        self._first = False
        self._begin()
        return clause

    def _cut_before(self, char: str) -> int | None:
        """Where the clause ends, if that is known now that `char` comes."""
        if (end := self._end) and char not in _CLOSERS and char not in _ENDS:
            divides = char.isspace() or (end.wide and not (end.after_digit and char.isdigit()))
            if divides and self._long_enough(end):
                return len(self._held)
            self._end = None
        if self._speakable and (char == "\n" or (char.isspace() and self._after_phrase())):
            return self._word_end
        if self._words and len(self._held) - self._word_start >= _UNSPACED_CHARS and self._between_letters(char):
            return len(self._held)
        limit = self._first_words if self._first else self._longest_words
        if self._words < limit or not self._begins_word(char):
            return None
        return None if self._clings() and self._words < limit + _CLINGING_WORDS else self._word_end

    def _add(self, char: str) -> None:
        before = self._held[-1] if self._held else ""
        if self._begins_word(char):
            self._words += 1
            self._word_start, self._plain = len(self._held), True
        if char in _ENDS:
            if self._end:
                self._end.sentence = self._end.sentence or char in _SENTENCE_ENDS
                self._end.wide = self._end.wide or char in _WIDE
            elif char != "." or not self._abbreviation():
                at_once = char in _AT_ONCE and before.isalpha() and (self._plain or _is_wide(before))
                self._end = _End(char in _SENTENCE_ENDS, char in _WIDE, before.isdigit(), at_once)
        self._held.append(char)
        if not char.isspace():
            self._word_end = len(self._held)
            self._plain = self._plain and (char.isalpha() or char in _WITHIN_WORDS)
            self._speakable = self._speakable or char.isalnum()

    def _begins_word(self, char: str) -> bool:
        return not char.isspace() and (not self._held or self._held[-1].isspace())

    def _after_phrase(self) -> bool:
        """Whether a space that comes ends a phrase, as the script of the letter before it has it."""
        return bool(self._held) and _is_phrasal(self._held[-1]) and len(self._held) >= _PHRASE_CHARS

    def _between_letters(self, char: str) -> bool:
        """Whether both neighbours are letters of a script without spaces, and the next one begins a letter."""
        return is_unspaced(char) and is_unspaced(self._held[-1]) and not unicodedata.category(char).startswith("M")

    def _clings(self) -> bool:
        """Whether the last word is better not parted from what follows: a number goes on, a title has its name."""
        word = self._held[self._word_start : self._word_end]
        if word[-1] == ".":
            return self._abbreviation(self._word_end - 1)
        return word[-1].isdigit() and not any(char.isalpha() for char in word)

    def _abbreviation(self, end: int | None = None) -> bool:
        """Whether the full stop that comes (or stands at `end`) belongs to the word before it."""
        if len(self._held[self._word_start : end]) > _LONGEST_ABBREVIATION + 1:
            return False
        word = "".join(self._held[self._word_start : end]).lower().lstrip("(\"'“‘")
        parts = word.split(".")
        letters = all(part.isalpha() and len(part) <= (1 if len(parts) == 1 else 2) for part in parts)
        number = self._words > 1 and word in _NUMBER_WORDS and self._held[self._word_start] == "N"
        return word in _ABBREVIATIONS or number or (letters and word != "i")

    def _long_enough(self, end: _End) -> bool:
        return self._speakable and (self._first or end.sentence or self._words >= self._later_words)


def _is_wide(char: str) -> bool:
    return unicodedata.east_asian_width(char) in "WF"


def _is_phrasal(char: str) -> bool:
    """Thai, Lao, Burmese, Khmer."""
    return "\u0e00" <= char <= "\u0eff" or "\u1000" <= char <= "\u109f" or "\u1780" <= char <= "\u17ff"


def is_unspaced(char: str) -> bool:
    """Whether it is a letter of a script that puts no space between words."""
    return _is_phrasal(char) or (_is_wide(char) and char.isalpha())
