"""What the service means by its refusals.

Statuses are those of learn.microsoft.com/azure/ai-services/speech-service, `rest-speech-to-text-short` and
`rest-text-to-speech`. Bodies are `{"error": {"code", "message"}}` from the gateway before it, and plain text or nothing
from the service itself, as users report.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from voicebridge.contract.fault import Category, Fault

__all__ = ["explain"]

_TABLE: Mapping[int, tuple[Category, str]] = {
    400: ("config", "Azure Speech does not take this language, voice or setting"),
    401: ("auth", "Azure Speech refused the key. Check it, and that its resource is in this region"),
    403: ("auth", "Azure Speech does not let this key in. Check it, and that its resource is in this region"),
    413: ("config", "The text is too long for one request to Azure Speech"),
    415: ("config", "Azure Speech does not take this kind of audio or text"),
    429: ("rate", "Too many requests for this Azure Speech resource right now"),
    499: ("network", "Azure Speech gave up"),
    502: ("network", "Azure Speech failed"),
}
_AGAIN: frozenset[Category] = frozenset({"network", "rate"})
_USED_UP = ("quota", "volume")
_SHOWN = 200


def explain(status: int, body: str) -> Fault | None:
    """What a refusal means. None: the common table knows."""
    if status not in _TABLE:
        return None
    category, message = _TABLE[status]
    details = " ".join(_details(body).split())[:_SHOWN].rstrip(".")
    if status == 403 and any(word in details.lower() for word in _USED_UP):
        category, message = "quota", "The allowance of this Azure Speech resource is used up"
    return Fault(
        category=category,
        code=f"http_{status}",
        message=f"{message}: {details}." if details else f"{message}.",
        retryable=category in _AGAIN,
    )


def _details(body: str) -> str:
    try:
        error = orjson.loads(body)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "" if body.lstrip().startswith(("<", "{")) else body
    return str(error.get("message") or "") if isinstance(error, Mapping) else str(error)
