"""Plain data that crosses the boundary, and its form as lines of JSON.

A message is a frozen, slotted, keyword-only dataclass. On a line it is an object whose `type` is the class's name in
snake case; bytes are base64. Commands and events are found by reflection, so a new one can't be forgotten.
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

    __pydantic_config__: ClassVar[dict[str, str]] = {"ser_json_bytes": "base64", "val_json_bytes": "base64"}

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

    modules = (commands, events)
    found = (getattr(module, name) for module in modules for name in module.__all__)
    return {cls.type_name(): cls for cls in found if isinstance(cls, type) and issubclass(cls, Message)}


def dump(message: Message) -> str:
    """One line of JSON, without the line break."""
    body = _adapter(type(message)).dump_json(message).decode()
    head = json.dumps({"type": type(message).type_name()})
    return head if body == "{}" else f"{head[:-1]}, {body[1:]}"


def load(line: str | bytes) -> Any:
    """The command or event that `dump` wrote.

    Raises:
        ConfigError: the line is no JSON object, its `type` is unknown, or a field does not fit.
    """
    try:
        fields = json.loads(line)
        cls = _classes()[fields.pop("type")]
        return _adapter(cls).validate_json(json.dumps(fields))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"This line is no voicebridge command or event: {error}", code="bad_message") from error
