"""Slots: what a call is about, such as a telephone number, and whether a transcript holds it exactly.

A slot is right when all of it stands in the transcript, in order and with nothing of the same sort before or after it:
one wrong digit is as bad as none right. How it is written does not matter, as `entity_words` says.
"""

from __future__ import annotations

from typing import Literal, get_args

from .entity_text import entity_words

__all__ = ["KINDS", "Kind", "canonical", "holds"]

Kind = Literal["phone", "code", "email", "amount", "date", "spelling"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_SIGNS = {"at": "@", "dot": ".", "dash": "-", "underscore": "_", "plus": "+"}
_ARTICLES = ("a", "i")


def canonical(kind: Kind, value: str) -> str:
    """A slot's value without the ways to write it: `4155550132`, `jo.li@example.com`, `12dollars50cents`."""
    return "".join(_compact(kind, entity_words(value).split()))


def holds(transcript: str, kind: Kind, value: str) -> bool:
    """Whether a transcript has the slot, exactly."""
    words = _compact(kind, entity_words(transcript).split())
    wanted = canonical(kind, value)
    return any(
        _begins(words, start, wanted, kind)
        for start in range(len(words))
        if wanted.startswith(words[start]) and not _goes_on(words, start - 1, kind)
    )


def _compact(kind: Kind, words: list[str]) -> list[str]:
    return [_SIGNS.get(word, word) for word in words] if kind == "email" else words


def _begins(words: list[str], start: int, wanted: str, kind: Kind) -> bool:
    """Whether the words from there on are what is wanted, and it ends where they end."""
    joined = ""
    for place in range(start, len(words)):
        joined += words[place]
        if joined == wanted:
            return not _goes_on(words, place + 1, kind)
        if not wanted.startswith(joined):
            return False
    return False


def _goes_on(words: list[str], at: int, kind: Kind) -> bool:
    """Whether the word there would belong to the slot, so that this is only a part of it."""
    if not 0 <= at < len(words):
        return False
    word = words[at]
    if kind in ("phone", "amount", "date"):
        return word.isdecimal()
    if kind in ("code", "spelling"):
        return len(word) == 1 and word not in _ARTICLES
    return word in _SIGNS.values()
