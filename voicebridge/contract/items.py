"""What a conversation is made of: the items that seed a backend and fill a model's prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .message import Message

__all__ = ["Item", "MessageItem", "ToolCallItem", "ToolResultItem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageItem(Message):
    """Something said or written."""

    role: Literal["user", "assistant", "system"]
    text: str
    images: tuple[str, ...] = ()
    interrupted: bool = False
    """True: the text is what was heard of a longer one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallItem(Message):
    """A call that the model made."""

    call_id: str
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResultItem(Message):
    """The answer to a call."""

    call_id: str
    output: str
    is_error: bool = False


Item = MessageItem | ToolCallItem | ToolResultItem
