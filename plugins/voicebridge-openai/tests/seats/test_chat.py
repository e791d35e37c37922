"""Chat completions: bytes in, words and calls out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Progress, ToolRequest, Usage
from voicebridge.transport.http_patience import is_useful
from voicebridge_openai.seats.chat import ChatBody
from voicebridge_openai.seats.thoughts import ThoughtFilter

from .scripted_server import sse


def delta(content: Any = None, *, finish: str | None = None, usage: Any = None, **more: Any) -> dict[str, Any]:
    """One chunk."""
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "choices": [choice], "usage": usage}


def read(data: bytes, step: int = 0, asked: int = 0, thoughts: Any = "tagged") -> list[Any]:
    """All outputs, the bytes cut into pieces of `step`, and what only says that the model lives left out."""
    ids = iter(f"call_made_{n}" for n in range(9))
    body = ChatBody(asked, new_id=lambda: next(ids), thoughts=thoughts)
    outputs: list[Any] = []
    for start in range(0, len(data), step or len(data)):
        outputs += body.feed(data[start : start + (step or len(data))])
    outputs += body.end()
    return [output for output in outputs if output not in ("", Progress())]


def words(outputs: list[Any]) -> str:
    """The text among outputs."""
    return "".join(output for output in outputs if isinstance(output, str))


USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 8}}
WHOLE = sse(
    delta(role="assistant"),
    delta("Grüß "),
    delta("dich. "),
    delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": ""}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}]),
    delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "wait", "arguments": ""}}]),
    delta(tool_calls=[{"index": 0, "function": {"arguments": ' "Ulm"}'}}]),
    delta(finish="tool_calls"),
    {"choices": [], "usage": USAGE},
    "[DONE]",
)


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7, 64])
def test_words_calls_and_usage_however_the_bytes_are_cut(step: int) -> None:
    outputs = read(WHOLE, step)
    assert words(outputs) == "Grüß dich. "
    assert outputs[-3:-1] == [ToolRequest("a", "look", '{"city": "Ulm"}'), ToolRequest("b", "wait", "{}")]
    assert outputs[-1] == Usage({"input_text_tokens": 4.0, "cached_text_tokens": 8.0, "output_text_tokens": 3.0})


def test_what_compatible_servers_leave_out() -> None:
    outputs = read(sse({"choices": [{"delta": {"content": "Hi."}, "finish_reason": "stop"}]}), asked=40)
    assert outputs == ["Hi.", Usage({"input_text_tokens": 10.0, "output_text_tokens": 1.0}, basis="estimated")]
    no_reason = read(sse({"choices": [{"delta": {"content": "Hi."}}]}, "[DONE]"))
    assert words(no_reason) == "Hi."
    no_blank_line = read(sse(delta("Hi.", finish="stop")).rstrip(b"\n"))
    assert words(no_blank_line) == "Hi."


def test_usage_with_every_chunk_is_told_once() -> None:
    growing = [delta("a", usage={"prompt_tokens": 5, "completion_tokens": n}) for n in (1, 2, 3)]
    outputs = read(sse(*growing, delta(finish="stop"), "[DONE]"))
    assert [output for output in outputs if isinstance(output, Usage)] == [
        Usage({"input_text_tokens": 5.0, "output_text_tokens": 3.0})
    ]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([{"id": "x", "function": {"name": "f", "arguments": {"a": 1}}}], [ToolRequest("x", "f", '{"a":1}')]),
        ([{"function": {"name": "f", "arguments": "{}"}}], [ToolRequest("call_made_0", "f", "{}")]),
        ([{"index": 0, "id": "x", "function": {"name": "f", "arguments": "{oops"}}], [ToolRequest("x", "f", "{oops")]),
        (
            [{"index": 0, "id": i, "function": {"name": "f", "arguments": "{}"}} for i in ("x", "y")],
            [ToolRequest("x", "f", "{}"), ToolRequest("y", "f", "{}")],
        ),
        (
            [{"id": "x", "function": {"name": "f", "arguments": '{"a"'}}, {"function": {"arguments": ":1}"}}],
            [ToolRequest("x", "f", '{"a":1}')],
        ),
        (
            [
                {"index": 0, "id": "x", "function": {"name": "f"}},
                {"index": 0, "id": "x", "function": {"arguments": "1"}},
            ],
            [ToolRequest("x", "f", "1")],
        ),
        (
            [
                {"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}},
                {"index": 0, "function": {"name": "g", "arguments": '{"b":2}'}},
                {"index": 0, "function": {"name": "g", "arguments": '{"b":3}'}},
            ],
            [
                ToolRequest("call_made_0", "f", '{"a":1}'),
                ToolRequest("call_made_1", "g", '{"b":2}'),
                ToolRequest("call_made_2", "g", '{"b":3}'),
            ],
        ),
        (
            [{"function": {"name": "f", "arguments": piece}} for piece in ("", '{"a"', ":1}")],
            [ToolRequest("call_made_0", "f", '{"a":1}')],
        ),
        (
            [{"index": 0, "id": "x", "function": {"name": "f", "arguments": piece}} for piece in ('{"a":1}', "")],
            [ToolRequest("x", "f", '{"a":1}')],
        ),
    ],
    ids=["object", "no-id", "no-json", "all-index-0", "no-index", "id-repeated", "whole", "name-repeated", "empty-end"],
)
def test_calls_as_servers_tell_them(pieces: list[Any], expected: list[ToolRequest]) -> None:
    outputs = read(sse(*(delta(tool_calls=[piece]) for piece in pieces), delta(finish="tool_calls"), "[DONE]"))
    assert outputs[:-1] == expected


def test_a_call_without_a_name_is_an_error() -> None:
    with pytest.raises(VoiceBridgeError, match="without a name") as caught:
        read(sse(delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]), delta(finish="tool_calls")))
    assert caught.value.category == "protocol"


def test_thoughts_are_not_spoken() -> None:
    events = [delta("<thi"), delta("nk>Hm. a < b</th"), delta("ink>\n\nTwo"), delta(" < three.")]
    assert words(read(sse(*events, delta(finish="stop")))) == "Two < three."
    aside = [delta(None, reasoning_content="Let me see."), delta("Yes.", reasoning="more")]
    assert words(read(sse(*aside, delta(finish="stop")))) == "Yes."


@pytest.mark.parametrize(
    "event",
    [
        delta(None, reasoning_content="Hm"),
        delta("<think>Hm"),
        delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"a": "lo'}}]),
    ],
    ids=["reasoning", "tagged", "call"],
)
def test_a_model_that_thinks_or_writes_a_call_makes_progress(event: dict[str, Any]) -> None:
    outputs = list(ChatBody().feed(sse(event)))
    assert outputs == [Progress()]
    assert is_useful(outputs[0])


@pytest.mark.parametrize("arguments", ['{"text": "Dear', ""], ids=["half", "none"])
def test_a_call_that_the_limit_cut_off_is_not_run(arguments: str) -> None:
    call = delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "send", "arguments": arguments}}])
    with pytest.raises(VoiceBridgeError, match=r"send.*max_output_tokens") as caught:
        read(sse(call, delta(finish="length"), "[DONE]"))
    assert caught.value.fault.code == "max_output_tokens"


def test_a_call_that_was_whole_before_the_limit_is_run() -> None:
    call = delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "send", "arguments": '{"a": 1}'}}])
    assert read(sse(call, delta(finish="length"), "[DONE]"))[0] == ToolRequest("a", "send", '{"a": 1}')


def test_thoughts_that_the_template_opened() -> None:
    together = sse(delta("The user greets. </think>\n\nHello!"), delta(finish="stop"))
    assert words(read(together)) == "Hello!"
    cut = sse(delta("Hm, "), delta("no. </th"), delta("ink>\n\nHello, use <think>"), delta(finish="stop"))
    assert words(read(cut, thoughts="opened")) == "Hello, use "
    assert words(read(cut)) == "Hm, no. Hello, use "  # what was passed on stays


@pytest.mark.parametrize(
    "event",
    [delta("<think>Hm, hm"), delta(None, reasoning_content="Hm, hm")],
    ids=["tagged", "reasoning"],
)
def test_an_answer_that_was_all_thought_is_an_error(event: dict[str, Any]) -> None:
    with pytest.raises(VoiceBridgeError, match="max_output_tokens") as caught:
        read(sse(event, delta(finish="length"), "[DONE]"))
    assert caught.value.fault.code == "only_thoughts"


@pytest.mark.parametrize("step", [1, 2, 5, 99])
def test_the_thought_filter_loses_nothing_else(step: int) -> None:
    text = "a <b> <think>no <think></think>c</thin> <think>x</think>d <th"
    thoughts = ThoughtFilter()
    said = "".join(thoughts.feed(text[i : i + step]) for i in range(0, len(text), step)) + thoughts.flush()
    assert said == "a <b> c</thin> d <th"


def test_an_answer_that_the_filter_stopped() -> None:
    with pytest.raises(VoiceBridgeError) as caught:
        read(sse(delta("Well, "), delta(finish="content_filter"), "[DONE]"))
    assert (caught.value.category, caught.value.retryable) == ("content", False)


def test_an_answer_that_is_too_long_just_ends() -> None:
    assert words(read(sse(delta("One two"), delta(finish="length"), "[DONE]"))) == "One two"


@pytest.mark.parametrize(
    ("error", "category"),
    [
        ({"message": "Slow down", "code": "rate_limit_exceeded", "type": "requests"}, "rate"),
        ({"message": "too long", "code": 400, "type": "exceed_context_size_error"}, "config"),
        ("out of memory", "protocol"),
    ],
    ids=["openai", "llama-cpp", "text"],
)
def test_an_error_in_the_middle_of_the_stream(error: Any, category: str) -> None:
    with pytest.raises(VoiceBridgeError) as caught:
        read(sse(delta("Well"), {"error": error}))
    assert caught.value.category == category
    assert not str(caught.value).startswith("The server reported an error")


def test_an_error_that_is_no_event() -> None:
    with pytest.raises(VoiceBridgeError, match="ran out of memory"):
        read(sse(delta("Well")) + b'{"error": {"message": "it ran out of memory", "type": "api_error"}}\n', 7)


def test_an_answer_that_breaks_off() -> None:
    with pytest.raises(VoiceBridgeError, match="broke off") as caught:
        read(sse(delta("Well")))
    assert (caught.value.category, caught.value.retryable) == ("network", True)


def test_one_object_instead_of_a_stream() -> None:
    message = {"role": "assistant", "content": "Hi.", "tool_calls": [{"id": "x", "function": {"name": "f"}}]}
    whole = b'{"choices": [{"index": 0, "message": %b, "finish_reason": "stop"}], "usage": null}'
    outputs = read(whole % orjson.dumps(message), 5)
    assert outputs[:2] == ["Hi.", ToolRequest("x", "f", "{}")]


@pytest.mark.parametrize(
    "data",
    [b"data: {\n\n", b"data: []\n\n", b"data: 1\n\n", b"data: \xff\xfe\n\n", b"{", b'{"choices": [}'],
    ids=["cut", "list", "number", "no-utf8", "brace", "bad-object"],
)
def test_what_is_no_answer_is_an_error(data: bytes) -> None:
    with pytest.raises(VoiceBridgeError) as caught:
        read(data)
    assert caught.value.category in ("protocol", "network")


@pytest.mark.parametrize(
    "event",
    [
        {"choices": None},
        {"choices": [None, 1, {"index": "x"}]},
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": [{"index": 0, "delta": {"content": 3, "tool_calls": [None, 1]}}]},
        {"choices": [{"index": 0, "delta": {"content": [{"type": "thinking", "text": "x"}, {"text": ""}]}}]},
        {"choices": [{"index": 1, "delta": {"content": "another answer"}}]},
        {"usage": {"prompt_tokens": "many", "completion_tokens": -1}},
    ],
    ids=["null", "odd-choices", "null-delta", "odd-types", "parts", "second-choice", "odd-usage"],
)
def test_odd_chunks_are_borne(event: dict[str, Any]) -> None:
    body = ChatBody()
    assert not words(list(body.feed(sse(event))))
    assert words(list(body.feed(sse(delta("Hi.", finish=None), "[DONE]")))) == "Hi."
