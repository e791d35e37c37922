"""The pieces of words that a recogniser writes with, and their joining to text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["END", "START", "Vocabulary", "repeats_itself"]

START, END = 1, 2
_FIRST_PIECE = 3
"""Tokens before it (unknown, start, end) have no text."""
_REPEATED_WORDS = 4
"""People seldom say so many words twice in a row; recognisers that lose their place do."""
_SPACE = "▁".encode()


class Vocabulary:
    """Tokens by number, from a file of length-prefixed byte strings.

    A length below 128 is one byte; from 128 on it is two, low part first: `(first - 128) + 128 * second`. A length of
    zero is a token without text.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self._pieces: list[bytes] = []
        at = 0
        while at < len(data):
            length = data[at]
            at += 1
            if length >= 128:
                length += 128 * data[at] - 128
                at += 1
            self._pieces.append(data[at : at + length])
            at += length

    def __len__(self) -> int:
        return len(self._pieces)

    def text(self, tokens: Iterable[int]) -> str:
        """What the tokens say, without tokens that only give orders, such as `<<ST_1>>`."""
        pieces = (self._pieces[token] for token in tokens if _FIRST_PIECE <= token < len(self._pieces))
        joined = b"".join(piece for piece in pieces if not piece.startswith(b"<<"))
        return joined.replace(_SPACE, b" ").decode("utf-8", "replace").strip()


def repeats_itself(text: str) -> bool:
    """Whether four or more words come twice, one right after the other."""
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())
    return any(
        words[at : at + size] == words[at + size : at + 2 * size]
        for size in range(_REPEATED_WORDS, len(words) // 2 + 1)
        for at in range(len(words) - 2 * size + 1)
    )
