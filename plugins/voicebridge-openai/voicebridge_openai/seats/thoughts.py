"""What a reasoning model writes between `<think>` and `</think>`, taken out of its answer. Pure."""

from __future__ import annotations

from typing import Literal

__all__ = ["ThoughtFilter", "Thoughts"]

Thoughts = Literal["tagged", "opened"]
"""How a model's thoughts begin: with their tag, or with the answer, where the template has written the tag already."""
_OPEN, _CLOSE = "<think>", "</think>"


class ThoughtFilter:
    """Text in pieces in, the text that is meant to be spoken out. A tag may be cut anywhere.

    Where thoughts begin without a tag and nobody said so, what comes before their end in the same piece is taken out;
    earlier pieces have been passed on by then.
    """

    def __init__(self, thoughts: Thoughts = "tagged") -> None:
        self._held = ""
        """The beginning of what may become a tag."""
        self.thinking = thoughts == "opened"
        """Whether what comes next is thought."""
        self._tagged = self.thinking
        """Whether thoughts have been marked as such: then an end without a beginning is a word like any other."""
        self._spoken = False

    def feed(self, text: str) -> str:
        """What of this, and of what was held back, is spoken."""
        rest, said = self._held + text, ""
        self._held = ""
        while rest:
            tags = (_CLOSE,) if self.thinking else (_OPEN,) if self._tagged else (_OPEN, _CLOSE)
            before, tag, rest = _cut(rest, tags)
            if not self.thinking:
                said += before
            if not tag:
                self._held = rest
                break
            if tag == _CLOSE and not self.thinking:
                said, self._spoken = "", False
            self.thinking, self._tagged = tag == _OPEN, True
        return self._begun(said)

    def flush(self) -> str:
        """The end: what looked like the beginning of a tag was none."""
        held, self._held = self._held, ""
        return "" if self.thinking else self._begun(held)

    def _begun(self, said: str) -> str:
        """Without the blank lines that stand before the answer, where thoughts were taken out."""
        if not self._spoken:
            said = said.lstrip()
            self._spoken = bool(said)
        return said


def _cut(text: str, tags: tuple[str, ...]) -> tuple[str, str, str]:
    """What stands before the first of these tags, that tag, and what comes behind it. Without one: the text, an empty
    tag, and what may begin one."""
    found = [(at, tag) for tag in tags if (at := text.find(tag)) >= 0]
    if found:
        at, tag = min(found)
        return text[:at], tag, text[at + len(tag) :]
    held = max(_beginning_of(tag, text) for tag in tags)
    return text[: len(text) - held], "", text[len(text) - held :]


def _beginning_of(tag: str, text: str) -> int:
    """How many characters at the end of a text may begin a tag."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-size:])), 0)
