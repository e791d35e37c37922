"""POST /chat/completions: whole and streamed."""

from __future__ import annotations

import json

import pytest

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def _text(events):
    return "".join(
        choice["delta"].get("content") or "" for event in events if event != "[DONE]" for choice in event["choices"]
    )


async def test_whole(serve):
    async with serve() as api:
        answer = await api.chat("Hi there")
    [choice] = answer["choices"]
    assert choice["message"]["content"] == "You said: Hi there"
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["prompt_tokens"] == 2
    assert usage["completion_tokens"] == 5
    assert usage["total_tokens"] == 7


async def test_a_stream_says_the_same_and_counts_the_same(serve):
    async with serve() as api:
        whole = await api.chat("Hi there")
        events = await api.chat("Hi there", stream=True, stream_options={"include_usage": True})
    assert _text(events) == whole["choices"][0]["message"]["content"]
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert events[-3]["choices"][0]["finish_reason"] == "stop"
    assert events[-2]["choices"] == []
    assert events[-2]["usage"] == whole["usage"]
    assert events[-1] == "[DONE]"
    assert all(event["usage"] is None for event in events[:-2])
    assert len({event["id"] for event in events[:-1]}) == 1


async def test_usage_comes_only_where_it_is_asked_for(serve):
    async with serve() as api:
        events = await api.chat(stream=True)
    assert not any("usage" in event for event in events[:-1])


@pytest.mark.parametrize("pads", [True, False])
async def test_deltas_are_padded_unless_that_is_not_wanted(serve, pads):
    async with serve() as api:
        events = await api.chat(stream=True, stream_options={"include_obfuscation": pads})
    words = [event for event in events[:-2] if event["choices"][0]["delta"].get("content")]
    assert words
    for event in words:
        if pads:
            assert (len(event["obfuscation"]) + len(event["choices"][0]["delta"]["content"])) % 16 == 0
        else:
            assert "obfuscation" not in event


@pytest.mark.parametrize("stream", [False, True])
async def test_stop_and_the_most_tokens(serve, stream):
    async with serve(replies=("One two three. Four five.", "One two three. Four five.")) as api:
        stopped = await api.chat(stop=["Four"], stream=stream)
        short = await api.chat(max_tokens=2, stream=stream)
    if stream:
        assert _text(stopped) == "One two three. "
        assert _text(short) == "One two"
        assert stopped[-2]["choices"][0]["finish_reason"] == "stop"
        assert short[-2]["choices"][0]["finish_reason"] == "length"
    else:
        assert stopped["choices"][0]["message"]["content"] == "One two three. "
        assert short["choices"][0]["message"]["content"] == "One two"
        assert short["choices"][0]["finish_reason"] == "length"
        assert short["usage"]["completion_tokens"] == 2


async def test_a_tool_is_called_and_its_answer_is_read(serve):
    async with serve() as api:
        asked = [{"role": "user", "content": "get weather in Bonn"}]
        called = (await api.chat(messages=asked, tools=[WEATHER]))["choices"][0]
        [call] = called["message"]["tool_calls"]
        assert called["finish_reason"] == "tool_calls"
        assert called["message"]["content"] is None
        assert json.loads(call["function"]["arguments"]) == {"city": "Bonn"}
        told = [*asked, called["message"], {"role": "tool", "tool_call_id": call["id"], "content": "rain"}]
        answer = await api.chat(messages=told, tools=[WEATHER])
    assert answer["choices"][0]["message"]["content"] == "The tool says: rain"


async def test_calls_stream_in_pieces(serve):
    reply = ["One moment.", {"call": "get_weather", "arguments": {"city": "Bonn"}}, {"call": "noop"}]
    async with serve(replies=(reply,)) as api:
        events = await api.chat(stream=True, tools=[WEATHER])
    assert _text(events) == "One moment."
    deltas = [call for event in events[:-1] for call in event["choices"][0]["delta"].get("tool_calls", ())]
    arguments = {0: "", 1: ""}
    for delta in deltas:
        arguments[delta["index"]] += delta["function"]["arguments"]
    assert {index: json.loads(text) for index, text in arguments.items()} == {0: {"city": "Bonn"}, 1: {}}
    named = [delta for delta in deltas if "id" in delta]
    assert [delta["function"]["name"] for delta in named] == ["get_weather", "noop"]
    assert len(deltas) > 3
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


async def test_what_instructs_behind_the_conversation_is_done(serve):
    messages = [{"role": "user", "content": "Hi"}, {"role": "system", "content": 'Say exactly "Goodbye."'}]
    async with serve() as api:
        answer = await api.chat(messages=messages)
        greeting = await api.chat(messages=[{"role": "system", "content": "Be brief."}])
    assert answer["choices"][0]["message"]["content"] == "Goodbye."
    assert greeting["choices"][0]["message"]["content"].startswith("Hello")


async def test_a_stream_that_fails_in_the_middle_says_so_and_ends(serve):
    async with serve(replies=(["One moment.", {"fail": "server_error", "message": "It broke."}],)) as api:
        events = await api.chat(stream=True)
        assert events[-1]["error"]["message"] == "It broke."
        assert _text(events[:-1]) == "One moment."
        assert api.turn().status == "failed"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_script_is_told_by_turn_of_each_caller(serve, stream):
    async with serve(replies=("One.", "Two.")) as api:
        mine = [await api.chat(stream=stream) for _ in range(3)]
        api.http.headers["Authorization"] = "Bearer another"
        other = await api.chat(stream=stream)
    texts = [_text(one) if stream else one["choices"][0]["message"]["content"] for one in [*mine, other]]
    assert texts == ["One.", "Two.", "You said: Hi there", "One."]


async def test_the_record_of_a_turn(serve):
    async with serve(profile="first_token=20", tokens_per_second=500) as api:
        await api.chat(stream=True)
        turn = api.turn()
    assert turn.cause == "chat"
    assert turn.caller == "sk-test"
    assert turn.drawn_ms == {"first_token": 20}
    assert turn.stamps["first_token"] - turn.stamps["requested"] >= 0.02
    # Five tokens lie four apart from when the first one was due, which a busy machine stamps late.
    assert turn.stamps["done"] - turn.stamps["requested"] >= 0.02 + 4 / 500
