"""What a reasoning model writes between `<think>` and `</think>`, taken out of its answer. Pure."""

from __future__ import annotations

__all__ = ["ThoughtFilter"]

_OPEN, _CLOSE = "<think>", "</think>"


class ThoughtFilter:
    """Text in pieces in, the text that is meant to be spoken out. A tag may be cut anywhere."""

    def __init__(self) -> None:
        self._held = ""
        """The beginning of what may become a tag."""
        self._thinking = self._spoken = False

    def feed(self, text: str) -> str:
        """What of this, and of what was held back, is spoken."""
        rest, said = self._held + text, ""
        while rest:
            tag = _CLOSE if self._thinking else _OPEN
            before, found, after = rest.partition(tag)
            if not found:
                held = _beginning_of(tag, rest)
                before, self._held = (rest[: len(rest) - held], rest[len(rest) - held :]) if held else (rest, "")
            if not self._thinking:
                said += before
            if not found:
                return self._begun(said)
            self._thinking = not self._thinking
            rest = after
        self._held = ""
        return self._begun(said)

    def flush(self) -> str:
        """The end: what looked like the beginning of a tag was none."""
        held, self._held = self._held, ""
        return "" if self._thinking else self._begun(held)

    def _begun(self, said: str) -> str:
        """Without the blank lines that stand before the answer, where thoughts were taken out."""
        if not self._spoken:
            said = said.lstrip()
            self._spoken = bool(said)
        return said


def _beginning_of(tag: str, text: str) -> int:
    """How many characters at the end of a text may begin a tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-size:])), 0)
