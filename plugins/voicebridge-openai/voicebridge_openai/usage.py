"""What the vendor says was used, in units that add up: nothing is counted twice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["response_units", "transcription_units"]

_KINDS = ("text", "audio", "image")


def response_units(usage: object) -> dict[str, float]:
    """Tokens of a response.

    `input_*_tokens` are those that were not in the cache, `cached_*_tokens` those that were. What the vendor does not
    split is `other_in` and `other_out`. The sum is the vendor's total. Where the vendor tells of
    the cache only a total, that is split as the input is.
    """
    if not isinstance(usage, Mapping):
        return {}
    into, out = _object(usage, "input_token_details"), _object(usage, "output_token_details")
    cached = _object(into, "cached_tokens_details")
    split = sum(_number(into, f"{kind}_tokens") for kind in _KINDS)
    share = 0.0 if cached or not split else min(1.0, _number(into, "cached_tokens") / split)
    units: dict[str, float] = {}
    for kind in _KINDS:
        whole = _number(into, f"{kind}_tokens")
        reused = min(_number(cached, f"{kind}_tokens"), whole) if cached else whole * share
        units[f"input_{kind}_tokens"] = whole - reused
        units[f"cached_{kind}_tokens"] = reused
        units[f"output_{kind}_tokens"] = _number(out, f"{kind}_tokens")
    units["other_in"] = max(0.0, _number(usage, "input_tokens") - sum(_number(into, f"{k}_tokens") for k in _KINDS))
    units["other_out"] = max(0.0, _number(usage, "output_tokens") - sum(_number(out, f"{k}_tokens") for k in _KINDS))
    if not any(units.values()) and (seconds := _number(usage, "seconds") or _number(usage, "duration_seconds")):
        units["audio_s"] = seconds
    return {unit: amount for unit, amount in units.items() if amount}


def transcription_units(usage: object) -> dict[str, float]:
    """Seconds or tokens of a transcription, as its model is billed."""
    if not isinstance(usage, Mapping):
        return {}
    if usage.get("type") == "duration":
        seconds = _number(usage, "seconds")
        return {"audio_s": seconds} if seconds else {}
    return response_units(usage)


def _object(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = of.get(name)
    return value if isinstance(value, Mapping) else {}


def _number(of: Mapping[str, Any], name: str) -> float:
    value = of.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0.0
    return float(max(0, value))
