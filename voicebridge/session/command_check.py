"""Whether a command is one: a value of the wrong type is told in words, before anything is sent."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_type_hints

from voicebridge.contract.commands import Command, Configure, Interrupt, ReportPlayed, SendAudio
from voicebridge.contract.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["check"]


def check(command: object) -> None:
    """Look at what an application sends. What comes many times a second costs no more than a look at its types.

    Raises:
        ConfigError: it is no command, or a field does not fit.
    """
    if isinstance(command, SendAudio):
        if not isinstance(command.pcm, bytes | bytearray | memoryview):
            raise _misfit(command, "pcm", "bytes are wanted", command.pcm)
    elif isinstance(command, ReportPlayed):
        if not isinstance(command.response_id, str):
            raise _misfit(command, "response_id", "a string is wanted", command.response_id)
        _check_ms(command, "ms", command.ms)
    elif isinstance(command, Command):
        _check_fields(command)
        if isinstance(command, Configure):
            _check_patch(command)
        elif isinstance(command, Interrupt):
            for response_id, ms in command.heard.items():
                _check_ms(command, f"heard[{response_id!r}]", ms)
    else:
        raise ConfigError(
            f"A session takes commands, such as SendAudio or SendText, not {type(command).__name__}.",
            code="bad_command",
        )


def _check_patch(command: Configure) -> None:
    if kept := sorted(command.patch.keys() & {"input_format", "output_format"}):
        raise ConfigError(
            f"{kept[0]} is the whole session's and never changes: give it to voicebridge.connect.",
            code="bad_command",
            command_id=command.id,
        )
    tools = command.patch.get("tools")
    for tool in tools if isinstance(tools, Iterable) else ():
        if callable(tool):
            raise ConfigError(
                f"A session that runs takes tools as Tool(name=..., description=..., parameters=...), and answers no "
                f"call of the function {getattr(tool, '__name__', tool)!r}: give functions to voicebridge.connect, or "
                "to an Agent that the conversation is handed to.",
                code="bad_command",
                command_id=command.id,
            )


def _check_ms(command: Command, field: str, ms: object) -> None:
    if not isinstance(ms, int | float) or not math.isfinite(ms) or ms < 0:
        raise _misfit(command, field, "milliseconds are wanted, 0 or more", ms)


def _check_fields(command: Command) -> None:
    from pydantic import ValidationError

    cls: Any = type(command)  # mypy takes a class with frozen instances for unhashable
    for name, shape in _shapes(cls).items():
        value = getattr(command, name)
        try:
            shape.validate_python(dict(value) if isinstance(value, Mapping) else value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = name + "".join(f"[{part!r}]" for part in first["loc"])
            raise _misfit(command, where, first["msg"][:1].lower() + first["msg"][1:], value) from None


@functools.cache
def _shapes(cls: Any) -> Mapping[str, TypeAdapter[Any]]:
    from pydantic import TypeAdapter

    hints = get_type_hints(cls)
    return {field.name: TypeAdapter(hints[field.name]) for field in fields(cls)}


def _misfit(command: Command, field: str, wanted: str, value: object) -> ConfigError:
    shown = repr(value) if isinstance(value, int | float) else type(value).__name__
    return ConfigError(
        f"{type(command).__name__}.{field} does not fit: {wanted} (got {shown}).",
        code="bad_command",
        command_id=command.id,
    )
