"""The responses API: bytes in, words and calls out."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Progress, ToolRequest, Usage
from voicebridge.transport.http_patience import is_useful
from voicebridge_openai.seats.responses import ResponsesBody


def events(*given: dict[str, Any]) -> bytes:
    """Events with their names, as the vendor sends them."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in given)


def read(data: bytes, step: int = 0) -> list[Any]:
    """All outputs but signs of life."""
    body = ResponsesBody(8)
    outputs: list[Any] = []
    for start in range(0, len(data), step or len(data)):
        outputs += body.feed(data[start : start + (step or len(data))])
    return [output for output in (*outputs, *body.end()) if output not in ("", Progress())]


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"a": 1}'}
USED = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 6}
WHOLE = events(
    {"type": "response.created", "response": {"id": "r", "error": None}},
    {"type": "response.reasoning_summary_text.delta", "delta": "Hm."},
    {"type": "response.output_text.delta", "delta": "Guten "},
    {"type": "response.output_text.delta", "delta": "Tag."},
    {"type": "response.output_text.done", "text": "Guten Tag."},
    {"type": "response.function_call_arguments.delta", "delta": '{"a"', "item_id": "fc_1"},
    {"type": "response.function_call_arguments.done", "arguments": '{"a": 1}', "item_id": "fc_1"},
    {"type": "response.output_item.done", "item": CALL, "output_index": 1},
    {"type": "response.completed", "response": {"output": [CALL], "usage": USED}},
)


@pytest.mark.parametrize("step", [0, 1, 3, 50])
def test_words_calls_and_usage_however_the_bytes_are_cut(step: int) -> None:
    outputs = read(WHOLE, step)
    assert "".join(one for one in outputs if isinstance(one, str)) == "Guten Tag."
    assert [one for one in outputs if isinstance(one, ToolRequest)] == [ToolRequest("call_1", "look", '{"a": 1}')]
    assert outputs[-1] == Usage({"input_text_tokens": 6.0, "cached_text_tokens": 4.0, "output_text_tokens": 6.0})


def test_a_call_that_only_the_end_tells() -> None:
    outputs = read(events({"type": "response.completed", "response": {"output": [CALL]}}))
    assert outputs == [
        ToolRequest("call_1", "look", '{"a": 1}'),
        Usage({"input_text_tokens": 2.0, "output_text_tokens": 0.0}, basis="estimated"),
    ]


def test_an_answer_that_is_too_long_just_ends() -> None:
    details = {"incomplete_details": {"reason": "max_output_tokens"}, "usage": USED}
    said = {"type": "response.output_text.delta", "delta": "One"}
    assert read(events(said, {"type": "response.incomplete", "response": details}))[0] == "One"


@pytest.mark.parametrize(
    ("event", "category"),
    [
        ({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "content_filter"}}}, "content"),
        ({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "Oh"}}}, "busy"),
        ({"type": "response.failed", "response": None}, "protocol"),
        ({"type": "error", "code": "rate_limit_exceeded", "message": "Slow down", "param": None}, "rate"),
        ({"type": "error", "error": {"code": "insufficient_quota", "message": "Pay"}}, "quota"),
    ],
    ids=["filter", "failed", "failed-empty", "error", "error-object"],
)
def test_answers_that_fail(event: dict[str, Any], category: str) -> None:
    with pytest.raises(VoiceBridgeError) as caught:
        read(events(event))
    assert caught.value.category == category


def test_an_answer_that_breaks_off() -> None:
    with pytest.raises(VoiceBridgeError, match="broke off"):
        read(events({"type": "response.output_text.delta", "delta": "One"}))


@pytest.mark.parametrize("kind", ["response.function_call_arguments.delta", "response.reasoning_summary_text.delta"])
def test_a_model_that_thinks_or_writes_a_call_makes_progress(kind: str) -> None:
    outputs = list(ResponsesBody().feed(events({"type": kind, "delta": "x"})))
    assert outputs == [Progress()]
    assert is_useful(outputs[0])


def test_a_call_that_the_limit_cut_off_is_not_run() -> None:
    call = CALL | {"arguments": '{"a', "status": "incomplete"}
    details = {"incomplete_details": {"reason": "max_output_tokens"}, "output": [call]}
    with pytest.raises(VoiceBridgeError, match=r"look.*max_output_tokens"):
        read(events({"type": "response.incomplete", "response": details}))


def test_an_answer_that_was_all_thought_is_an_error() -> None:
    thought = {"type": "response.reasoning_summary_text.delta", "delta": "Hm."}
    details = {"incomplete_details": {"reason": "max_output_tokens"}, "output": []}
    with pytest.raises(VoiceBridgeError, match="max_output_tokens") as caught:
        read(events(thought, {"type": "response.incomplete", "response": details}))
    assert caught.value.fault.code == "only_thoughts"
