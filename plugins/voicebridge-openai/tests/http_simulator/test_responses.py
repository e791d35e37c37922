"""POST /responses: whole and streamed."""

from __future__ import annotations

import json

import pytest

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def _kinds(events):
    kinds = []
    for event in events:
        if not kinds or kinds[-1] != event["type"]:
            kinds.append(event["type"])
    return kinds


async def test_whole(serve):
    async with serve() as api:
        answer = await api.responses("Hi there", instructions="Be brief.", metadata={"turn": "1"})
    [item] = answer["output"]
    assert item["content"][0]["text"] == "You said: Hi there"
    assert answer["status"] == "completed"
    assert answer["metadata"] == {"turn": "1"}
    assert answer["instructions"] == "Be brief."
    assert answer["usage"]["output_tokens"] == 5


async def test_a_stream(serve):
    async with serve() as api:
        events = await api.responses("Hi there", stream=True)
    assert _kinds(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == "You said: Hi there"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == text
    assert events[-1]["response"]["usage"]["output_tokens"] == 5
    assert events[0]["response"]["usage"] is None
    assert events[0]["response"]["output"] == []


async def test_text_and_a_call_in_one_response(serve):
    async with serve(replies=(["One moment.", {"call": "get_weather", "arguments": {"city": "Bonn"}}],)) as api:
        events = await api.responses(stream=True, tools=[WEATHER])
        first = events[-1]["response"]
        call = first["output"][1]
        told = [{"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}]
        answer = await api.responses(told, previous_response_id=first["id"])
    deltas = [event for event in events if event["type"] == "response.function_call_arguments.delta"]
    assert json.loads("".join(event["delta"] for event in deltas)) == {"city": "Bonn"}
    assert {event["output_index"] for event in deltas} == {1}
    assert call["name"] == "get_weather"
    assert answer["output"][0]["content"][0]["text"] == "The tool says: rain"


@pytest.mark.parametrize("stream", [False, True])
async def test_what_stops_early_is_incomplete(serve, stream):
    async with serve(replies=("one " * 40, {"say": "No", "end": "content_filter"})) as api:
        short = await api.responses(max_output_tokens=16, stream=stream)
        filtered = await api.responses(stream=stream)
    ended = [answer[-1]["response"] if stream else answer for answer in (short, filtered)]
    assert [one["status"] for one in ended] == ["incomplete", "incomplete"]
    assert [one["incomplete_details"]["reason"] for one in ended] == ["max_output_tokens", "content_filter"]
    assert ended[0]["output"][0]["status"] == "incomplete"
    if stream:
        assert short[-1]["type"] == "response.incomplete"


async def test_a_stream_that_fails_in_the_middle(serve):
    async with serve(replies=(["One moment.", {"fail": "server_error", "message": "It broke."}],)) as api:
        events = await api.responses(stream=True)
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "It broke."}


async def test_only_what_was_kept_can_be_named(serve):
    async with serve() as api:
        kept = await api.responses("Hi")
        unkept = await api.responses("Hi", store=False)
        await api.responses("And?", previous_response_id=kept["id"])
        refused = await api.responses("And?", previous_response_id=unkept["id"], status=400)
    assert refused["error"]["code"] == "previous_response_not_found"
