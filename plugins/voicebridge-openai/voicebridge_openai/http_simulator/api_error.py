"""What the server answers to a request that it can't follow.

Bodies seen in public reports of 2024 to 2026: no key and a wrong key (401), `model_not_found` (404),
`unknown_parameter`, "Unrecognized request argument supplied", `audio_too_short`, a `response_format` that a model has
not (`unsupported_value`), `max_tokens` with a model that reasons (`unsupported_parameter`), `rate_limit_exceeded` and
`insufficient_quota` (429), a tool's output without its call. The rest (`invalid_type`, `integer_*`, `decimal_*`,
`string_*`, `array_*`, `empty_array`, what is said about multipart) is in the same style, and a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "ApiError",
    "failure",
    "missing",
    "no_model",
    "out_of_range",
    "too_long",
    "unknown_value",
    "unsupported",
    "wrong_type",
]

_STATUS_OF = {
    "rate_limit_exceeded": (429, "requests"),
    "insufficient_quota": (429, "insufficient_quota"),
    "invalid_api_key": (401, "invalid_request_error"),
    "model_not_found": (404, "invalid_request_error"),
    "invalid_prompt": (400, "invalid_request_error"),
    "context_length_exceeded": (400, "invalid_request_error"),
    "content_policy_violation": (400, "invalid_request_error"),
    "unsupported_country_region_territory": (403, "request_forbidden"),
    "server_overloaded": (503, "service_unavailable_error"),
}
"""The status and the type of failures that a script names by their code. Another code: 500, `server_error`."""


class ApiError(Exception):
    """Becomes a refusal, or the end of a stream."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.kind = kind
        self.headers = dict(headers or {})


def failure(code: str, message: str, retry_after_s: int | None = None) -> ApiError:
    """A failure that a script asks for, by its code."""
    status, kind = _STATUS_OF.get(code, (500, "server_error"))
    headers = {"Retry-After": str(retry_after_s)} if code == "rate_limit_exceeded" and retry_after_s is not None else {}
    shown = None if code == "server_error" else code
    return ApiError(status, message, code=shown, kind=kind, headers=headers)


def missing(param: str) -> ApiError:
    """A field that must be there."""
    return ApiError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def no_model(model: str) -> ApiError:
    """A model that nobody has."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(404, message, code="model_not_found")


def unknown_value(param: str, value: Any, supported: Iterable[str]) -> ApiError:
    """A value that is none of those that exist."""
    values = [f"'{one}'" for one in supported]
    listed = " and ".join(values) if len(values) < 3 else ", ".join(values[:-1]) + f", and {values[-1]}"
    message = f"Invalid value: '{value}'. Supported values are: {listed}."
    return ApiError(400, message, code="invalid_value", param=param)


def unsupported(param: str, instead: str = "") -> ApiError:
    """A parameter that this model has not."""
    message = f"Unsupported parameter: '{param}' is not supported with this model."
    if instead:
        message += f" Use '{instead}' instead."
    return ApiError(400, message, code="unsupported_parameter", param=param)


def too_long(param: str, most: int, length: int) -> ApiError:
    """More text than may be."""
    message = (
        f"Invalid '{param}': string too long. Expected a string with maximum length {most}, but got a string with "
        f"length {length} instead."
    )
    return ApiError(400, message, code="string_above_max_length", param=param)


def out_of_range(param: str, value: float, least: float, most: float | None) -> ApiError:
    """A number below or above what may be."""
    kind = "integer" if isinstance(value, int) else "decimal"
    below = value < least
    bound, sign = (least, ">=") if below else (most, "<=")
    side, code = ("below minimum", "below_min") if below else ("above maximum", "above_max")
    message = f"Invalid '{param}': {kind} {side} value. Expected a value {sign} {bound:g}, but got {value:g} instead."
    return ApiError(400, message, code=f"{kind}_{code}_value", param=param)


def wrong_type(param: str, wanted: str, value: Any) -> ApiError:
    """A value of another type."""
    got = {
        bool: "a boolean",
        int: "an integer",
        float: "a decimal",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    name = "null" if value is None else got.get(type(value), "something else")
    message = f"Invalid type for '{param}': expected {wanted}, but got {name} instead."
    return ApiError(400, message, code="invalid_type", param=param)
