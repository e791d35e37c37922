"""What a language model is asked with, by either of its APIs. Pure.

The fields are those of the `openai` SDK 3.54: `types/chat/completion_create_params.py` and
`types/responses/response_create_params.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voicebridge.cascade.lifted_model import messages
from voicebridge.contract.config import SessionConfig, Tool
from voicebridge.contract.stages import Prompt

from .options import ChatOptions, ModelOptions
from .servers import Server

__all__ = ["chat_request", "responses_request"]

_GREET = "(Nothing was said yet. Greet the user.)"
_SPEAKS_FIRST = "(The user has called. You speak first.)"
_CHOICES = ("auto", "none", "required")


def chat_request(
    server: Server, model: str, config: SessionConfig, options: ChatOptions, prompt: Prompt
) -> dict[str, Any]:
    """The body of `chat/completions`."""
    told = _messages(prompt)
    body: dict[str, Any] = {
        "model": model,
        "messages": told if server.any_order else alternating(told),
        "stream": True,
        "stream_options": {"include_usage": True},
        **_set(options, "temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "reasoning_effort"),
        **_set(options, "verbosity", "service_tier", "safety_identifier"),
    }
    if options.stop:
        body["stop"] = list(options.stop)
    if config.max_output_tokens is not None:
        body[server.max_tokens] = config.max_output_tokens
    if prompt.tools:
        body["tools"] = [{"type": "function", "function": _function(tool)} for tool in prompt.tools]
        body |= _set(options, "parallel_tool_calls")
        if choice := _tool_choice(config, prompt.tools):
            word = choice in _CHOICES
            body["tool_choice"] = choice if word else {"type": "function", "function": {"name": choice}}
    return body | dict(options.extra_body)


def responses_request(model: str, config: SessionConfig, options: ModelOptions, prompt: Prompt) -> dict[str, Any]:
    """The body of `responses`. Nothing is stored at the vendor: the conversation is in each request."""
    instructions, items = _items(_messages(prompt))
    body: dict[str, Any] = {
        "model": model,
        "input": items,
        "stream": True,
        "store": False,
        **_set(options, "temperature", "top_p", "service_tier", "safety_identifier"),
    }
    if instructions:
        body["instructions"] = instructions
    if options.reasoning_effort is not None:
        body["reasoning"] = {"effort": options.reasoning_effort}
    if options.verbosity is not None:
        body["text"] = {"verbosity": options.verbosity}
    if config.max_output_tokens is not None:
        body["max_output_tokens"] = config.max_output_tokens
    if prompt.tools:
        body["tools"] = [{"type": "function", **_function(tool), "strict": False} for tool in prompt.tools]
        body |= _set(options, "parallel_tool_calls")
        if choice := _tool_choice(config, prompt.tools):
            body["tool_choice"] = choice if choice in _CHOICES else {"type": "function", "name": choice}
    return body | dict(options.extra_body)


def alternating(told: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The conversation as the templates of many open models want it: the instructions first and alone, and nobody
    speaks twice in a row, the user first. Notes in the middle become words of the user, and one comes before a
    greeting."""
    merged: list[dict[str, Any]] = []
    for place, message in enumerate(told):
        one = dict(message)
        if one["role"] == "system" and place:
            one = {"role": "user", "content": f"({one['content']})"}
        last = merged[-1] if merged else {}
        plain = not ({"tool_calls", "tool_call_id"} & (one.keys() | last.keys()))
        if plain and last.get("role") == one["role"]:
            merged[-1] = last | {"content": f"{last['content']}\n{one['content']}"}
        else:
            merged.append(one)
    begin = 1 if merged and merged[0]["role"] == "system" else 0
    if len(merged) > begin and merged[begin]["role"] == "assistant":
        merged.insert(begin, {"role": "user", "content": _SPEAKS_FIRST})
    return merged


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    told = messages(prompt)
    return told if prompt.items else [*told, {"role": "user", "content": _GREET}]


def _items(told: Sequence[Mapping[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The instructions, and the conversation as items of the responses API."""
    instructions, items = "", []
    for place, message in enumerate(told):
        if place == 0 and message["role"] == "system":
            instructions = message["content"]
        elif message["role"] == "tool":
            output = {"call_id": message["tool_call_id"], "output": message["content"]}
            items.append({"type": "function_call_output", **output})
        elif calls := message.get("tool_calls"):
            items += [{"type": "function_call", "call_id": call["id"], **call["function"]} for call in calls]
        else:
            items.append({"role": message["role"], "content": message["content"]})
    return instructions, items


def _function(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


def _tool_choice(config: SessionConfig, tools: Sequence[Tool]) -> str | None:
    """None: nothing is asked for, or a tool that this answer has not."""
    choice = config.tool_choice
    return choice if choice in _CHOICES or any(tool.name == choice for tool in tools) else None


def _set(options: ModelOptions, *names: str) -> dict[str, Any]:
    """Those options that were given."""
    return {name: value for name in names if (value := getattr(options, name)) is not None}
