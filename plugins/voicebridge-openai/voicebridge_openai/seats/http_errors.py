"""What a server says went wrong, by a status or in the middle of an answer, as a `Fault`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Category, Fault
from voicebridge_openai.vendor_errors import code_of
from voicebridge_openai.vendor_errors import fault_of as realtime_fault_of

from .servers import Server

__all__ = [
    "call_cut_off",
    "cut_off",
    "error_in",
    "explained",
    "filtered",
    "not_running",
    "only_thoughts",
    "page_in",
    "told",
]

_BY_CODE: dict[str, Category] = {
    "content_filter": "content",
    "content_policy_violation": "content",
    "context_length_exceeded": "config",
    "exceed_context_size_error": "config",
    "invalid_prompt": "content",
    "model_not_found": "config",
    "not_found_error": "config",
    "overloaded_error": "busy",
    "unavailable_error": "busy",
    "unsupported_country_region_territory": "auth",
    "unsupported_value": "config",
}
_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)
_STATUS_SPEAKS_FOR_ITSELF = frozenset({401, 408, 502, 503, 504})


def explained(server: Server, model: str, status: int, text: str) -> Fault | None:
    """What a refusal means, where the server says more than its status does."""
    error = error_in(text)
    if error is None or status in _STATUS_SPEAKS_FOR_ITSELF:
        return None
    fault = told(error)
    if status == 404 and model and model in fault.message and server.get_model:
        how = server.get_model.format(model=model)
        message = f"{server.maker} has no model {model!r}: run `{how}`, or name one that it has."
        return replace(fault, category="config", code="model_not_found", message=message, retryable=False)
    known = {*_BY_CODE, "insufficient_quota", "rate_limit_exceeded", "billing_hard_limit_reached"}
    if fault.code in known:
        return fault
    if status in (400, 404, 413, 415, 422):
        return replace(fault, category="config", retryable=False, code=fault.code or f"http_{status}")
    return None


def error_in(text: str) -> object | None:
    """The error object of a JSON answer. Servers also write it as a plain text, or leave the object around it out."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    for name in ("error", "detail"):
        if value.get(name):
            found: object = value[name]
            return found
    return value if isinstance(value.get("message"), str) else None


def told(error: object) -> Fault:
    """A server's error, whatever its shape."""
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, Mapping):
        return realtime_fault_of(None)
    plain: dict[str, Any] = {**error, "code": error.get("code") if isinstance(error.get("code"), str) else None}
    fault = realtime_fault_of(plain)
    category = _BY_CODE.get(code_of(plain))
    return fault if category is None else replace(fault, category=category, retryable=category == "busy")


def filtered() -> VoiceBridgeError:
    """The vendor's filter ended the answer."""
    message = "The vendor's content filter stopped the answer. Ask otherwise, or choose another model."
    return VoiceBridgeError(Fault(category="content", code="content_filter", message=message))


def cut_off(what: str) -> VoiceBridgeError:
    """The answer ended before its end."""
    message = f"The server's {what} broke off before its end."
    return VoiceBridgeError(Fault(category="network", code="cut_off", message=message, retryable=True))


def call_cut_off(name: str) -> VoiceBridgeError:
    """The answer reached its limit in the middle of a call, which must not be run then."""
    message = f"The answer reached its limit in the middle of a call of {name!r}. Raise max_output_tokens."
    return VoiceBridgeError(Fault(category="protocol", code="max_output_tokens", message=message))


def only_thoughts() -> VoiceBridgeError:
    """The model thought, and said nothing."""
    message = (
        "The model wrote nothing but thoughts. Raise max_output_tokens, lower reasoning_effort, or, for a model that "
        "does not think, leave the option `thoughts` out."
    )
    return VoiceBridgeError(Fault(category="protocol", code="only_thoughts", message=message))


def page_in(start: bytes) -> VoiceBridgeError | None:
    """What it means that an answer begins like a web page. None: it does not."""
    if _PAGE.match(start) is None:
        return None
    message = "The server answered with a web page: there is no such API at base_url. Check it."
    return VoiceBridgeError(Fault(category="config", code="web_page", message=message))


def not_running(server: Server, model: str, url: str, fault: Fault) -> Fault:
    """The fault of a server that can't be reached, with the way to start it."""
    if not server.start or fault.code not in ("refused", "timeout", "connect_timeout"):
        return fault
    how = server.start.format(model=model or "MODEL")
    message = (
        f"{server.maker} does not answer at {url}. Start it with `{how}`, or pass base_url=... if it is elsewhere."
    )
    return replace(fault, message=message)
