"""Why nobody got a key, in words. It names fingerprints, never keys."""

from __future__ import annotations

import math
from collections.abc import Mapping

from voicebridge.contract.errors import NoFreeKey
from voicebridge.contract.fault import Category, Fault

from .lease_store import Refusal

__all__ = ["closed_pool", "hopeless", "no_free_key"]

_WORDS = {
    "auth": "refused by the vendor",
    "quota": "allowance used up",
    "rate": "told to wait",
    "limit": "nothing left of a limit",
    "pace": "opened as often as it may be",
    "full": "all sessions in use",
}


def hopeless(refusal: Refusal, left_s: float) -> bool:
    """Whether waiting so many seconds is no use: every key is ejected, or will be cooling for longer."""
    if "full" in refusal.causes.values():
        return left_s <= 0
    if _category(refusal.causes) != "rate":
        return True
    return refusal.retry_after_s is None or refusal.retry_after_s > left_s


def no_free_key(pool: str, refusal: Refusal, *, patience_s: float) -> NoFreeKey:
    """The error for one who was refused.

    Args:
        patience_s: how long it would wait.
    """
    keys_by_cause: dict[str, list[str]] = {}
    for key_id, cause in refusal.causes.items():
        keys_by_cause.setdefault(_WORDS.get(cause, cause), []).append(key_id)
    keys = "; ".join(f"{words}: {', '.join(key_ids)}" for words, key_ids in keys_by_cause.items())
    category = _category(refusal.causes)
    problem = f"No key of pool {pool!r} can be used"
    if category == "rate":
        within = f"within {patience_s:g} s" if 0 < patience_s < math.inf else "now"
        problem = f"No key of pool {pool!r} is free {within}"
    advice = {
        "auth": "Check these keys and what they may do",
        "quota": "Top up their accounts, or add keys of others",
    }.get(category, "Wait longer, add keys, or allow more sessions for each if the vendor does")
    fault = Fault(
        category=category,
        code="no_free_key",
        message=f"{problem} ({keys}). {advice}.",
        retryable=category == "rate",
        retry_after_s=refusal.retry_after_s,
    )
    return NoFreeKey(fault)


def closed_pool(pool: str) -> NoFreeKey:
    """The error for one who asks, or still waits, when the pool is closed."""
    message = f"Key pool {pool!r} is closed: make a new one."
    return NoFreeKey(Fault(category="closed", code="closed", message=message))


def _category(causes: Mapping[str, str]) -> Category:
    told = set(causes.values())
    if told == {"auth"}:
        return "auth"
    return "quota" if told and told <= {"auth", "quota"} else "rate"
