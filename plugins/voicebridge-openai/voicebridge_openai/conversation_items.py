"""Items of a conversation as this wire writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicebridge.contract.commands import SendText
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem

__all__ = ["item_of_text", "kind_of", "wire_item"]


def wire_item(item: Item) -> dict[str, Any]:
    """An item of the conversation. An assistant's words are written as text: its audio can't be put back."""
    if isinstance(item, MessageItem):
        return _message(item.role, item.text, item.images)
    if isinstance(item, ToolCallItem):
        return {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
    assert isinstance(item, ToolResultItem)
    # The wire has no mark for a failed call: the model is told in words.
    output = f"Error: {item.output}" if item.is_error else item.output
    return {"type": "function_call_output", "call_id": item.call_id, "output": output}


def item_of_text(command: SendText) -> dict[str, Any]:
    """The item that a command adds."""
    return _message(command.role, command.text, command.images)


def kind_of(item: Mapping[str, Any]) -> tuple[object, object]:
    """What an acknowledgement has in common with the item it acknowledges: the type, and the role or the call."""
    kind = item.get("type")
    return kind, item.get("role") if kind == "message" else item.get("call_id")


def _message(role: str, text: str, images: Sequence[str]) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if text or not images:
        content.append({"type": "output_text" if role == "assistant" else "input_text", "text": text})
    content += [{"type": "input_image", "image_url": image} for image in images]
    return {"type": "message", "role": role, "content": content}
