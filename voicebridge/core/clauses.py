"""Cutting a stream of text into clauses that a voice can speak one by one.

The first clause may be short, so that speech starts at once; later ones are longer, because every cut costs melody.
Numbers (`1,000`, `3.14`, `10:30`), addresses (`example.com`) and common abbreviations are never cut.
"""

from __future__ import annotations

__all__ = ["ClauseSplitter"]

_ENDS = ".!?;:,…。！？；：，、"
_WIDE = "…。！？；：，、"  # scripts that put no space after them
_CLOSERS = "\"'”’)]»"
_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "sr",
        "jr",
        "st",
        "vs",
        "etc",
        "e.g",
        "i.e",
        "approx",
        "dept",
        "inc",
        "ltd",
        "u.s",
    ]
)


class ClauseSplitter:
    """Takes text as it comes; gives clauses, each with the white space before it. Joined, they are the text.

    Args:
        first_words: the first clause is cut at the next space once it has this many words and no end was found.
        later_words: later clauses end at an end mark only from this many words on, but always at the end of a sentence.
        longest_words: a later clause is cut at a space after this many words.
    """

    def __init__(self, *, first_words: int = 7, later_words: int = 4, longest_words: int = 30) -> None:
        self._held = ""
        self._first = True
        self._first_words = first_words
        self._later_words = later_words
        self._longest_words = longest_words

    def feed(self, text: str) -> list[str]:
        """The clauses that are complete now."""
        self._held += text
        clauses = []
        while (cut := self._cut()) is not None:
            clauses.append(self._held[:cut])
            self._held = self._held[cut:]
            self._first = False
        return clauses

    def flush(self) -> str:
        """What is left, at the end of the text. May be empty."""
        rest, self._held = self._held, ""
        self._first = False
        return rest

    def _cut(self) -> int | None:
        """Where the first clause of what is held ends, or None while that can't be told."""
        held = self._held
        for at, char in enumerate(held):
            if char in _ENDS and (end := self._end_after(at)) is not None and self._long_enough(held[:end], char):
                return end
        limit = self._first_words if self._first else self._longest_words
        words = held.split()
        if len(words) > limit:
            return _offset_after(held, limit)
        return None

    def _end_after(self, at: int) -> int | None:
        """The offset after the end mark at `at` and what closes with it, if a clause can end there."""
        held, char = self._held, self._held[at]
        end = at + 1
        while end < len(held) and held[end] in _CLOSERS + _ENDS:
            end += 1
        if char in _WIDE:
            return end
        if end < len(held):
            return end if held[end].isspace() and not self._abbreviation(at) else None
        # At the very end of what has come: a comma after a letter can't be part of a number, so it need not wait for
        # the next piece. A full stop may be one of an address, a decimal or an abbreviation.
        return end if char in ",;!?" and at > 0 and held[at - 1].isalpha() else None

    def _abbreviation(self, at: int) -> bool:
        if self._held[at] != ".":
            return False
        words = self._held[:at].split()
        last = words[-1].lower().lstrip("(\"'") if words else ""
        return last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha() and last != "i")

    def _long_enough(self, clause: str, mark: str) -> bool:
        if not any(char.isalnum() for char in clause):
            return False
        return self._first or mark in ".!?。！？" or len(clause.split()) >= self._later_words


def _offset_after(text: str, words: int) -> int:
    """The offset just after the first `words` words of `text`."""
    offset = 0
    for _ in range(words):
        while text[offset].isspace():
            offset += 1
        while offset < len(text) and not text[offset].isspace():
            offset += 1
    return offset
