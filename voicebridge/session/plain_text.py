"""Text of others, printed on a terminal: without what would command the terminal instead of being read."""

from __future__ import annotations

import re

__all__ = ["escaped", "plain"]

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for tab and line feed, turns of the writing direction, halves of surrogate pairs."""


def plain(text: str) -> str:
    """The text with a "?" for each character that commands a terminal."""
    return _COMMANDS.sub("?", text)


def escaped(json: str) -> str:
    """A text of JSON that means the same, with those characters written as escapes."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", json)
