"""Any callable, generator or runnable in the model's seat: a text agent gets a voice.

It may act or remember, so it is never asked on a guess (its traits say `unsafe`), unless wrapped with
`LiftedModel(agent, speculative="safe")`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal

from voicebridge.contract.errors import ConfigError
from voicebridge.contract.items import MessageItem, ToolCallItem, ToolResultItem
from voicebridge.contract.stages import LanguageModelTraits, Prompt, ToolRequest, Usage
from voicebridge.transport.thread import in_thread

if TYPE_CHECKING:
    from voicebridge.contract.config import SessionConfig

__all__ = ["LiftedModel", "messages"]

_MESSAGE_FIELDS = ("messages", "chat_history", "history")
_DONE = object()
_THREAD = "voicebridge stage"


class LiftedModel:
    """A callable or a runnable as a `LanguageModel`.

    What it may be, and what it is given:

    - anything with `astream` or `ainvoke` (a LangChain runnable): the conversation as a list of `{"role", "content"}`
      (see `messages`); if its input is an object, a mapping of its fields: `messages`, `chat_history` and `history`
      get that list, every other field gets the user's last words;
    - a function, coroutine function, generator or async generator: the user's last words; the whole `Prompt` if its
      first parameter is annotated with it or called `prompt`. One that is not async runs in a thread.

    It may give text, pieces of text, `ToolRequest`, `Usage`, and objects with `content` (a message).

    Args:
        speculative, memory, tools, usage: its traits, see `LanguageModelTraits`.
        input: makes the input from the `Prompt`, instead of the rules above.
    """

    def __init__(
        self,
        model: Any,
        *,
        speculative: Literal["safe", "unsafe"] = "unsafe",
        memory: Literal["prompt", "own"] = "prompt",
        tools: bool = False,
        usage: Literal["exact", "estimated", "none"] = "none",
        input: Callable[[Prompt], Any] | None = None,
    ) -> None:
        self.traits = LanguageModelTraits(speculative=speculative, memory=memory, tools=tools, usage=usage)
        self._run = _runner(model)
        self._input = input or _input_of(model)

    def configure(self, config: SessionConfig) -> None:
        """Nothing to set: it is the caller's own."""

    async def warm(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def respond(self, prompt: Prompt) -> AsyncIterator[str | ToolRequest | Usage]:
        """Ask it, and pass on what it gives as it comes."""
        async with aclosing(self._run(self._input(prompt))) as outputs:
            async for output in outputs:
                if isinstance(output, (ToolRequest, Usage)):
                    yield output
                elif text := _text(output):
                    yield text


def messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The conversation as `{"role", "content"}`, the instructions first, for what takes messages.

    Calls of tools are `tool_calls` of the assistant, their results messages of the role `tool`, as chat models take
    them. Calls that follow each other were made at once.
    """
    told: list[dict[str, Any]] = []
    if prompt.instructions:
        told.append({"role": "system", "content": prompt.instructions})
    for item in prompt.items:
        if isinstance(item, MessageItem):
            told.append({"role": item.role, "content": item.text})
        elif isinstance(item, ToolResultItem):
            told.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
        else:
            if not (told and "tool_calls" in told[-1]):
                told.append({"role": "assistant", "content": "", "tool_calls": []})
            told[-1]["tool_calls"].append(_tool_call(item))
    return told


def _tool_call(item: ToolCallItem) -> dict[str, Any]:
    arguments = item.arguments if item.arguments.strip() else "{}"
    try:
        json.loads(arguments)
    except ValueError:  # a model wrote that; whoever reads messages takes nothing but JSON
        arguments = json.dumps({"invalid": arguments})
    return {"id": item.call_id, "type": "function", "function": {"name": item.name, "arguments": arguments}}


def _last_words(prompt: Prompt) -> str:
    users = (item.text for item in reversed(prompt.items) if isinstance(item, MessageItem) and item.role == "user")
    return next(users, "")


def _runner(model: Any) -> Callable[[Any], Any]:
    """A function that makes an async generator of outputs."""
    if hasattr(model, "astream"):
        return lambda given: _each(model.astream(given))
    call = model.ainvoke if hasattr(model, "ainvoke") else model
    if not callable(call):
        raise ConfigError(
            f"{type(model).__name__} can't be a language model. Give a stage's name such as "
            "'local/gemma-3-270m', a function of the user's words, or anything with `astream` or `ainvoke`."
        )
    return lambda given: _call(call, given)


async def _call(call: Callable[[Any], Any], given: Any) -> AsyncGenerator[Any]:
    inner = call if inspect.isroutine(call) else type(call).__call__
    is_async = inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)
    result = call(given) if is_async else await in_thread(lambda: call(given), _THREAD)
    if inspect.isawaitable(result):
        result = await result
    async with aclosing(_each(result)) as outputs:
        async for output in outputs:
            yield output


async def _each(result: Any) -> AsyncGenerator[Any]:
    """What a result consists of: itself, or what it yields."""
    if hasattr(result, "__aiter__"):
        iterator = aiter(result)
        try:
            async for output in iterator:
                yield output
        finally:
            if hasattr(iterator, "aclose"):
                await iterator.aclose()
    elif isinstance(result, Iterator):
        while (output := await in_thread(lambda: next(result, _DONE), _THREAD)) is not _DONE:
            yield output
    elif result is not None:
        yield result


def _text(output: Any) -> str:
    """The words of an output: of a string, of a message, or of a message's list of parts."""
    content = getattr(output, "content", output)
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
    raise ConfigError(
        f"The model gave a {type(output).__name__}, which can't be spoken. It should give text, pieces of text or "
        "messages with `content`.",
        code="unspeakable",
    )


def _input_of(model: Any) -> Callable[[Prompt], Any]:
    if hasattr(model, "astream") or hasattr(model, "ainvoke"):
        fields = _fields_of(model)
        if not fields:
            return messages
        return lambda prompt: {
            name: messages(prompt) if name in _MESSAGE_FIELDS else _last_words(prompt) for name in fields
        }
    try:
        first = next(iter(inspect.signature(model).parameters.values()), None)
    except (TypeError, ValueError):
        first = None
    takes_prompt = first is not None and (first.name == "prompt" or first.annotation in (Prompt, "Prompt"))
    return (lambda prompt: prompt) if takes_prompt else _last_words


def _fields_of(runnable: Any) -> tuple[str, ...]:
    """The fields of a runnable whose input is an object, such as a prompt template's variables."""
    describe = getattr(runnable, "get_input_jsonschema", None)
    try:
        schema = describe() if describe else {}
    except Exception:  # a runnable need not be able to describe its input; it then takes messages
        return ()
    return tuple(schema.get("properties", {})) if schema.get("type") == "object" else ()
