"""Shapes that JSON from a client must have, and the vendor's words where it has another. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .protocol_error import ProtocolError, missing, unknown_parameter, unsupported_value, wrong_type

__all__ = [
    "Check",
    "any_of",
    "array",
    "boolean",
    "constant",
    "free",
    "integer",
    "mapping",
    "nullable",
    "number",
    "record",
    "text",
]

Check = Callable[[Any, str], None]
"""Raises `ProtocolError` where the value (first) does not fit; the second tells where it stands."""


def text(*, longest: int | None = None) -> Check:
    """A string, at most so many characters."""

    def check(value: Any, param: str) -> None:
        if not isinstance(value, str):
            raise wrong_type(param, "a string", value)
        if longest is not None and len(value) > longest:
            raise ProtocolError(
                "string_above_max_length",
                f"Invalid '{param}': string too long. Expected a string with maximum length {longest}, but got a "
                f"string with length {len(value)} instead.",
                param,
            )

    return check


def constant(*values: Any) -> Check:
    """One of these."""

    def check(value: Any, param: str) -> None:
        if isinstance(value, list | dict) or not any(value == one and type(value) is type(one) for one in values):
            raise unsupported_value(param, value, values)

    return check


def number(low: float, high: float) -> Check:
    """A number between these."""

    def check(value: Any, param: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(param, "a decimal", value)
        _between(value, low, high, param, "decimal")

    return check


def integer(low: int, high: int) -> Check:
    """A whole number between these."""

    def check(value: Any, param: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(param, "an integer", value)
        _between(value, low, high, param, "integer")

    return check


def _between(value: float, low: float, high: float, param: str, kind: str) -> None:
    if value < low:
        raise ProtocolError(
            f"{kind}_below_min_value", f"Invalid '{param}': {kind} below minimum value. Expected >= {low}.", param
        )
    if value > high:
        raise ProtocolError(
            f"{kind}_above_max_value", f"Invalid '{param}': {kind} above maximum value. Expected <= {high}.", param
        )


def boolean(value: Any, param: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong_type(param, "a boolean", value)


def free(value: Any, param: str) -> None:
    """Anything."""


def mapping(value: Any, param: str) -> None:
    """An object, whatever it holds."""
    if not isinstance(value, dict):
        raise wrong_type(param, "an object", value)


def nullable(check: Check) -> Check:
    """Null, or what `check` lets through."""

    def checked(value: Any, param: str) -> None:
        if value is not None:
            check(value, param)

    return checked


def any_of(*checks: Check) -> Check:
    """What one of them lets through; the error is that of the last one."""

    def check(value: Any, param: str) -> None:
        for one in checks[:-1]:
            try:
                one(value, param)
            except ProtocolError:
                continue
            return
        checks[-1](value, param)

    return check


def array(check: Check, *, least: int = 0, most: int | None = None) -> Check:
    """A list of what `check` lets through, so many of them."""

    def checked(value: Any, param: str) -> None:
        if not isinstance(value, list):
            raise wrong_type(param, "an array", value)
        if len(value) < least:
            raise ProtocolError(
                "invalid_value", f"Invalid '{param}': too few entries. Expected at least {least}.", param
            )
        if most is not None and len(value) > most:
            raise ProtocolError(
                "invalid_value", f"Invalid '{param}': too many entries. Expected at most {most}.", param
            )
        for index, one in enumerate(value):
            check(one, f"{param}[{index}]")

    return checked


def record(fields: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> Check:
    """An object with these fields and no others."""

    def check(value: Any, param: str) -> None:
        if not isinstance(value, dict):
            raise wrong_type(param, "an object", value)
        for name in required:
            if name not in value:
                raise missing(f"{param}.{name}")
        for name, one in value.items():
            if name not in fields:
                raise unknown_parameter(f"{param}.{name}")
            fields[name](one, f"{param}.{name}")

    return check
