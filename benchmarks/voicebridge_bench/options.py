"""The words of the command line, turned into what they mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from voicebridge.contract.errors import ConfigError

__all__ = ["backend_options", "counts", "names", "silences"]


def names(text: str) -> tuple[str, ...]:
    """The parts between commas.

    Raises:
        ConfigError: there are none, or one is there twice.
    """
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found or len(set(found)) < len(found):
        raise ConfigError(f"Name one or more different things, with commas between them, not {text!r}.")
    return found


def silences(text: str) -> tuple[int | None, ...]:
    """End-of-turn silences in ms; `own` leaves it to the backend.

    Raises:
        ConfigError: one is no number of milliseconds from 0 to 10000.
    """
    return tuple(None if part == "own" else _milliseconds(part) for part in names(text))


def _milliseconds(text: str) -> int:
    if not text.isdecimal() or int(text) > 10_000:
        raise ConfigError(f"A silence is a whole number of milliseconds up to 10000, or `own`, not {text!r}.")
    return int(text)


def counts(text: str) -> tuple[int, ...]:
    """How many sessions, one number after the other.

    Raises:
        ConfigError: one is no number from 1 to 1000.
    """
    found = names(text)
    for part in found:
        if not part.isdecimal() or not 1 <= int(part) <= 1000:
            raise ConfigError(f"A number of sessions lies between 1 and 1000, and is not {part!r}.")
    return tuple(int(part) for part in found)


def backend_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Options from `name=value` pairs. A value that is JSON is read as such, any other is a string.

    Raises:
        ConfigError: one is no pair.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError(f"An option is given as name=value, not {pair!r}.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
