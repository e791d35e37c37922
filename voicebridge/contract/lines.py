"""Commands and events as lines of JSON, and back.

A line holds an object whose `type` is the class's name in snake case; bytes are base64 (with the alphabet of URLs;
`load` reads both), infinities and NaN are strings. Classes are found by reflection: none is forgotten.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from . import commands, events
from .errors import ConfigError
from .message import Message

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["dump", "load"]


@functools.cache
def _adapter(cls: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


@functools.cache
def _classes() -> dict[str, type[Message]]:
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
