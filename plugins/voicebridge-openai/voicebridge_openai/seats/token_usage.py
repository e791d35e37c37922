"""What a language model used: the server's own figures, else an estimate. Pure.

The units are those of `voicebridge_openai.usage`: nothing is counted twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from voicebridge.contract.stages import Usage

__all__ = ["estimated", "model_usage", "speech_usage"]

_CHARACTERS_A_TOKEN = 4


def model_usage(usage: object) -> Usage | None:
    """Of chat completions (`prompt_tokens`) or of responses (`input_tokens`). None: nothing is said."""
    if not isinstance(usage, Mapping):
        return None
    read = _number(usage, "prompt_tokens") or _number(usage, "input_tokens")
    written = _number(usage, "completion_tokens") or _number(usage, "output_tokens")
    details = _object(usage, "prompt_tokens_details") or _object(usage, "input_tokens_details")
    cached = min(_number(details, "cached_tokens"), read)
    units = {"input_text_tokens": read - cached, "cached_text_tokens": cached, "output_text_tokens": written}
    units = {unit: amount for unit, amount in units.items() if amount}
    return Usage(units) if units else None


def speech_usage(usage: object) -> Usage | None:
    """Of a voice that is billed by tokens."""
    if not isinstance(usage, Mapping):
        return None
    units = {
        "input_text_tokens": _number(usage, "input_tokens"),
        "output_audio_tokens": _number(usage, "output_tokens"),
    }
    units = {unit: amount for unit, amount in units.items() if amount}
    return Usage(units) if units else None


def estimated(read: int, written: int) -> Usage:
    """From counts of characters, for a server that tells nothing."""
    tokens = {
        "input_text_tokens": float(math.ceil(read / _CHARACTERS_A_TOKEN)),
        "output_text_tokens": float(math.ceil(written / _CHARACTERS_A_TOKEN)),
    }
    return Usage(tokens, basis="estimated")


def _object(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = of.get(name)
    return value if isinstance(value, Mapping) else {}


def _number(of: Mapping[str, Any], name: str) -> float:
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return float(max(0, value))
