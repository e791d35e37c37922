"""The result of a tool that an earlier connection called, told to one that knows nothing of the call."""

from __future__ import annotations

from collections.abc import Sequence

from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, SendText, SendToolResult
from voicebridge.contract.items import Item, ToolCallItem, ToolResultItem

from .generation import Generation

__all__ = ["understood"]

_RESULT = "You had called {call} before. Its result is: {output}"
_ERROR = "You had called {call} before. It failed: {output}"


def understood(command: Command, names: Generation, can: Capabilities, said: Sequence[Item]) -> Command:
    """The command as this connection understands it. A result of a call that it was not told of becomes a note, which
    is answered once no other call waits for its result.

    Args:
        command: in the connection's names.
        said: the conversation so far, without this result.
    """
    if not isinstance(command, SendToolResult) or names.called(command.call_id):
        return command
    if can.tools != "none" and "tools" in can.seed:
        return command
    calls = {item.call_id: item for item in said if isinstance(item, ToolCallItem)}
    answered = {item.call_id for item in said if isinstance(item, ToolResultItem)}
    call = calls.get(command.call_id)
    shown = f"{call.name}({call.arguments})" if call else "a function"
    text = (_ERROR if command.is_error else _RESULT).format(call=shown, output=command.output)
    others_wait = calls.keys() - answered - {command.call_id}
    respond = command.respond and (not others_wait or can.context == "none")  # which takes no note
    return SendText(id=command.id, text=text, role="system", respond=respond)
