"""Functions that a model may call: their signature becomes a JSON schema, their docstring the description.

    def weather(city: str, days: int = 1) -> str:
        "The weather forecast for a city."

What goes wrong in a call (a name that is not there, arguments that do not fit, an exception) becomes a result that the
model can read, because it is the model that can do something about it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import to_json

from voicebridge.contract.commands import SendToolResult
from voicebridge.contract.config import Tool
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import ToolCall
from voicebridge.transport.thread import in_thread

__all__ = ["Toolbox"]

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class _Function:
    """A function, and the pydantic model that its arguments must fit."""

    function: Callable[..., Any]
    arguments: type[BaseModel]

    def read(self, text: str) -> dict[str, Any]:
        """The arguments in a model's JSON. None at all may also be written as an empty text.

        Raises:
            ValidationError: they do not fit.
        """
        values = self.arguments.model_validate_json(text if text.strip() else "{}")
        fields = type(values).model_fields
        return {str(field.alias): getattr(values, name) for name, field in fields.items()}


class Toolbox:
    """The functions of an agent, by name.

    Args:
        functions: plain functions, run in a thread of their own, or async ones, run in the event loop. Every parameter
            has a type hint; `Annotated[str, pydantic.Field(description=...)]` describes one to the model.

    Raises:
        ConfigError: something is no function that a model could call.
    """

    def __init__(self, functions: Iterable[Callable[..., Any]] = ()) -> None:
        self.tools: tuple[Tool, ...] = ()
        """What the session is told of them."""
        self._functions: dict[str, _Function] = {}
        for function in functions:
            self._add(function)

    async def answer(self, call: ToolCall) -> SendToolResult:
        """Run the function that was called; what it returned or what went wrong, for the model to read."""
        wanted = self._functions.get(call.name)
        if wanted is None:
            there = f"There are: {', '.join(self._functions)}." if self._functions else "There are none."
            return _problem(call, f"There is no tool {call.name!r}. {there}")
        try:
            arguments = wanted.read(call.arguments)
        except ValidationError as error:
            return _problem(call, f"The arguments do not fit: {_in_words(error)}")
        try:
            result = await _called(wanted.function, arguments)
            return SendToolResult(call_id=call.call_id, output=_written(result))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _problem(call, "The function was cancelled.")  # by itself, not by us
        except Exception as error:  # of any kind: the function belongs to the application
            return _problem(call, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    def _add(self, function: Callable[..., Any]) -> None:
        if isinstance(function, Tool):
            raise ConfigError(
                f"The tool {function.name!r} has no function that VoiceAgent could run. Give the function itself, or "
                "use voicebridge.connect and answer each ToolCall with SendToolResult.",
                code="bad_tool",
            )
        name = getattr(function, "__name__", "")
        if not callable(function) or not name.isidentifier():
            raise ConfigError(f"A tool is a function with a name, not {function!r}.", code="bad_tool")
        if name in self._functions:
            raise ConfigError(f"Two tools are called {name!r}.", code="bad_tool")
        self._functions[name] = _Function(function, _arguments(name, function))
        self.tools += (_tool(name, self._functions[name]),)


def _arguments(name: str, function: Callable[..., Any]) -> type[BaseModel]:
    """A pydantic model with a field for each parameter. Fields are numbered: a parameter may have any name, by alias.

    Raises:
        ConfigError: the signature is none that JSON arguments can fill.
    """
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters
    except (NameError, TypeError, ValueError) as error:
        raise ConfigError(f"The signature of the tool {name!r} can't be read: {error}.", code="bad_tool") from error
    fields: dict[str, Any] = {}
    for number, (called, parameter) in enumerate(parameters.items()):
        if parameter.kind not in _NAMED:
            raise ConfigError(
                f"The tool {name!r} takes {parameter}, which can't be filled by name. Give it plain parameters.",
                code="bad_tool",
            )
        if called not in hints:
            raise ConfigError(
                f"The parameter {called!r} of the tool {name!r} has no type hint, so the model could not know what "
                f"goes there. Write for example `{called}: str`.",
                code="bad_tool",
            )
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[f"argument_{number}"] = (hints[called], Field(default, alias=called))
    try:
        return create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
    except Exception as error:  # pydantic raises several kinds for a hint that it has no schema for
        first_line = str(error).partition("\n")[0]
        raise ConfigError(f"A type hint of the tool {name!r} can't be used: {first_line}", code="bad_tool") from error


def _tool(name: str, function: _Function) -> Tool:
    try:
        schema = function.arguments.model_json_schema()
    except Exception as error:  # as above: a type that is checked but has no form in JSON
        first_line = str(error).partition("\n")[0]
        raise ConfigError(f"A type hint of the tool {name!r} can't be used: {first_line}", code="bad_tool") from error
    schema.pop("title", None)
    for parameter in schema.get("properties", {}).values():
        parameter.pop("title", None)  # "Argument 0": of our own making
    schema.setdefault("properties", {})
    return Tool(name=name, description=inspect.getdoc(function.function) or "", parameters=schema)


async def _called(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    result = await in_thread(lambda: function(**arguments), "voicebridge tool")
    return await result if inspect.isawaitable(result) else result


def _written(result: Any) -> str:
    """A result as text: strings as they are, nothing as `Done.`, the rest as JSON."""
    if result is None:
        return "Done."
    return result if isinstance(result, str) else to_json(result, fallback=str).decode()


def _problem(call: ToolCall, message: str) -> SendToolResult:
    return SendToolResult(call_id=call.call_id, output=message, is_error=True)


def _in_words(error: ValidationError) -> str:
    problems = []
    for one in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in one["loc"])
        given = "" if one["type"] in ("missing", "json_invalid") else f" (got {json.dumps(one['input'], default=str)})"
        problems.append(f"{where + ': ' if where else ''}{one['msg']}{given}")
    return "; ".join(problems) + "."
