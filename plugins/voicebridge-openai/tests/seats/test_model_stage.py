"""The language model stages over real sockets: what is asked, and what failures mean."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from voicebridge.contract.config import SessionConfig, Tool
from voicebridge.contract.errors import BadOption, ConfigError, VoiceBridgeError
from voicebridge.contract.items import Item, MessageItem, ToolCallItem, ToolResultItem
from voicebridge.contract.stages import Prompt, ToolRequest
from voicebridge_openai.seats.model_stage import ChatModel, ResponsesModel
from voicebridge_openai.seats.servers import SERVERS

from .scripted_server import Answer, serving, sse

LOOK = Tool(name="look", description="Look it up.", parameters={"type": "object", "properties": {}})
CHUNK = {"choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]}
ANSWER = Answer([sse(CHUNK, "[DONE]")])
ITEMS: tuple[Item, ...] = (
    MessageItem(role="user", text="Where?"),
    ToolCallItem(call_id="c1", name="look", arguments='{"a": 1}'),
    ToolResultItem(call_id="c1", output="Ulm"),
    MessageItem(role="assistant", text="In Ul", interrupted=True),
    MessageItem(role="system", text="The user is in a hurry."),
    MessageItem(role="user", text="Thanks."),
)


def model(url: str, server: str = "openai", kind: type[ChatModel] = ChatModel, **config: Any) -> ChatModel:
    """One that talks to `url`."""
    made = kind(SERVERS[server], "llama3.2" if server == "ollama" else "gpt-4o")
    made.configure(SessionConfig.model_validate({"base_url": url, "api_key": "sk-secret-1", **config}))
    return made


async def answered(made: ChatModel, prompt: Prompt | None = None) -> list[Any]:
    """The whole answer."""
    outputs = [output async for output in made.respond(prompt or Prompt(items=ITEMS[:1]))]
    await made.aclose()
    return outputs


async def asked(prompt: Prompt, server: str = "openai", **config: Any) -> Any:
    """The request that is made of it."""
    async with serving(ANSWER) as here:
        await answered(model(here.url, server, **config), prompt)
    (request,) = here.asked
    assert (request.path, request.headers["authorization"]) == ("/v1/chat/completions", "Bearer sk-secret-1")
    return request.json


async def test_a_whole_request() -> None:
    options = {"temperature": 0.5, "seed": 7, "stop": ["\n"], "parallel_tool_calls": False, "extra_body": {"user": "u"}}
    config: dict[str, Any] = {"max_output_tokens": 99, "tools": [LOOK], "tool_choice": "look", "options": options}
    body = await asked(Prompt(items=ITEMS, instructions="Be brief.", tools=(LOOK,)), **config)
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
    assert body == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Where?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "Ulm"},
            {"role": "assistant", "content": "In Ul"},
            {"role": "system", "content": "The user is in a hurry."},
            {"role": "user", "content": "Thanks."},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "seed": 7,
        "stop": ["\n"],
        "max_completion_tokens": 99,
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "Look it up.", "parameters": LOOK.parameters},
            }
        ],
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "user": "u",
    }


async def test_open_models_get_a_conversation_that_their_templates_take() -> None:
    body = await asked(Prompt(items=ITEMS, instructions="Be brief."), "ollama", max_output_tokens=9)
    assert [message["role"] for message in body["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert body["messages"][-1]["content"] == "(The user is in a hurry.)\nThanks."
    assert body["max_tokens"] == 9


async def test_a_choice_of_tools_goes_only_where_there_are_some() -> None:
    body = await asked(Prompt(items=ITEMS[:1]), tools=[LOOK], tool_choice="required")
    assert "tools" not in body
    assert "tool_choice" not in body
    words = await asked(Prompt(items=ITEMS[:1], tools=(LOOK,)), tools=[LOOK], tool_choice="required")
    assert words["tool_choice"] == "required"


async def test_where_nobody_has_spoken_the_model_is_asked_to_greet() -> None:
    body = await asked(Prompt(items=(), instructions="Be brief."))
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


async def test_a_request_of_the_responses_api() -> None:
    events = [
        {"type": "response.output_text.delta", "delta": "Hi."},
        {"type": "response.completed", "response": {"output": []}},
    ]
    async with serving(Answer([sse(*events)])) as here:
        options = {"reasoning_effort": "low", "verbosity": "low", "top_p": 0.5}
        config: dict[str, Any] = {"tools": [LOOK], "tool_choice": "look", "max_output_tokens": 50, "options": options}
        made = model(here.url, kind=ResponsesModel, **config)
        prompt = Prompt(items=ITEMS, instructions="Be brief.", tools=(LOOK,))
        assert (await answered(made, prompt))[0] == "Hi."
    (request,) = here.asked
    assert request.path == "/v1/responses"
    assert request.json == {
        "model": "gpt-4o",
        "input": [
            {"role": "user", "content": "Where?"},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a": 1}'},
            {"type": "function_call_output", "call_id": "c1", "output": "Ulm"},
            {"role": "assistant", "content": "In Ul"},
            {"role": "system", "content": "The user is in a hurry."},
            {"role": "user", "content": "Thanks."},
        ],
        "stream": True,
        "store": False,
        "instructions": "Be brief.",
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "top_p": 0.5,
        "max_output_tokens": 50,
        "tools": [
            {
                "type": "function",
                "name": "look",
                "description": "Look it up.",
                "parameters": LOOK.parameters,
                "strict": False,
            }
        ],
        "tool_choice": {"type": "function", "name": "look"},
    }


async def test_a_call_whose_arguments_are_cut_everywhere() -> None:
    deltas = [{"index": 0, "id": "x", "function": {"name": "look", "arguments": ""}}]
    deltas += [{"index": 0, "function": {"arguments": sign}} for sign in '{"city": "Ulm"}']
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [one]}}]} for one in deltas]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    async with serving(Answer([sse(*chunks, end)])) as here:
        outputs = await answered(model(here.url))
    assert ToolRequest("x", "look", '{"city": "Ulm"}') in outputs


def refused(status: int, error: Any, **headers: str) -> Answer:
    """An answer that is none."""
    return Answer([orjson.dumps(error)], status=status, kind="application/json", headers=headers)


@pytest.mark.parametrize(
    ("answer", "category", "words"),
    [
        (refused(401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}), "auth", "key"),
        (
            refused(429, {"error": {"message": "x", "code": "insufficient_quota", "type": "insufficient_quota"}}),
            "quota",
            "",
        ),
        (
            refused(429, {"error": {"message": "Slow", "code": "rate_limit_exceeded"}}, **{"Retry-After": "7"}),
            "rate",
            "",
        ),
        (
            refused(400, {"error": {"message": "Bad tool_choice of sk-secret-1", "type": "invalid_request_error"}}),
            "config",
            "Bad tool",
        ),
        (refused(400, {"error": {"message": "x", "code": "content_policy_violation"}}), "content", ""),
        (refused(422, {"detail": "Field required"}), "config", "Field required"),
        (refused(503, {"error": {"message": "Loading model", "type": "unavailable_error"}}), "busy", ""),
        (Answer([b"<html>oops"], status=502, kind="text/html"), "network", ""),
    ],
    ids=["key", "quota", "rate", "bad", "content", "fastapi", "loading", "gateway"],
)
async def test_refusals(answer: Answer, category: str, words: str) -> None:
    async with serving(answer) as here:
        with pytest.raises(VoiceBridgeError) as caught:
            await answered(model(here.url))
    assert caught.value.category == category
    assert words in str(caught.value)
    assert "sk-secret-1" not in str(caught.value)
    assert caught.value.fault.retry_after_s == (7.0 if category == "rate" else None)


async def test_a_model_that_is_not_there_names_the_command_that_brings_it() -> None:
    missing = {
        "error": {"message": "model 'llama3.2' not found", "type": "not_found_error", "param": None, "code": None}
    }
    async with serving(refused(404, missing)) as here:
        made = model(here.url, "ollama")
        with pytest.raises(VoiceBridgeError, match=r"ollama pull llama3\.2") as caught:
            await made.warm()
        await made.aclose()
    assert caught.value.category == "config"


@pytest.mark.parametrize(
    ("server", "command"),
    [
        ("ollama", "ollama serve"),
        ("llama-cpp", "llama-server"),
        ("vllm", "vllm serve"),
        ("lm-studio", "lms server start"),
    ],
)
async def test_a_server_that_does_not_run_names_the_command_that_starts_it(server: str, command: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = model(f"http://127.0.0.1:{free.getsockname()[1]}/v1", server)
        for work in (made.warm(), answered(made)):
            with pytest.raises(VoiceBridgeError, match=command) as caught:
                await work
            assert (caught.value.category, caught.value.retryable) == ("network", True)


async def test_warming_up_reads_the_instructions_once() -> None:
    async with serving(ANSWER) as here:
        made = model(here.url, "ollama", instructions="Be brief.")
        await made.warm()
        await answered(made)
        (warm, _) = here.asked
        assert warm.json["max_tokens"] == 1
        assert warm.json["messages"][0] == {"role": "system", "content": "Be brief."}
        hosted = model(here.url)
        await hosted.warm()
        await hosted.aclose()
    assert (here.asked[2].method, here.asked[2].path) == ("GET", "/v1/models")  # at a vendor, what costs nothing


@pytest.mark.parametrize(("status", "refused_then"), [(401, True), (403, False), (404, False), (500, False)])
async def test_a_key_that_is_refused_is_told_when_it_warms_up(status: int, refused_then: bool) -> None:
    async with serving(refused(status, {"error": {"message": "no"}})) as here:
        made = model(here.url)
        if refused_then:
            with pytest.raises(VoiceBridgeError) as caught:
                await made.warm()
            assert caught.value.category == "auth"
        else:
            await made.warm()
        await made.aclose()


async def test_who_stops_reading_ends_the_request() -> None:
    begun = sse({"choices": [{"index": 0, "delta": {"content": "Well, "}}]})
    async with serving(Answer([begun], then="hang")) as here:
        made = model(here.url)
        stream = made.respond(Prompt(items=ITEMS[:1]))
        assert isinstance(stream, AsyncGenerator)
        assert await anext(stream) == "Well, "
        await stream.aclose()
        await asyncio.wait_for(here.gone.wait(), 5)
        await here.until(connections=2)  # for what is asked next
        await made.aclose()


async def test_one_connection_is_warm_and_serves_all() -> None:
    async with serving(ANSWER) as here:
        made = model(here.url)
        await made.warm()
        await made.get_ready()
        for _ in range(3):
            assert [output async for output in made.respond(Prompt(items=ITEMS[:1]))]
        await made.aclose()
    assert (here.connections, len(here.asked)) == (1, 4)


async def test_a_peer_that_falls_silent_is_noticed() -> None:
    begun = sse({"choices": [{"index": 0, "delta": {"content": "Well, "}}]})
    async with serving(Answer([begun], then="hang")) as here:
        made = model(here.url, options={"between_outputs_timeout_s": 0.05})
        with pytest.raises(VoiceBridgeError) as caught:
            await answered(made)
        await made.aclose()
    assert (caught.value.category, caught.value.retryable) == ("busy", True)


async def test_settings_that_change_on_the_way_hold_from_the_next_answer_on() -> None:
    async with serving(ANSWER) as first, serving(ANSWER) as second:
        made = model(first.url)
        outputs = [output async for output in made.respond(Prompt(items=ITEMS[:1]))]
        assert outputs[0] == "Hi."
        fields: dict[str, Any] = {"base_url": second.url, "api_key": "sk-secret-2", "options": {"temperature": 0}}
        made.configure(SessionConfig.model_validate(fields))
        await answered(made)
    assert second.asked[0].headers["authorization"] == "Bearer sk-secret-2"
    assert second.asked[0].json["temperature"] == 0


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption, match="'temperature'"):
        model("http://127.0.0.1:1", options={"temprature": 1})
    with pytest.raises(BadOption, match="temperature"):
        model("http://127.0.0.1:1", options={"temperature": 3})
    with pytest.raises(BadOption, match="seed"):
        model("http://127.0.0.1:1", kind=ResponsesModel, options={"seed": 3})
    with pytest.raises(ConfigError, match="'look'"):
        model("http://127.0.0.1:1", tools=[LOOK], tool_choice="loook")
    with pytest.raises(ConfigError, match="encrypted"):
        model("http://example.com/v1")
    with pytest.raises(ConfigError, match="api_key"):
        model("https://user:secret@example.com/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        ChatModel(SERVERS["openai"], "gpt-4o").configure(SessionConfig())
    with pytest.raises(ConfigError, match="base_url"):
        ChatModel(SERVERS["openai-compatible"], "m").configure(SessionConfig())


async def test_settings_that_change_leave_answers_alone_that_are_on_their_way() -> None:
    word = sse({"choices": [{"index": 0, "delta": {"content": "Well, "}}]})
    first, second = (Answer([word] * n + [sse(CHUNK, "[DONE]")], pause_s=0.05) for n in (2, 12))
    async with serving(first, second) as here:
        made = model(here.url)
        answers = []
        for count in (1, 2):
            answers.append(made.respond(Prompt(items=ITEMS[:1])))
            assert await anext(answers[-1]) == "Well, "
            await here.until(requests=count)
        made.configure(SessionConfig.model_validate({"base_url": here.url, "api_key": "sk-secret-2"}))
        for answer in answers:
            said = [output async for output in answer if isinstance(output, str)]
            assert said[-1] == "Hi."
        await made.get_ready()
        await made.aclose()


async def test_open_models_get_a_word_of_the_user_before_a_greeting() -> None:
    greeted = (MessageItem(role="assistant", text="Hello!"), MessageItem(role="user", text="Hi."))
    body = await asked(Prompt(items=greeted, instructions="Be brief."), "ollama")
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    body = await asked(Prompt(items=greeted), "ollama")
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
