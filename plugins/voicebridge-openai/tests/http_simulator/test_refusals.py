"""Who and what is refused, and with which body."""

from __future__ import annotations

import asyncio

import pytest

from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge_openai.http_simulator import simulator

USER = {"role": "user", "content": "Hi"}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "noop", "arguments": "{}"}}],
}
NOOP = {"type": "function", "function": {"name": "noop"}}


async def test_no_key(serve):
    async with serve(key=None) as api:
        answer = await api.chat(status=401)
    assert answer["error"]["message"].startswith("You didn't provide an API key.")
    assert answer["error"]["code"] is None


async def test_a_wrong_key_is_shown_by_its_ends(serve):
    async with serve(key="sk-proj-0123456789abcdef", keys=("sk-good",)) as api:
        answer = await api.chat(status=401)
    assert answer["error"]["code"] == "invalid_api_key"
    assert "sk-proj-************cdef" in answer["error"]["message"]
    assert "0123456789" not in answer["error"]["message"]


@pytest.mark.parametrize(
    ("option", "status", "code", "retry_after"),
    [
        pytest.param("forbidden_keys", 403, None, None, id="forbidden"),
        pytest.param("limited_keys", 429, "rate_limit_exceeded", "7", id="limited"),
        pytest.param("exhausted_keys", 429, "insufficient_quota", None, id="exhausted"),
    ],
)
async def test_keys_that_may_not(serve, option, status, code, retry_after):
    async with serve(retry_after_s=7, **{option: ("sk-test",)}) as api:
        response = await api.http.post("/audio/speech", json={})
        api.http.headers["Authorization"] = "Bearer another"
        await api.chat()
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.headers.get("retry-after") == retry_after


async def test_more_requests_at_once_than_may_be(serve):
    async with serve(profile="first_token=300", max_requests=1, retry_after_s=3) as api:
        first = asyncio.create_task(api.chat())
        while not api.server.connections:  # noqa: ASYNC110 - the server has no event for a request that came
            await asyncio.sleep(0.005)
        response = await api.http.get("/models")
        await first
        assert (await api.http.get("/models")).status_code == 200
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3"


@pytest.mark.parametrize(("code", "told"), [("rate_limit_exceeded", "4"), ("insufficient_quota", None)])
async def test_only_a_rate_that_is_too_high_tells_when_to_come_again(serve, code, told):
    async with serve(replies=({"fail": code},), retry_after_s=4) as api:
        response = await api.http.post("/chat/completions", json={"model": "gpt-4o", "messages": [USER]})
    assert response.headers.get("retry-after") == told


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        ({"fail": "rate_limit_exceeded"}, 429),
        ({"fail": "insufficient_quota"}, 429),
        ({"fail": "server_error"}, 500),
        ({"fail": "server_overloaded"}, 503),
        ({"fail": "context_length_exceeded"}, 400),
    ],
    ids=lambda value: value["fail"] if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("stream", [False, True])
