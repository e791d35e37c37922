"""Where one model goes on with what another one had begun: what it says again is left out."""

from __future__ import annotations

__all__ = ["Seam"]

_SHORTEST = 3
"""Words that are said again by chance, such as "very, very", are fewer."""


class Seam:
    """Takes the continuation of a text as it comes; gives it without what repeats the end, or the whole, of that text.

    As long as what has come may be a repetition, it is held back. Words are compared without case and marks.

    Args:
        said: the text so far.
    """

    def __init__(self, said: str) -> None:
        self._joined = not said or said[-1].isspace()
        words = [_bare(word) for word in said.split()]
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
        *whole, last = [_bare(word) for word in self._held.split()] or [""]
        if self._held[-1:].isspace():
            whole, last = [*whole, last], ""
        for repeated in self._repetitions:
            if len(whole) < len(repeated) and repeated[: len(whole)] == whole and repeated[len(whole)].startswith(last):
                return True
        return False

    def _without_repetition(self, text: str) -> str:
        words = [_bare(word) for word in text.split()]
        for repeated in self._repetitions:  # the longest one first
            if words[: len(repeated)] == repeated:
                rest = text.lstrip()
                for _ in repeated:
                    rest = rest.lstrip()
                    rest = rest[len(rest.split(maxsplit=1)[0]) :]
                return rest
        return text

    def _join(self, text: str) -> str:
        """Words that meet are kept apart."""
        if self._joined or not text:
            return text
        self._joined = True
        return f" {text}" if text[0].isalnum() else text


def _bare(word: str) -> str:
    return "".join(char for char in word.casefold() if char.isalnum())
