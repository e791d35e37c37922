"""Reads the body of POST /responses. Pure.

Fields are those of the openai SDK 3.54. Guesses: which fields of an item are unknown (none is refused here), that
images and files are taken unread, and what is answered where several things are wrong at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..simulator.conversation import Entry
from .api_error import ApiError, missing, unknown_value, unsupported, wrong_type
from .ask import Ask
from .body_fields import Check, array, check_name, flag, integer, mapping, named, number, one_of, text
from .known_models import Family

__all__ = ["items_of", "read_responses"]

_ROLES = ("assistant", "system", "developer", "user")
_PARTS = ("input_text", "input_image", "output_text", "refusal", "input_file", "input_audio")
_SHORTEST = 16


def _input(param: str, value: Any) -> None:
    if not isinstance(value, str | list):
        raise wrong_type(param, "one of a string or array of input items", value)


def _anything(param: str, value: Any) -> None:
    """Taken, and without effect here."""


_RULES: Mapping[str, Check] = {
    "model": text(),
    "input": _input,
    "instructions": text(),
    "stream": flag,
    "stream_options": mapping,
    "max_output_tokens": integer(_SHORTEST),
    "max_tool_calls": integer(1),
    "metadata": mapping,
    "parallel_tool_calls": flag,
    "previous_response_id": text(),
    "reasoning": mapping,
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "store": flag,
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "text": mapping,
    "tools": array,
    "truncation": one_of("auto", "disabled"),
    "top_logprobs": integer(0, 20),
    "include": array,
    "background": flag,
    "user": text(),
    "prompt_cache_key": text(),
    "safety_identifier": text(),
    **dict.fromkeys(
        (
            *("access_programs", "background_options", "context_management", "conversation", "image", "moderation"),
            *("prompt", "prompt_cache_options", "prompt_cache_retention", "tool_choice"),
        ),
        _anything,
    ),
}


def read_responses(
    body: dict[str, Any], strict: bool, family: Family | None, earlier: Callable[[str], Sequence[Any] | None]
) -> Ask:
    """What is asked.

    Args:
        strict: whether a field that nobody knows is refused.
        family: of the model, with its own rules; None: it has none.
        earlier: the items that an earlier response read and made, by its id; None: there is no such response.

    Raises:
        ApiError: something does not fit.
    """
    for name in sorted(set(body) - set(_RULES)) if strict else ():
        raise ApiError(400, f"Unknown parameter: '{name}'.", code="unknown_parameter", param=name)
    named(body, _RULES, ("model", "input"))
    if family is not None:
        if family.reasons and body.get("temperature") is not None:
            raise unsupported("temperature")
        if not family.reasons and (body.get("reasoning") or {}).get("effort") is not None:
            raise unsupported("reasoning.effort")
    tools = [_tool(index, tool) for index, tool in enumerate(body.get("tools") or ())]
    functions = [tool for tool in tools if tool["type"] == "function"]
    ask = Ask(
        model=body["model"],
        tools=functions,
        choice=_choice(body.get("tool_choice"), functions),
        most_tokens=body.get("max_output_tokens"),
        stream=bool(body.get("stream")),
        pads=(body.get("stream_options") or {}).get("include_obfuscation") is not False,
        characters=len(body.get("instructions") or ""),
        body=body,
    )
    _read_items(ask, [*_before(body, earlier), *items_of(body["input"])])
    return ask


def items_of(given: Any) -> list[Any]:
    """The input as a list of items."""
    return [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else list(given)


def _before(body: Mapping[str, Any], earlier: Callable[[str], Sequence[Any] | None]) -> Sequence[Any]:
    previous = body.get("previous_response_id")
    if previous is None:
        return ()
    items = earlier(previous)
    if items is None:
        message = f"Previous response with id '{previous}' not found."
        raise ApiError(400, message, code="previous_response_not_found", param="previous_response_id")
    return items


def _tool(index: int, tool: Any) -> dict[str, Any]:
    param = f"tools[{index}]"
    mapping(param, tool)
    if tool.get("type") is None:
        raise missing(f"{param}.type")
    text()(f"{param}.type", tool["type"])
    if tool["type"] == "function":
        check_name(f"{param}.name", tool.get("name"))
        if tool.get("parameters") is not None:
            mapping(f"{param}.parameters", tool["parameters"])
    return dict(tool)


def _choice(choice: Any, tools: list[dict[str, Any]]) -> Any:
    if choice is None:
        return "auto"
    if isinstance(choice, str):
        one_of("none", "auto", "required")("tool_choice", choice)
        return choice
    mapping("tool_choice", choice)
    if choice.get("type") != "function":
        return "auto"
    if choice.get("name") not in [tool["name"] for tool in tools]:
        message = "Tool choice 'function' not found in 'tools' parameter."
        raise ApiError(400, message, param="tool_choice")
    return choice


def _read_items(ask: Ask, items: list[Any]) -> None:
    calls: dict[str, bool] = {}
    for index, item in enumerate(items):
        param = f"input[{index}]"
        mapping(param, item)
        kind = item.get("type") or "message"
        if kind == "message":
            _read_message(ask, param, item)
        elif kind == "function_call":
            for name in ("call_id", "name", "arguments"):
                if item.get(name) is None:
                    raise missing(f"{param}.{name}")
                text()(f"{param}.{name}", item[name])
            calls[item["call_id"]] = False
            ask.characters += len(item["name"]) + len(item["arguments"])
        elif kind == "function_call_output":
            _read_output(ask, param, item, calls)
        elif kind == "item_reference":
            message = f"Item with id '{item.get('id')}' not found."
            raise ApiError(404, message, param="input")
        elif not isinstance(kind, str):
            raise wrong_type(f"{param}.type", "a string", kind)
        elif not kind.endswith(("_call", "_output", "_response", "_request", "reasoning", "compaction")):
            raise unknown_value(f"{param}.type", kind, ("function_call", "function_call_output", "message"))
    for call_id, answered in calls.items():
        if not answered:
            message = f"No tool output found for function call {call_id}."
            raise ApiError(400, message, param="input")


def _read_message(ask: Ask, param: str, item: Mapping[str, Any]) -> None:
    role = item.get("role")
    if role is None:
        raise missing(f"{param}.role")
    if role not in _ROLES:
        raise unknown_value(f"{param}.role", role, _ROLES)
    said = _said(f"{param}.content", item.get("content"))
    ask.characters += len(said)
    if role in ("system", "developer"):
        ask.instructions = said if ask.context else ""
        return
    ask.instructions = ""
    ask.context.append(Entry(item={"type": "message", "role": role, "content": [{"type": "input_text", "text": said}]}))


def _read_output(ask: Ask, param: str, item: Mapping[str, Any], calls: dict[str, bool]) -> None:
    for name in ("call_id", "output"):
        if item.get(name) is None:
            raise missing(f"{param}.{name}")
    call_id = item["call_id"]
    text()(f"{param}.call_id", call_id)
    if call_id not in calls:
        message = f"No tool call found for function call output with call_id {call_id}."
        raise ApiError(400, message, param="input")
    calls[call_id] = True
    output = _said(f"{param}.output", item["output"])
    ask.characters += len(output)
    ask.instructions = ""
    ask.context.append(Entry(item={"type": "function_call_output", "output": output}))


def _said(param: str, content: Any) -> str:
    if content is None:
        raise missing(param)
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong_type(param, "one of a string or array of objects", content)
    texts = []
    for place, part in enumerate(content):
        mapping(f"{param}[{place}]", part)
        kind = part.get("type")
        if kind is None:
            raise missing(f"{param}[{place}].type")
        one_of(*_PARTS)(f"{param}[{place}].type", kind)
        if kind.endswith("_text"):
            if part.get("text") is None:
                raise missing(f"{param}[{place}].text")
            text()(f"{param}[{place}].text", part["text"])
            texts.append(part["text"])
    return " ".join(texts)
