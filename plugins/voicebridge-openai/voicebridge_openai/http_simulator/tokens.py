"""Text cut into what a model writes at a time. Pure.

The true tokenizer is not here: a token is a word with the space before it, long words are cut. Four characters a token
is what English has on the average, and what is counted of a prompt.
"""

from __future__ import annotations

import math
import re

__all__ = ["cut", "prompt_tokens", "stopped_at"]

_TOKENS = re.compile(r"\s*[^\W_]{1,8}|\s*[^\s]|\s+")
_CHARACTERS = 4


def cut(text: str) -> list[str]:
    """The tokens of a text: joined they are the text."""
    return _TOKENS.findall(text)


def prompt_tokens(characters: int) -> int:
    """About as many tokens as so many characters have."""
    return math.ceil(characters / _CHARACTERS)


def stopped_at(text: str, stops: tuple[str, ...]) -> str:
    """The text before the first of the words that end it."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
