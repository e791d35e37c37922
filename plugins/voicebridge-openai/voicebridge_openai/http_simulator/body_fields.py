"""Checks of the fields of a JSON body: each takes the field's name and its value, and raises `ApiError`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from .api_error import ApiError, missing, out_of_range, too_long, unknown_value, wrong_type

__all__ = ["Check", "array", "check_name", "flag", "integer", "mapping", "named", "number", "one_of", "parsed", "text"]

Check = Callable[[str, Any], None]
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_LONGEST_NAME = 64


def parsed(body: bytes) -> dict[str, Any]:
    """The object of a body.

    Raises:
        ApiError: it is no JSON, or no object.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = (
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        )
        raise ApiError(400, message) from None
    if not isinstance(found, dict):
        raise ApiError(400, "Invalid body: expected a JSON object.")
    return found


def named(body: Mapping[str, Any], rules: Mapping[str, Check], required: Iterable[str]) -> None:
    """Check all fields that are known and not null, then that the required ones are there."""
    for name, check in rules.items():
        if body.get(name) is not None:
            check(name, body[name])
    for name in required:
        if body.get(name) is None:
            raise missing(name)


def text(most: int | None = None) -> Check:
    """A string of at most so many characters."""

    def check(param: str, value: Any) -> None:
        if not isinstance(value, str):
            raise wrong_type(param, "a string", value)
        if most is not None and len(value) > most:
            raise too_long(param, most, len(value))

    return check


def number(least: float, most: float) -> Check:
    """A number between these."""

    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(param, "a decimal", value)
        if not least <= value <= most:
            raise out_of_range(param, float(value), least, most)

    return check


def integer(least: int, most: int | None = None) -> Check:
    """A whole number from `least` to `most`."""

    def check(param: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(param, "an integer", value)
        if value < least or (most is not None and value > most):
            raise out_of_range(param, value, least, most)

    return check


def flag(param: str, value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong_type(param, "a boolean", value)


def array(param: str, value: Any) -> None:
    """A list."""
    if not isinstance(value, list):
        raise wrong_type(param, "an array", value)


def mapping(param: str, value: Any) -> None:
    """An object."""
    if not isinstance(value, dict):
        raise wrong_type(param, "an object", value)


def one_of(*values: str) -> Check:
    """One of these strings."""

    def check(param: str, value: Any) -> None:
        if not isinstance(value, str):
            raise wrong_type(param, f"one of {', '.join(values)}", value)
        if value not in values:
            raise unknown_value(param, value, values)

    return check


def check_name(param: str, value: Any) -> None:
    """The name of a function."""
    if value is None:
        raise missing(param)
    text(_LONGEST_NAME)(param, value)
    if not _NAME.fullmatch(value):
        message = (
            f"Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'."
        )
        raise ApiError(400, message, code="invalid_value", param=param)
