"""A model's calls of functions, out of the pieces in which chat completions tell them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import orjson

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import ToolRequest

from .http_errors import call_cut_off

__all__ = ["ToolCalls", "new_call_id", "tool_request"]


def new_call_id() -> str:
    """For a call that its server gave none."""
    return f"call_{token_hex(12)}"


@dataclass(slots=True)
class _Call:
    index: int | None
    id: str
    name: str
    arguments: str


class ToolCalls:
    """Merges pieces by their index.

    Servers differ: some give no index, some give each whole call the index 0, and some give no id.
    """

    def __init__(self, new_id: Callable[[], str] = new_call_id) -> None:
        self._calls: list[_Call] = []
        self._new_id = new_id

    def feed(self, piece: object) -> None:
        """Take an element of `tool_calls`. What is none is passed over."""
        if not isinstance(piece, Mapping):
            return
        function = piece.get("function")
        function = function if isinstance(function, Mapping) else {}
        index, call_id, name = piece.get("index"), _text(piece.get("id")), _text(function.get("name"))
        arguments = function.get("arguments")
        goes_on = arguments in (None, "")
        call = self._begun(index if isinstance(index, int) else None, call_id, name, goes_on=goes_on)
        if call is None:
            call = _Call(index if isinstance(index, int) else None, call_id, name, "")
            self._calls.append(call)
        else:
            call.id, call.name = call.id or call_id, call.name or name
        if isinstance(arguments, str):
            call.arguments += arguments
        elif arguments is not None:  # an object instead of its text
            call.arguments = orjson.dumps(arguments).decode()

    def _begun(self, index: int | None, call_id: str, name: str, *, goes_on: bool) -> _Call | None:
        """The call that a piece goes on with. None: it begins one of its own.

        Args:
            goes_on: the piece has no arguments, so that it is no call by itself.
        """
        told = (call for call in reversed(self._calls) if index is None or call.index == index)
        call = next(told, None)
        if call is None or (call_id and call_id == call.id):
            return call
        if call_id and call.id and (name or index is None):
            return None
        if not name or not call.name:
            return call
        if name != call.name:
            return None
        return None if _is_whole(call.arguments) and not goes_on else call

    def take(self, *, cut: bool = False) -> Iterator[ToolRequest]:
        """The calls, whole, once.

        Args:
            cut: the answer reached the limit of its length, so that the last one may be half.

        Raises:
            VoiceBridgeError: one names no function, or was cut off.
        """
        calls, self._calls = self._calls, []
        for call in calls:
            if cut and not _is_whole(call.arguments):
                raise call_cut_off(call.name)
            yield tool_request(call.id or self._new_id(), call.name, call.arguments)


def tool_request(call_id: str, name: str, arguments: Any) -> ToolRequest:
    """A whole call. Arguments that are no JSON are passed on as they are: whoever runs the function says so.

    Raises:
        VoiceBridgeError: it names no function.
    """
    if not name:
        raise VoiceBridgeError("The model called a function without a name.", code="nameless_call")
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return ToolRequest(call_id, name, text if text.strip() else "{}")


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(orjson.loads(arguments), dict)
    except orjson.JSONDecodeError:
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
