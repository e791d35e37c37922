"""Plain data that crosses the boundary, and its form as lines of JSON.

A message is a frozen, slotted, keyword-only dataclass. On a line it is an object whose `type` is the class's name in
snake case; bytes are base64 (with the alphabet of URLs; `load` reads both), infinities and NaN are strings. Commands
and events are found by reflection, so a new one can't be forgotten.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from .errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Message", "dump", "load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What commands and events have in common."""

    __pydantic_config__: ClassVar[dict[str, str]] = {
        "ser_json_bytes": "base64",
        "val_json_bytes": "base64",
        "ser_json_inf_nan": "strings",
    }

    @classmethod
    def type_name(cls) -> str:
        """The word that stands for this class on a line of JSON: `SendAudio` is `send_audio`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


@functools.cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


@functools.cache
def _classes() -> dict[str, type[Message]]:
    from . import commands, events

    found: set[Any] = {getattr(module, name) for module in (commands, events) for name in module.__all__}
    roots = (commands.Command, events.Event)
    return {
        cls.type_name(): cls for cls in found if isinstance(cls, type) and issubclass(cls, roots) and cls not in roots
    }


def dump(message: Message) -> str:
    """One line of JSON, without the line break.

    Half a surrogate pair, which vendors send where they cut a text in the middle of a character, becomes a "?".

    Raises:
        ConfigError: a payload holds what JSON has not.
    """
    cls: Any = type(message)  # mypy takes a class with frozen instances for unhashable
    try:
        body = _adapter(cls).dump_json(message).decode()
    except ValueError:
        body = _dump_patiently(cls, message)
    head = json.dumps({"type": type(message).type_name()})
    return head if body == "{}" else f"{head[:-1]}, {body[1:]}"


def _dump_patiently(cls: Any, message: Message) -> str:
    try:
        text = json.dumps(_adapter(cls).dump_python(message, mode="json"), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"This {cls.__name__} can't be written as JSON: {error}", code="bad_message") from error
    return text.encode("utf-8", "replace").decode()


def load(line: str | bytes) -> Any:
    """The command or event that `dump` wrote. Fields that this version does not know are passed over.

    Raises:
        ConfigError: the line is no JSON object, its `type` is unknown, or a field does not fit.
    """
    try:
        fields = json.loads(line)
        cls: Any = _classes()[fields.pop("type")]
        return _adapter(cls).validate_json(json.dumps(fields))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"This line is no voicebridge command or event: {_reason(error)}", code="bad_message"
        ) from error


def _reason(error: Exception) -> str:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
