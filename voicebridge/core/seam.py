"""Where one model goes on with what another one had begun: what it says again is left out."""

from __future__ import annotations

from .clauses import is_unspaced

__all__ = ["Seam"]

_SHORTEST = 3
"""Words that are said again by chance, such as "very, very", are fewer."""


class Seam:
    """Takes the continuation of a text as it comes; gives it without what repeats the end, or the whole, of that text.

    As long as what has come may be a repetition, it is held back. Words are compared without case and marks;
    in scripts without spaces each letter is compared like a word.

    Args:
        said: the text so far.
    """

    def __init__(self, said: str) -> None:
        self._joined = not said or said[-1].isspace()
        words = [_bare(word) for word, _ in _words(said)]
        starts = range(max(1, len(words) - _SHORTEST + 1))
        self._repetitions: list[list[str]] = [words[start:] for start in starts if words[start:]]
        self._held = ""
        self._passed = not self._repetitions

    def feed(self, text: str) -> str:
        """What of it is new, as far as that is known."""
        if self._passed:
            return self._join(text)
        self._held += text
        if self._may_repeat():
            return ""
        return self.flush()

    def flush(self) -> str:
        """The continuation has ended, or is known to be new: what was held back of it."""
        held, self._held = self._held, ""
        if self._passed:
            return self._join(held)
        self._passed = True
        return self._join(self._without_repetition(held))

    def _may_repeat(self) -> bool:
        """Whether what has come is, so far, the beginning of a repetition."""
        *whole, last = [_bare(word) for word, _ in _words(self._held)] or [""]
        if last and self._held[-1:].isspace():
            whole, last = [*whole, last], ""
        for repeated in self._repetitions:
            if len(whole) < len(repeated) and repeated[: len(whole)] == whole and repeated[len(whole)].startswith(last):
                return True
        return False

    def _without_repetition(self, text: str) -> str:
        found = _words(text)
        words = [_bare(word) for word, _ in found]
        for repeated in self._repetitions:  # the longest one first
            if words[: len(repeated)] == repeated:
                return text[found[len(repeated) - 1][1] :]
        return text

    def _join(self, text: str) -> str:
        """Words that meet are kept apart."""
        if self._joined or not text:
            return text
        self._joined = True
        return f" {text}" if text[0].isalnum() and not is_unspaced(text[0]) else text


def _bare(word: str) -> str:
    return "".join(char for char in word.casefold() if char.isalnum())


def _words(text: str) -> list[tuple[str, int]]:
    """Words and where each ends. A mark belongs to the word before it, at the beginning to the one behind it."""
    found: list[tuple[str, int]] = []
    word = ""
    for at, char in enumerate(text):
        letter = any(one.isalnum() for one in word)
        parted = letter and char.isalnum() and (is_unspaced(char) or any(is_unspaced(one) for one in word))
        if word and (char.isspace() or parted):
            found.append((word, at))
            word = ""
        if not char.isspace():
            word += char
    return [*found, (word, len(text))] if word else found
