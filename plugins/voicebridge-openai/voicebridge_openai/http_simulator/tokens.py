"""Tokens of a prompt, and words that end an answer. Pure.

The true tokenizer is not here: what is written is counted as it is cut (`text_tokens` of the engine), and a prompt by
its characters, four of them a token, as English has on the average.
"""

from __future__ import annotations

import math

__all__ = ["prompt_tokens", "stopped_at"]

_CHARACTERS = 4


def prompt_tokens(characters: int) -> int:
    """About as many tokens as so many characters have."""
    return math.ceil(characters / _CHARACTERS)


def stopped_at(text: str, stops: tuple[str, ...]) -> str:
    """The text before the first of the words that end it."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