async def test_failures_by_script_come_as_a_status_when_nothing_was_said_yet(serve, reply, status, stream):
    async with serve(replies=(reply, reply)) as api:
        await api.chat(stream=stream, status=status)
        await api.responses(stream=stream, status=status)
        assert [turn.status for turn in api.server.turns.turns] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/nothing", 404),
        ("GET", "/chat/completions", 405),
        ("POST", "/models", 405),
        ("GET", "/models/no-such-model", 404),
        ("GET", "/models/gpt-4o", 200),
        ("GET", "/models", 200),
    ],
)
async def test_addresses(serve, method, path, status):
    async with serve() as api:
        response = await api.http.request(method, path)
    assert response.status_code == status
    if status != 200:
        assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        pytest.param({"model": None}, 400, None, None, id="no model"),
        pytest.param({"model": "no-such-model"}, 404, None, "model_not_found", id="model"),
        pytest.param({"model": "whisper-1"}, 404, "model", None, id="model of another endpoint"),
        pytest.param({"messages": None}, 400, "messages", "missing_required_parameter", id="no messages"),
        pytest.param({"messages": []}, 400, "messages", "empty_array", id="empty"),
        pytest.param({"messages": "Hi"}, 400, "messages", "invalid_type", id="text"),
        pytest.param({"messages": [{"role": "robot"}]}, 400, "messages[0].role", "invalid_value", id="role"),
        pytest.param({"messages": [{"role": "user"}]}, 400, "messages.[0].content", None, id="no content"),
        pytest.param({"temperature": 3}, 400, "temperature", "decimal_above_max_value", id="temperature"),
        pytest.param({"max_tokens": 0}, 400, "max_tokens", "integer_below_min_value", id="no tokens"),
        pytest.param({"max_tokens": "9"}, 400, "max_tokens", "invalid_type", id="tokens as text"),
        pytest.param({"stop": list("abcde")}, 400, "stop", "array_above_max_length", id="five stops"),
        pytest.param({"zork": 1}, 400, None, None, id="unknown field"),
        pytest.param({"reasoning_effort": "low"}, 400, None, None, id="does not reason"),
        pytest.param(
            {"model": "gpt-5", "max_tokens": 5}, 400, "max_tokens", "unsupported_parameter", id="reasons: max_tokens"
        ),
        pytest.param(
            {"model": "gpt-5", "temperature": 0.5}, 400, "temperature", "unsupported_value", id="reasons: temperature"
        ),
        pytest.param({"stream_options": {"include_usage": True}}, 400, "stream_options", None, id="no stream"),
        pytest.param({"tool_choice": "auto"}, 400, "tool_choice", None, id="choice without tools"),
        pytest.param(
            {"tools": [{"type": "function", "function": {"name": "no name"}}]},
            400,
            "tools[0].function.name",
            "invalid_value",
            id="name of a tool",
        ),
        pytest.param({"messages": [USER, CALLED]}, 400, "messages.[2].role", None, id="call without its result"),
        pytest.param({"messages": [USER, CALLED, USER]}, 400, "messages.[2].role", None, id="call, then the user"),
        pytest.param(
            {"messages": [USER, {"role": "tool", "tool_call_id": "call_9", "content": "x"}]},
            400,
            "messages.[1].role",
            None,
            id="result without its call",
        ),
    ],
)
async def test_a_chat_that_does_not_fit(serve, body, status, param, code):
    async with serve() as api:
        answer = await api.chat(**body, status=status)
        assert not api.server.turns.turns
    assert answer["error"]["param"] == param
    assert answer["error"]["code"] == code


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        pytest.param({"model": None}, 400, "model", "missing_required_parameter", id="no model"),
        pytest.param({"input": None}, 400, "input", "missing_required_parameter", id="no input"),
        pytest.param({"input": 3}, 400, "input", "invalid_type", id="number"),
        pytest.param({"zork": 1}, 400, "zork", "unknown_parameter", id="unknown field"),
        pytest.param({"max_output_tokens": 4}, 400, "max_output_tokens", "integer_below_min_value", id="few tokens"),
        pytest.param({"model": "gpt-5", "temperature": 0.5}, 400, "temperature", "unsupported_parameter", id="reasons"),
        pytest.param(
            {"reasoning": {"effort": "low"}}, 400, "reasoning.effort", "unsupported_parameter", id="does not reason"
        ),
        pytest.param(
            {"input": [{"type": "function_call", "call_id": "c", "name": "noop", "arguments": "{}"}]},
            400,
            "input",
            None,
            id="call without its result",
        ),
        pytest.param(
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
            400,
            "input",
            None,
            id="result without its call",
        ),
        pytest.param({"input": [{"type": "zork"}]}, 400, "input[0].type", "invalid_value", id="no item"),
        pytest.param({"input": [{"type": "item_reference", "id": "msg_9"}]}, 404, "input", None, id="no such item"),
    ],
)
async def test_a_response_that_does_not_fit(serve, body, status, param, code):
    async with serve() as api:
        answer = await api.responses(said=body.get("input", "Hi"), **body, status=status)
    assert answer["error"]["param"] == param
    assert answer["error"]["code"] == code


async def test_models_of_ones_own(serve):
    async with serve(models=("my-model",)) as api:
        await api.chat(model="my-model")
        answer = await api.chat(status=404)
        listed = (await api.http.get("/models")).json()
    assert answer["error"]["code"] == "model_not_found"
    assert [model["id"] for model in listed["data"]] == ["my-model"]


@pytest.mark.parametrize(
    "options",
    [
        {"dialect": "klingon"},
        {"replies": [{"zork": 1}]},
        {"tokens_per_second": -1},
        {"delta_ms": 1},
        {"recogniser": "no-such-stage"},
        {"toekns_per_second": 1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_do_not_fit(options):
    with pytest.raises(BadOption) if "recogniser" not in options else pytest.raises(Exception, match="no-such-stage"):
        simulator(SimulatorSettings(options=options))


async def test_a_script_of_faults_means_pieces_by_their_names(serve):
    async with serve(faults=("garbage on chat.completion.chunk occurrence 2", "drop on done")) as api:
        response = await api.http.post(
            "/chat/completions", json={"model": "gpt-4o", "messages": [USER], "stream": True}
        )
    assert "this is no JSON" in response.text
    assert "[DONE]" not in response.text


async def test_a_handshake_is_refused_with_retry_after(serve):
    async with serve(faults=("handshake 429 retry-after 7 connection 1",)) as api:
        response = await api.http.get("/models")
        assert (await api.http.get("/models")).status_code == 200
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
