"""What the server answers to an event that it can't follow.

Codes seen in recorded traffic or in the code of clients: conversation_already_has_active_response,
response_cancel_not_active, input_audio_buffer_commit_empty, cannot_update_voice, invalid_value, unknown_parameter,
missing_required_parameter, session_expired, beta_api_shape_disabled. The rest (invalid_type, invalid_json, item_*,
string_above_max_length, invalid_tool_call_id, integer_*) is made up in the same style: don't build on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["ProtocolError", "missing", "unknown_parameter", "unsupported_value", "wrong_type"]


class ProtocolError(Exception):
    """Becomes an `error` event."""

    def __init__(
        self, code: str | None, message: str, param: str | None = None, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind


def missing(param: str) -> ProtocolError:
    """A field that must be there."""
    return ProtocolError("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def unknown_parameter(param: str) -> ProtocolError:
    """A field that nobody knows."""
    return ProtocolError("unknown_parameter", f"Unknown parameter: '{param}'.", param)


def unsupported_value(param: str, value: Any, supported: Iterable[Any]) -> ProtocolError:
    """A value that is none of those that exist."""
    values = ", ".join(f"'{one}'" for one in supported)
    return ProtocolError("invalid_value", f"Invalid value: '{value}'. Supported values are: {values}.", param)


def wrong_type(param: str, wanted: str, value: Any) -> ProtocolError:
    """A value of another type."""
    got = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    name = "null" if value is None else got.get(type(value), "something else")
    return ProtocolError("invalid_type", f"Invalid type for '{param}': expected {wanted}, got {name} instead.", param)
