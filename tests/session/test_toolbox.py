"""Functions that a model may call, and what it reads when something goes wrong."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import functools
import json
import threading
import time
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from voicebridge import ConfigError, SendToolResult, Tool, ToolCall
from voicebridge.session.toolbox import Toolbox


class Unit(Enum):
    celsius = "C"
    kelvin = "K"


class Place(BaseModel):
    name: str
    height_m: float = 0


def weather(city: Annotated[str, Field(description="Its name")], days: int = 1, unit: Unit = Unit.celsius) -> Any:
    """The weather forecast.

    For some days.
    """
    return {"city": city, "days": days, "unit": unit}


async def height(place: Place) -> float:
    return place.height_m


def answer(function: Any, arguments: str, *, name: str | None = None) -> SendToolResult:
    box = Toolbox([function])
    call = ToolCall(response_id="r1", call_id="k1", name=name or function.__name__, arguments=arguments)
    result = asyncio.run(box.answer(call))
    assert result.call_id == "k1"
    assert result.respond
    return result


def test_a_signature_becomes_a_schema() -> None:
    [tool] = Toolbox([weather]).tools
    assert tool.name == "weather"
    assert tool.description == "The weather forecast.\n\nFor some days."
    schema = json.loads(json.dumps(tool.parameters))  # plain JSON all through
    assert schema["required"] == ["city"]
    assert schema["properties"]["city"] == {"type": "string", "description": "Its name"}
    assert schema["properties"]["days"] == {"type": "integer", "default": 1}
    assert schema["additionalProperties"] is False


def test_a_function_without_parameters_or_docstring() -> None:
    def stop() -> None: ...

    [tool] = Toolbox([stop]).tools
    assert tool.description == ""
    assert tool.parameters["properties"] == {}
    assert [answer(stop, text).output for text in ("", "  ", "{}")] == ["Done."] * 3


def test_arguments_are_validated_and_converted() -> None:
    assert json.loads(answer(weather, '{"city": "Bonn", "unit": "K"}').output) == {
        "city": "Bonn",
        "days": 1,
        "unit": "K",
    }
    assert answer(height, '{"place": {"name": "Bonn", "height_m": 60}}').output == "60.0"


def test_parameters_may_have_any_name() -> None:
    def odd(schema: str, model_config: int, json: bool, _hidden: int = 3) -> str:
        return f"{schema} {model_config} {json} {_hidden}"

    assert answer(odd, '{"schema": "a", "model_config": 1, "json": true}').output == "a 1 True 3"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("not json", "JSON"),
        ("[1]", "object"),
        ("{}", "city"),
        ('{"city": 3}', "city"),
        ('{"city": "Bonn", "days": "many"}', "many"),
        ('{"city": "Bonn", "day": 2}', "day"),
        ('{"city": "Bonn", "unit": "F"}', "unit"),
    ],
)
def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: str, told: str) -> None:
    result = answer(weather, arguments)
    assert result.is_error
    assert told in result.output
    assert "\n" not in result.output


def test_an_unknown_name_is_told_with_those_that_there_are() -> None:
    result = answer(weather, "{}", name="whether")
    assert result.is_error
    assert "'whether'" in result.output
    assert "weather" in result.output


@pytest.mark.parametrize("error", [ValueError("no such city"), KeyError(), StopIteration("x"), SystemExit(3)])
def test_what_a_function_raises_is_told_to_the_model(error: BaseException) -> None:
    def broken() -> None:
        raise error

    result = answer(broken, "{}")
    assert result.is_error
    assert type(error).__name__ in result.output


def test_what_an_async_function_raises_is_told_to_the_model() -> None:
    async def broken() -> None:
        raise ValueError("no such city")

    assert answer(broken, "{}").output == "ValueError: no such city"


def test_an_async_function_that_cancels_itself_is_answered_and_one_that_we_cancel_is_not() -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    assert answer(gives_up, "{}").output == "The function was cancelled."

    async def waits() -> None:
        await asyncio.sleep(3600)

    async def main() -> None:
        call = ToolCall(response_id="r1", call_id="k1", name="waits", arguments="{}")
        task = asyncio.create_task(Toolbox([waits]).answer(call))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_what_a_function_gives_after_nobody_waits_is_late_and_comes_once() -> None:
    go, late = threading.Event(), list[SendToolResult]()

    async def waits() -> None:
        await asyncio.sleep(3600)

    def hang() -> str:
        go.wait()
        return "at last"

    async def main() -> None:
        for function in (waits, hang):
            call = ToolCall(response_id="r1", call_id=function.__name__, name=function.__name__, arguments="{}")
            task = asyncio.create_task(Toolbox([function]).answer(call, late.append))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        go.set()
        while len(late) < 2:  # noqa: ASYNC110  # a thread sets it
            await asyncio.sleep(0.01)

    asyncio.run(main())
    assert [(one.call_id, one.output, one.is_error) for one in late] == [
        ("waits", "The function was cancelled.", True),
        ("hang", "at last", False),
    ]


def test_a_result_that_is_there_when_its_waiter_is_cancelled_is_late_and_comes_once() -> None:
    late, done = list[SendToolResult](), threading.Event()

    def quick() -> str:
        done.set()
        return "there"

    async def main() -> None:
        call = ToolCall(response_id="r1", call_id="k1", name="quick", arguments="{}")
        task = asyncio.create_task(Toolbox([quick]).answer(call, late.append))
        await asyncio.sleep(0)
        assert done.wait(10)
        time.sleep(0.05)  # noqa: ASYNC251  # the thread is done before the loop learns of it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert [one.output for one in late] == ["there"]


def test_results_of_plain_functions_are_written_in_their_thread() -> None:
    written: list[str] = []

    class Big:
        def __str__(self) -> str:
            written.append(threading.current_thread().name)
            return "big"

    def give() -> Any:
        return {"big": Big()}

    assert "big" in answer(give, "{}").output
    assert written == ["voicebridge tool"]


def test_an_error_that_can_not_be_written_is_told_by_its_class() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    def broken() -> None:
        raise Odd

    assert answer(broken, "{}").output == "Odd"


def test_tools_that_others_answer_are_told_to_the_model_and_left_to_them() -> None:
    box = Toolbox([weather], others=[Tool(name="lookup")])
    assert [tool.name for tool in box.tools] == ["weather", "lookup"]
    assert [box.has(name) for name in ("weather", "lookup", "whether")] == [True, False, True]
    assert not Toolbox(others=[Tool(name="lookup")]).has("whether")
    assert not Toolbox().has("whether")
    assert Toolbox(sole=True).has("whether")
    with pytest.raises(ConfigError, match="Two tools are called 'weather'"):
        Toolbox([weather], others=[Tool(name="weather")])


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "text"),
    [("as it is", "as it is"), (None, "Done."), (3, "3"), ([Point(1)], '[{"x":1}]'), ({"a"}, '["a"]')],
)
def test_results_become_text(value: Any, text: str) -> None:
    def give() -> Any:
        return value

    assert answer(give, "{}").output == text


def test_a_result_without_a_form_in_json_is_written_as_python_does() -> None:
    def give() -> Any:
        return object()

    assert answer(give, "{}").output.startswith('"<object object')


def test_plain_functions_run_in_a_thread_with_the_context_of_the_caller() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")
    who.set("me")

    def where() -> str:
        return f"{who.get()} {threading.current_thread() is threading.main_thread()}"

    assert answer(where, "{}").output == "me False"


def test_methods_and_functions_that_return_a_coroutine() -> None:
    class House:
        def door(self, open: bool) -> str:
            return f"open: {open}"

    assert answer(House().door, '{"open": true}').output == "open: True"

    def later() -> Any:
        return height(Place(name="", height_m=2))

    assert answer(later, "{}").output == "2.0"


def test_a_function_that_hangs_does_not_keep_the_program_from_ending() -> None:
    never = threading.Event()

    def hang() -> None:
        never.wait()

    async def main() -> None:
        call = ToolCall(response_id="r1", call_id="k1", name="hang", arguments="")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Toolbox([hang]).answer(call), 0.01)

    asyncio.run(main())  # comes back, though the thread waits for ever
    [thread] = [thread for thread in threading.enumerate() if thread.name == "voicebridge tool"]
    never.set()
    thread.join()


def positional(a: int, /) -> None: ...


def variable(*args: int) -> None: ...


def named(**kwargs: int) -> None: ...


def untyped(a) -> None: ...


def misspelt(a: "Nothing") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037


def strange(a: threading.Thread) -> None: ...


@pytest.mark.parametrize(
    ("tools", "told"),
    [
        ([Tool(name="search")], "'search' has no function"),
        ([lambda a: a], "function with a name"),
        ([functools.partial(weather, "Bonn")], "function with a name"),
        (["weather"], "function with a name"),
        ([weather, weather], "Two tools are called 'weather'"),
        ([positional], "can't be filled by name"),
        ([variable], "can't be filled by name"),
        ([named], "can't be filled by name"),
        ([untyped], "no type hint"),
        ([misspelt], "Nothing"),
        ([strange], "type hint of the tool 'strange'"),
    ],
)
def test_what_can_be_no_tool_is_refused(tools: list[Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        Toolbox(tools)
    assert caught.value.fault.code == "bad_tool"
