"""Functions that a model may call: their signature becomes a JSON schema, their docstring the description.

    def weather(city: str, days: int = 1) -> str:
        "The weather forecast for a city."

What goes wrong in a call (a name that is not there, arguments that do not fit, an exception) becomes a result that the
model can read, because it is the model that can do something about it.

Every function that began gives exactly one result: `answer` returns it, or, where that was cancelled, `late` gets it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import to_json

from voicebridge.contract.commands import SendToolResult
from voicebridge.contract.config import Tool
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import ToolCall
from voicebridge.transport.thread import in_thread

__all__ = ["Toolbox"]

_CANCELLED = "The function was cancelled."
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
        others: tools that somebody else answers. The model is told of them as well.
        sole: whether a call of a name that nothing has is answered here, in words. None: where there is a function.

    Raises:
        ConfigError: something is no function that a model could call, or two tools have one name.
    """

    def __init__(
        self,
        functions: Iterable[Callable[..., Any]] = (),
        *,
        others: Iterable[Tool] = (),
        sole: bool | None = None,
    ) -> None:
        self.tools: tuple[Tool, ...] = ()
        """What the session is told of them: the functions, then the others."""
        self._functions: dict[str, _Function] = {}
        for function in functions:
            self._add(function)
        self._others = tuple(others)
        self._other_names = frozenset(tool.name for tool in self._others)
        for tool in self._others:
            self._refuse_twice(tool.name)
            self.tools += (tool,)
        self._sole = bool(self._functions) if sole is None else sole

    def has(self, name: str) -> bool:
        """Whether a call of that name is answered here."""
        return name in self._functions or (self._sole and name not in self._other_names)

    async def answer(
        self, call: ToolCall, late: Callable[[SendToolResult], None] = lambda result: None
    ) -> SendToolResult:
        """Run the function that was called; what it returned or what went wrong, for the model to read.

        Args:
            late: gets the result of a function that had begun when this was cancelled. A plain function can't be
                stopped: it runs to its end, and `late` is called in its thread.
        """
        wanted = self._functions.get(call.name)
        if wanted is None:
            there = f"There are: {', '.join(tool.name for tool in self.tools)}." if self.tools else "There are none."
            return _problem(call, f"There is no tool {call.name!r}. {there}")
        try:
            function = partial(wanted.function, **wanted.read(call.arguments))
        except ValidationError as error:
            return _problem(call, f"The arguments do not fit: {_in_words(error)}")
        if inspect.iscoroutinefunction(wanted.function):
            return await _awaited(call, function(), late)
        given = await _Errand(call, function, late).run()
        return given if isinstance(given, SendToolResult) else await _awaited(call, given, late)

    def _refuse_twice(self, name: str) -> None:
        if any(tool.name == name for tool in self.tools):
            raise ConfigError(f"Two tools are called {name!r}.", code="bad_tool")

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
        self._refuse_twice(name)
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


class _Errand:
    """A plain function in a thread of its own.

    Its result is returned or is late, never both: whoever of the thread and the one who waits is second knows which.
    """

    def __init__(self, call: ToolCall, function: Callable[[], Any], late: Callable[[SendToolResult], None]) -> None:
        self._call, self._function, self._late = call, function, late
        self._lock = threading.Lock()
        self._given: SendToolResult | Awaitable[Any] | None = None
        self._left = False
        """Nobody waits any more."""

    async def run(self) -> SendToolResult | Awaitable[Any]:
        """The result, or what is still to be awaited for one."""
        try:
            return await in_thread(self._work, "voicebridge tool")
        except asyncio.CancelledError:
            with self._lock:
                self._left, given = True, self._given
            if given is not None:
                self._give_late(given)
            raise
        except RuntimeError as error:  # no thread could be had
            return _problem(self._call, _error_told(error))

    def _work(self) -> SendToolResult | Awaitable[Any]:
        given: SendToolResult | Awaitable[Any]
        try:
            value = self._function()
            given = value if inspect.isawaitable(value) else _result(self._call, value)
        except BaseException as error:  # of any kind, SystemExit too: the function belongs to the application
            given = _problem(self._call, _error_told(error))
        with self._lock:
            self._given, left = given, self._left
        if left:
            self._give_late(given)
        return given

    def _give_late(self, given: SendToolResult | Awaitable[Any]) -> None:
        if inspect.iscoroutine(given):
            given.close()
        self._late(given if isinstance(given, SendToolResult) else _problem(self._call, _CANCELLED))


async def _awaited(call: ToolCall, running: Awaitable[Any], late: Callable[[SendToolResult], None]) -> SendToolResult:
    """What an async function gives."""
    try:
        return _result(call, await running)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            late(_problem(call, _CANCELLED))
            raise
        return _problem(call, _CANCELLED)  # by itself, not by us
    except (Exception, SystemExit) as error:  # of any kind: the function belongs to the application
        return _problem(call, _error_told(error))


def _result(call: ToolCall, value: Any) -> SendToolResult:
    return SendToolResult(call_id=call.call_id, output=_written(value))


def _written(result: Any) -> str:
    """A result as text: strings as they are, nothing as `Done.`, the rest as JSON."""
    if result is None:
        return "Done."
    return result if isinstance(result, str) else to_json(result, fallback=str).decode()


def _problem(call: ToolCall, message: str) -> SendToolResult:
    return SendToolResult(call_id=call.call_id, output=message, is_error=True)


def _error_told(error: BaseException) -> str:
    kind = type(error).__name__
    try:
        return f"{kind}: {error}" if str(error) else kind
    except Exception:  # it can't be written: its class says enough
        return kind


def _in_words(error: ValidationError) -> str:
    problems = []
    for one in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in one["loc"])
        given = "" if one["type"] in ("missing", "json_invalid") else f" (got {json.dumps(one['input'], default=str)})"
        problems.append(f"{where + ': ' if where else ''}{one['msg']}{given}")
    return "; ".join(problems) + "."
