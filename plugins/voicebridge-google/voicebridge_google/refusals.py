"""What Google means by its refusals: `{"error": {"code", "status", "message"}}`, as all of its APIs have it.

The names are those of google.rpc.Code; what follows from them is ours.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from voicebridge.contract.fault import Category, Fault

__all__ = ["explain"]

_TABLE: Mapping[str, tuple[Category, str]] = {
    "UNAUTHENTICATED": ("auth", "Google refused the access token. Get a new one"),
    "PERMISSION_DENIED": ("auth", "Google does not let this account use that. Check its roles, and the API is enabled"),
    "INVALID_ARGUMENT": ("config", "Google does not take these settings"),
    "FAILED_PRECONDITION": ("config", "Google can't do that with this project"),
    "OUT_OF_RANGE": ("config", "Google does not take so much"),
    "NOT_FOUND": ("config", "Google has no such project, location or model"),
    "RESOURCE_EXHAUSTED": ("rate", "Too many requests for this Google project right now"),
    "UNAVAILABLE": ("busy", "Google is overloaded"),
    "DEADLINE_EXCEEDED": ("network", "Google took too long"),
    "INTERNAL": ("network", "Google failed"),
    "ABORTED": ("network", "Google gave up"),
    "UNIMPLEMENTED": ("unsupported", "Google can't do that"),
}
_AGAIN: frozenset[Category] = frozenset({"network", "rate", "busy"})
_SHOWN = 200


def explain(status: int, body: str) -> Fault | None:
    """What a refusal means. None: the body does not say, and the common table knows."""
    try:
        error = orjson.loads(body)["error"]
        name, details = str(error["status"]), str(error.get("message") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return None
    if name not in _TABLE:
        return None
    category, message = _TABLE[name]
    shown = " ".join(details.split())[:_SHOWN].rstrip(".")
    return Fault(
        category=category,
        code=name.lower(),
        message=f"{message}: {shown}." if shown else f"{message}.",
        retryable=category in _AGAIN,
    )
