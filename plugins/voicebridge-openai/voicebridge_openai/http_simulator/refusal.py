"""A refusal as bytes, in the dialect's shape. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from .api_error import ApiError
from .dialects import HttpDialect

__all__ = ["error_body"]

_TYPED = {400: "invalid_request_error", 404: "not_found_error"}
_NUMBERED = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    503: "unavailable_error",
}
_FLAT = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}


def error_body(error: ApiError, dialect: HttpDialect) -> bytes:
    """The body, JSON."""
    status, message = error.status, error.message
    body: dict[str, Any]
    match dialect.error:
        case "openai":
            body = {"error": {"message": message, "type": error.kind, "param": error.param, "code": error.code}}
        case "typed":
            kind = _TYPED.get(status, "api_error")
            body = {"error": {"message": message, "type": kind, "param": None, "code": None}}
        case "numbered":
            body = {"error": {"code": status, "message": message, "type": _NUMBERED.get(status, "server_error")}}
        case "flat":
            kind = _FLAT.get(status, "InternalServerError")
            body = {"object": "error", "message": message, "type": kind, "param": None, "code": status}
        case "detail":
            body = {"detail": message}
        case "text":
            body = {"error": message}
    return orjson.dumps(body)
