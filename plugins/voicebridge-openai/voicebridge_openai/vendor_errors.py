"""What this wire's errors and endings mean: the vendor's codes as `Fault`s.

Codes are those of the vendor's documentation and of public reports about its behaviour; none was provoked live. What
is not listed is judged by the error's type, then by its message. The generic table of endings is
`voicebridge.core.closing`; only what this wire means otherwise stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voicebridge.contract.codec import Closed
from voicebridge.contract.fault import Category, Fault
from voicebridge.core.closing import fault_of as usual_fault_of

__all__ = [
    "ALREADY_ACTIVE",
    "CANCEL_NOT_ACTIVE",
    "COMMIT_EMPTY",
    "DELETE_UNKNOWN",
    "NoEvent",
    "code_of",
    "ends_the_session",
    "fault_of",
    "is_benign",
    "is_gone",
    "meaning_of",
]

ALREADY_ACTIVE = "conversation_already_has_active_response"
CANCEL_NOT_ACTIVE = "response_cancel_not_active"
COMMIT_EMPTY = "input_audio_buffer_commit_empty"
DELETE_UNKNOWN = "item_delete_invalid_item_id"

_BY_CODE: dict[str, Category] = {
    "beta_api_shape_disabled": "config",
    "billing_hard_limit_reached": "quota",
    "cannot_update_voice": "unsupported",
    "content_filter": "content",
    "inference_rate_limit_exceeded": "rate",
    "insufficient_quota": "quota",
    "invalid_api_key": "auth",
    "max_duration": "planned_end",
    "model_not_found": "config",
    "quota_exceeded": "quota",
    "rate_limit_exceeded": "rate",
    "server_error": "busy",
    "session_expired": "planned_end",
    "session_limit_reached": "rate",
    COMMIT_EMPTY: "config",
}
_BY_TYPE: dict[str, Category] = {
    "authentication_error": "auth",
    "invalid_request_error": "config",
    "permission_error": "auth",
    "rate_limit_error": "rate",
    "server_error": "busy",
}
_FATAL: frozenset[Category] = frozenset({"auth", "planned_end", "quota"})
_AGAIN: frozenset[Category] = frozenset({"busy", "network", "planned_end", "rate"})
_LONGEST = 300


class NoEvent(ValueError):
    """What came is no event of this wire."""


def code_of(error: Mapping[str, Any]) -> str:
    """The error's code. Some servers leave it empty and put it into the type."""
    for name in ("code", "type"):
        if isinstance(value := error.get(name), str) and value:
            return value
    return ""


def fault_of(error: object) -> Fault:
    """A vendor's error object as a fault."""
    error = error if isinstance(error, Mapping) else {}
    code = code_of(error)
    message = error.get("message")
    text = " ".join(message.split())[:_LONGEST] if isinstance(message, str) else ""
    category = _BY_CODE.get(code) or ("planned_end" if _speaks_of_the_end(text) else None)
    category = category or _BY_TYPE.get(str(error.get("type")), "protocol")
    return Fault(
        category=category,
        code=code,
        message=text or f"The server reported an error{f' ({code})' if code else ''} and gave no reason.",
        retryable=category in _AGAIN,
    )


def ends_the_session(fault: Fault) -> bool:
    """Whether an error that answers no command means that the session is over."""
    return fault.category in _FATAL or fault.code == "beta_api_shape_disabled"


def is_benign(error: Mapping[str, Any]) -> bool:
    """Whether an error to an interruption says no more than that there is nothing left to stop or to cut."""
    return code_of(error) == CANCEL_NOT_ACTIVE or "shorter than" in str(error.get("message")).lower()


def is_gone(error: Mapping[str, Any]) -> bool:
    """Whether an error to a deletion says no more than that there is no such item."""
    return code_of(error) == DELETE_UNKNOWN or "does not exist" in str(error.get("message")).lower()


def meaning_of(closed: Closed) -> Fault:
    """What the end of the connection means."""
    said = f"{closed.reason} {closed.body}".lower()
    if closed.by == "us" or closed.problem:
        return usual_fault_of(closed)
    if _speaks_of_the_end(said):
        message = "The session has reached the longest time that the server allows. Open a new one."
        return Fault(category="planned_end", code="session_expired", message=message, retryable=True)
    if "insufficient_quota" in said:
        message = "The account's quota is used up. Check its plan and billing."
        return Fault(category="quota", code="insufficient_quota", message=message)
    if closed.code == 4000:
        message = "The server refused the shape of what was sent as that of its retired beta. Check base_url."
        return Fault(category="config", code="beta_api_shape_disabled", message=message)
    return usual_fault_of(closed)


def _speaks_of_the_end(text: str) -> bool:
    text = text.lower()
    return "maximum duration" in text or "session_expired" in text or "max_duration" in text
