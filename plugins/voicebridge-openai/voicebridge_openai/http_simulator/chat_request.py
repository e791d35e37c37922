"""Reads the body of POST /chat/completions. Pure.

Fields are those of the openai SDK 3.54. A guess: that `n` above 1 is taken and ignored, and what is answered where
several things are wrong at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..simulator.conversation import Entry
from .api_error import ApiError, missing, unknown_value, unsupported, wrong_type
from .ask import Ask
from .body_fields import Check, array, check_name, flag, integer, mapping, named, number, one_of, text
from .dialects import HttpDialect
from .known_models import Family

__all__ = ["read_chat"]

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_MOST_STOPS = 4


def _stop(param: str, value: Any) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list) or any(not isinstance(one, str) for one in value):
        raise wrong_type(param, "a string or an array of strings", value)
    if len(value) > _MOST_STOPS:
        message = (
            f"Invalid '{param}': array too long. Expected an array with maximum length {_MOST_STOPS}, but got an array "
            f"with length {len(value)} instead."
        )
        raise ApiError(400, message, code="array_above_max_length", param=param)


def _anything(param: str, value: Any) -> None:
    """Taken, and without effect here."""


_RULES: Mapping[str, Check] = {
    "model": text(),
    "messages": array,
    "stream": flag,
    "stream_options": mapping,
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "max_tokens": integer(1),
    "max_completion_tokens": integer(1),
    "n": integer(1, 128),
    "seed": integer(-(2**63), 2**63 - 1),
    "stop": _stop,
    "tools": array,
    "parallel_tool_calls": flag,
    "logprobs": flag,
    "top_logprobs": integer(0, 20),
    "logit_bias": mapping,
    "response_format": mapping,
    "reasoning_effort": one_of(*_EFFORTS),
    "verbosity": one_of("low", "medium", "high"),
    "service_tier": one_of("auto", "default", "flex", "scale", "priority", "fast"),
    "store": flag,
    "metadata": mapping,
    "user": text(),
    "prompt_cache_key": text(),
    "safety_identifier": text(),
    **dict.fromkeys(
        (
            *("audio", "function_call", "functions", "modalities", "moderation", "prediction", "prompt_cache_options"),
            *("prompt_cache_retention", "tool_choice", "web_search_options"),
        ),
        _anything,
    ),
}


def read_chat(body: dict[str, Any], dialect: HttpDialect, family: Family | None) -> Ask:
    """What is asked.

    Args:
        family: of the model, with its own rules; None: it has none.

    Raises:
        ApiError: something does not fit.
    """
    strict = dialect.strict
    unknown = sorted(set(body) - set(_RULES)) if strict else []
    if unknown:
        message = f"Unrecognized request argument{'s' if len(unknown) > 1 else ''} supplied: {', '.join(unknown)}"
        raise ApiError(400, message)
    named(body, _RULES, ())
    if not body.get("model") and dialect.needs_model:
        raise ApiError(400, "you must provide a model parameter")
    if body.get("messages") is None:
        raise missing("messages")
    stream = bool(body.get("stream"))
    if strict and body.get("stream_options") and not stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(400, message, param="stream_options")
    if family is not None:
        _check_family(body, family)
    tools = [_tool(index, tool) for index, tool in enumerate(body.get("tools") or ())]
    options = body.get("stream_options") or {}
    stop = body.get("stop") or ()
    ask = Ask(
        model=body.get("model") or "default",
        tools=tools,
        choice=_choice(body.get("tool_choice"), tools, strict),
        most_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        stream=stream,
        wants_usage=bool(options.get("include_usage")),
        pads=options.get("include_obfuscation") is not False,
        body=body,
    )
    _read_messages(ask, body["messages"])
    if dialect.alternates:
        _check_order(body["messages"])
    return ask


def _check_family(body: Mapping[str, Any], family: Family) -> None:
    if not family.stops and body.get("stop") is not None:
        raise unsupported("stop")
    if not family.reasons:
        if body.get("reasoning_effort") is not None:
            raise ApiError(400, "Unrecognized request argument supplied: reasoning_effort")
        return
    if body.get("max_tokens") is not None:
        raise unsupported("max_tokens", "max_completion_tokens")
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            message = (
                f"Unsupported value: '{name}' does not support {body[name]:g} with this model. Only the default (1) "
                "value is supported."
            )
            raise ApiError(400, message, code="unsupported_value", param=name)


def _tool(index: int, tool: Any) -> dict[str, Any]:
    param = f"tools[{index}]"
    mapping(param, tool)
    one_of("function", "custom")(f"{param}.type", tool.get("type"))
    kind = tool["type"]
    if tool.get(kind) is None:
        raise missing(f"{param}.{kind}")
    mapping(f"{param}.{kind}", tool[kind])
    check_name(f"{param}.{kind}.name", tool[kind].get("name"))
    if tool[kind].get("parameters") is not None:
        mapping(f"{param}.{kind}.parameters", tool[kind]["parameters"])
    return {**tool[kind], "type": kind}


def _choice(choice: Any, tools: list[dict[str, Any]], strict: bool) -> Any:
    if choice is None:
        return "auto"
    if strict and not tools:
        raise ApiError(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if isinstance(choice, str):
        one_of("none", "auto", "required")("tool_choice", choice)
        return choice
    mapping("tool_choice", choice)
    function = choice.get("function")
    if choice.get("type") != "function" or not isinstance(function, dict):
        return "auto"
    name = function.get("name")
    if strict and name not in [tool["name"] for tool in tools]:
        message = f"Tool choice 'function.{name}' not found in 'tools' parameter."
        raise ApiError(400, message, param="tool_choice")
    return {"type": "function", "name": name}


def _read_messages(ask: Ask, messages: list[Any]) -> None:
    if not messages:
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise ApiError(400, message, code="empty_array", param="messages")
    open_calls: dict[str, None] = {}
    for index, message in enumerate(messages):
        param = f"messages[{index}]"
        mapping(param, message)
        role = message.get("role")
        if role is None:
            raise missing(f"{param}.role")
        if role not in _ROLES:
            raise unknown_value(f"{param}.role", role, _ROLES)
        if open_calls and role != "tool":
            raise _unanswered(open_calls, index)
        said = _said(f"{param}.content", message, role)
        ask.characters += len(said)
        if role == "tool":
            _close_call(open_calls, message, index)
            ask.context.append(Entry(item={"type": "function_call_output", "output": said}))
        elif role in ("system", "developer"):
            ask.instructions = said if ask.context else ""
            continue
        else:
            open_calls.update(_calls(ask, param, message))
            part = {"type": "input_text", "text": said}
            ask.context.append(Entry(item={"type": "message", "role": role, "content": [part]}))
        ask.instructions = ""
    if open_calls:
        raise _unanswered(open_calls, len(messages))


def _check_order(messages: list[dict[str, Any]]) -> None:
    """As the templates of many models check it; tools are left out of it."""
    roles = [one["role"] for one in messages if one["role"] != "tool" and not one.get("tool_calls")]
    if roles and roles[0] in ("system", "developer"):
        del roles[0]
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(roles)):
        message = "Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/..."
        raise ApiError(500, message, kind="server_error")


def _said(param: str, message: Mapping[str, Any], role: str) -> str:
    content = message.get("content")
    if content is None:
        if role == "assistant":
            return ""
        raise ApiError(
            400,
            "Invalid value for 'content': expected a string, got null.",
            param=param.replace("messages", "messages.", 1),
        )
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong_type(param, "one of a string or array of objects", content)
    texts = []
    for place, part in enumerate(content):
        mapping(f"{param}[{place}]", part)
        kinds = ("text", "image_url", "input_audio", "refusal", "audio", "file")
        one_of(*kinds)(f"{param}[{place}].type", part.get("type"))
        if part["type"] == "text":
            if part.get("text") is None:
                raise missing(f"{param}[{place}].text")
            text()(f"{param}[{place}].text", part["text"])
            texts.append(part["text"])
    return " ".join(texts)


def _calls(ask: Ask, param: str, message: Mapping[str, Any]) -> dict[str, None]:
    found: dict[str, None] = {}
    calls = message.get("tool_calls") or []
    array(f"{param}.tool_calls", calls)
    for place, call in enumerate(calls):
        where = f"{param}.tool_calls[{place}]"
        mapping(where, call)
        text()(f"{where}.id", call.get("id"))
        function = call.get(str(call.get("type") or "function"))
        if function is None:
            raise missing(f"{where}.function")
        mapping(f"{where}.function", function)
        ask.characters += len(str(function.get("name"))) + len(str(function.get("arguments") or ""))
        found[call["id"]] = None
    return found


def _close_call(open_calls: dict[str, None], message: Mapping[str, Any], index: int) -> None:
    call_id = message.get("tool_call_id")
    if call_id is None:
        raise missing(f"messages[{index}].tool_call_id")
    text()(f"messages[{index}].tool_call_id", call_id)
    if call_id not in open_calls:
        problem = (
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
        )
        raise ApiError(400, problem, param=f"messages.[{index}].role")
    del open_calls[call_id]


def _unanswered(open_calls: Mapping[str, None], index: int) -> ApiError:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
    )
    return ApiError(400, message, param=f"messages.[{index}].role")
