"""What the simulated model answers: a script of replies, and an echo where there is none.

A reply of the script is JSON, or what stands for it in Python:

    "It is noon."                                       said in the session's modality
    {"call": "get_time", "arguments": {"city": "Bonn"}} a call of a tool
    {"fail": "server_error", "message": "..."}          the response fails
    {"say": "It is", "end": "max_output_tokens"}        incomplete (also: content_filter)
    ["One moment.", "Still here.", {"call": ...}]       several items in one response

Without a script: a tool that is named in what the user said is called, and one that must be called always is; what a
tool gave is read out; else it says what it understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .conversation import Entry

__all__ = ["Call", "Failure", "Part", "Say", "echo", "read_reply", "text_of"]

_QUOTED = re.compile(r"[\"“](.+)[\"”]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Say:
    """A message."""

    text: str
    end: Literal["", "max_output_tokens", "content_filter"] = ""
    """Why the response stops behind it, incomplete."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The response fails."""

    code: str
    message: str


Part = Say | Call | Failure


def read_reply(reply: Any) -> tuple[Part, ...]:
    """The parts of a reply of the script.

    Raises:
        ValueError: it is none of what stands above.
    """
    if isinstance(reply, list | tuple):
        return tuple(part for one in reply for part in read_reply(one))
    if isinstance(reply, str):
        return (Say(reply),)
    if isinstance(reply, Mapping):
        if "call" in reply:
            arguments = reply.get("arguments", {})
            return (Call(str(reply["call"]), arguments if isinstance(arguments, str) else json.dumps(arguments)),)
        if "fail" in reply:
            return (Failure(str(reply["fail"]), str(reply.get("message", "The server had an error."))),)
        if "say" in reply and reply.get("end", "") in ("", "max_output_tokens", "content_filter"):
            return (Say(str(reply["say"]), reply.get("end", "")),)
    raise ValueError(
        f"{reply!r} is no reply: give a text, {{'call': name, 'arguments': {{...}}}}, {{'fail': code}}, or a list."
    )


def echo(
    context: Sequence[Entry], instructions: str, tools: Iterable[Mapping[str, Any]], choice: Any = "auto"
) -> tuple[Part, ...]:
    """The reply without a script.

    Args:
        context: the items that the response sees.
        instructions: of this response alone; empty where it has none.
        tools: that it may call.
        choice: which of them it must call: the `tool_choice` of the wire.
    """
    last = context[-1] if context else None
    said = text_of(last) if last else ""
    functions = [tool for tool in tools if tool.get("type", "function") == "function" and tool.get("name")]
    if forced := _forced(functions, choice, said):
        return (_call(forced, said),)
    if instructions:
        # `Say exactly "...".` is how clients ask for words of their own.
        quoted = _QUOTED.search(instructions)
        return (Say(quoted[1] if quoted else f"As asked: {instructions.strip()}"),)
    if last is None:
        return (Say("Hello, how can I help you?"),)
    if last.item["type"] == "function_call_output":
        return (Say(f"The tool says: {said}" if said else "The tool says nothing."),)
    if last.item.get("role") != "user":
        return (Say("Yes?"),)
    if choice != "none" and (named := _named(functions, said)):
        return (_call(named, said),)
    return (Say(f"You said: {said}" if said else "I did not understand that."),)


def text_of(entry: Entry) -> str:
    """What an item says."""
    item = entry.item
    if item["type"] == "function_call_output":
        return str(item["output"])
    if item["type"] == "function_call":
        return f"{item['name']} {item['arguments']}"
    parts = [part.get("text") or "" for part in item["content"] if part["type"].endswith("_text")]
    return " ".join([*parts, entry.heard]).strip()


def _forced(tools: Sequence[Mapping[str, Any]], choice: Any, said: str) -> Mapping[str, Any] | None:
    """The tool that must be called, if there is one."""
    if choice == "required":
        return _named(tools, said) or next(iter(tools), None)
    wanted = choice.get("name") if isinstance(choice, Mapping) and choice.get("type") == "function" else None
    return next((tool for tool in tools if tool["name"] == wanted), None)


def _named(tools: Sequence[Mapping[str, Any]], said: str) -> Mapping[str, Any] | None:
    """The first tool whose name the user said."""
    low = said.lower()
    for tool in tools:
        name = str(tool["name"]).lower()
        if name in low or name.replace("_", " ") in low:
            return tool
    return None


def _call(tool: Mapping[str, Any], said: str) -> Call:
    return Call(str(tool["name"]), json.dumps(_arguments(tool.get("parameters") or {}, said)))


def _arguments(schema: Mapping[str, Any], said: str) -> dict[str, Any]:
    """Something for each argument that must be there."""
    properties, names = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, Mapping) else {}
    wanted = names if isinstance(names, list) else []
    return {name: _argument(known.get(name) or {}, said) for name in wanted if isinstance(name, str)}


def _argument(schema: Any, said: str) -> Any:
    if not isinstance(schema, Mapping):
        return None
    values = schema.get("enum")
    if isinstance(values, list) and values:
        return values[0]
    words = re.findall(r"\w+", said)
    kinds = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}
    return kinds.get(str(schema.get("type")), words[-1] if words else "")
