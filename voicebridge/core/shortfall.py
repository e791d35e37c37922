"""What a call loses when another backend takes over that can do less, and what makes up for some of it."""

from __future__ import annotations

from collections.abc import Sequence

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.fault import Fault
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem

__all__ = ["knows_what_was_said", "recounted", "retold", "shortfall"]

_BEFORE = "What was said before:\n{lines}"
_MEANWHILE = "What was said meanwhile, which you may not know or know otherwise:\n{lines}"


def shortfall(name: str, wanted: SessionConfig, before: Capabilities, now: Capabilities, *, said: bool) -> Fault | None:
    """What the call uses, the backend before could do, and the one that has the call now can't.

    Args:
        name: of the one that has the call now.
        wanted: what the call is set to.
        said: something was said already.
    """
    speaks = "audio" in wanted.outputs
    lost = {
        "calls no tools": wanted.tools and before.tools != "none" and now.tools == "none",
        "answers in writing only": speaks and "audio" in before.outputs and "audio" not in now.outputs,
        "answers nothing": before.outputs and not now.outputs,
        "does not hear the user": "audio" in before.inputs and "audio" not in now.inputs,
        "reads no text": "text" in before.inputs and "text" not in now.inputs,
        "can't be asked for a response": "verb" in before.respond and "verb" not in now.respond,
        "can't be stopped by command": "verb" in before.interrupt and "verb" not in now.interrupt,
        "does not know what was said before": said and not knows_what_was_said(now),
    }
    if not any(lost.values()):
        return None
    what = ", ".join(words for words, is_lost in lost.items() if is_lost)
    message = f"The backend that has the call now ({name}) can do less than the one before: it {what}."
    return Fault(category="unsupported", code="can_do_less", message=message)


def knows_what_was_said(can: Capabilities) -> bool:
    """Whether a connection can be started with a conversation, or told of it."""
    return "text" in can.seed or can.context != "none"


def retold(items: Sequence[Item], can: Capabilities) -> str | None:
    """The conversation as a note, for a connection that can't be started with it. None: it can, or takes no notes."""
    if "text" in can.seed or can.context == "none":
        return None
    lines = [_line(item) for item in items]
    return _BEFORE.format(lines="\n".join(lines)) if lines else None


def recounted(items: Sequence[Item]) -> str | None:
    """What was said last, as a note for a connection that knows what was said before. None: nothing was."""
    lines = [_line(item) for item in items]
    return _MEANWHILE.format(lines="\n".join(lines)) if lines else None


def _line(item: Item) -> str:
    if isinstance(item, MessageItem):
        return f"{item.role}: {item.text}"
    if isinstance(item, ToolCallItem):
        return f"assistant called {item.name}({item.arguments})"
    if isinstance(item, ToolResultItem):
        return f"result: {item.output}"
    return str(item)
