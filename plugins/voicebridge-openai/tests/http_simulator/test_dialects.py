"""What compatible servers do otherwise."""

from __future__ import annotations

import pytest

from voicebridge_openai.http_simulator.dialects import DIALECTS

COMPATIBLE = ("ollama", "llama.cpp", "vllm", "plain")


@pytest.mark.parametrize("dialect", COMPATIBLE)
async def test_any_model_any_field_and_no_key(serve, dialect):
    async with serve(dialect=dialect, key=None) as api:
        answer = await api.chat("Hi", model="llama3.2:1b", zork=1, top_k=5, reasoning_effort="low")
        events = await api.chat("Hi", model="llama3.2:1b", stream=True, stream_options={"include_usage": True})
    assert answer["choices"][0]["message"]["content"] == "You said: Hi"
    assert ("usage" in answer) == DIALECTS[dialect].counts
    assert (events[-1] == "[DONE]") == DIALECTS[dialect].done
    assert not any("obfuscation" in event for event in events if event != "[DONE]")


async def test_where_usage_stands(serve):
    found = {}
    for name in ("openai", *COMPATIBLE):
        async with serve(dialect=name) as api:
            events = [
                event
                for event in await api.chat(stream=True, stream_options={"include_usage": True})
                if event != "[DONE]"
            ]
        found[name] = [bool(event["choices"]) for event in events if event.get("usage")]
    assert found == {"openai": [False], "ollama": [False], "llama.cpp": [True], "vllm": [False], "plain": []}


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("openai", {"error": {"message": "{}", "type": "invalid_request_error", "param": None, "code": "{}"}}),
        ("ollama", {"error": {"message": "{}", "type": "not_found_error", "param": None, "code": None}}),
        ("llama.cpp", {"error": {"code": 404, "message": "{}", "type": "not_found_error"}}),
        ("vllm", {"object": "error", "message": "{}", "type": "NotFoundError", "param": None, "code": 404}),
        ("plain", {"detail": "{}"}),
    ],
    ids=["openai", *COMPATIBLE],
)
async def test_bodies_of_refusals(serve, dialect, body):
    async with serve(dialect=dialect, models=("mine",)) as api:
        answer = await api.chat(status=404)
    message = "The model `gpt-4o` does not exist or you do not have access to it."
    expected = {**body}
    holder = expected if "error" not in body else expected["error"]
    for name, value in holder.items():
        if value == "{}":
            holder[name] = "model_not_found" if name == "code" else message
    assert answer == expected


async def test_a_stream_that_fails_as_ollama_does(serve):
    reply = ["One.", {"fail": "server_error", "message": "It broke."}]
    async with serve(dialect="ollama", replies=(reply,)) as api:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        text = (await api.http.post("/chat/completions", json=body)).text
    last = text.split("\n\n")[-1]
    assert last.startswith('{"error"')
    assert "It broke." in last


async def test_calls_that_come_whole(serve):
    async with serve(dialect="ollama", replies=({"call": "noop", "arguments": {"a": 1}},)) as api:
        events = await api.chat(stream=True)
    calls = [call for event in events[:-1] for call in event["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["function"] for call in calls] == [{"name": "noop", "arguments": '{"a": 1}'}]


async def test_transcriptions(serve):
    async with serve(dialect="vllm", transcripts=("Good morning.",)) as api:
        events = await api.upload(stream="true", model="openai/whisper-large-v3")
    assert "".join(event["choices"][0]["delta"]["content"] for event in events[:-1]) == "Good morning."
    assert events[0]["object"] == "transcription.chunk"
    async with serve(dialect="plain", transcripts=("Good morning.",)) as api:
        assert await api.upload(stream="true", model="whisper") == {"text": "Good morning."}


async def test_speech(serve):
    async with serve(dialect="plain") as api:
        response = await api.speech(voice="bob", model="piper", stream_format="sse", response_format="pcm")
    assert response.content[:4] == b"RIFF"
    assert int.from_bytes(response.content[24:28], "little") == 22_050


async def test_endpoints_that_a_server_has_not(serve):
    async with serve(dialect="llama.cpp") as api:
        await api.speech(status=404)
    async with serve(dialect="plain") as api:
        answer = await api.responses(status=404)
    assert answer == {"detail": "Invalid URL (POST /v1/responses)"}


async def test_whisper_cpp_hears_at_an_address_of_its_own_and_refuses_with_200(serve, make_wav):
    async with serve(dialect="whisper.cpp", key=None, transcripts=("Good morning.",)) as api:
        file = {"file": ("a.wav", make_wav(bytes(16_000)))}
        heard = await api.http.post("/inference", files=file, data={"response_format": "json"})
        refused = await api.http.post("/inference", files={"zork": ("a.wav", b"")})
        elsewhere = await api.http.post("/v1/audio/transcriptions", files=file)
    assert heard.json() == {"text": " Good morning.\n"}
    assert refused.status_code == elsewhere.status_code == 200
    assert isinstance(refused.json()["error"], str)
    assert "Invalid URL" in elsewhere.json()["error"]


USER, BOT, SYSTEM = ({"role": role, "content": "x"} for role in ("user", "assistant", "system"))
CALL = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "noop", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "done"}


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        pytest.param([SYSTEM, USER, BOT, USER], 200, id="alternate"),
        pytest.param([USER, CALL, RESULT, BOT, USER], 200, id="tools"),
        pytest.param([SYSTEM, BOT, USER], 500, id="assistant first"),
        pytest.param([USER, USER], 500, id="user twice"),
        pytest.param([USER, BOT, SYSTEM, USER], 500, id="note in the middle"),
    ],
)
async def test_templates_that_want_roles_to_alternate(serve, messages, status):
    async with serve(dialect="llama.cpp") as api:
        answer = await api.chat(messages=messages, status=status)
        assert ("error" in answer) == (status == 500)
    async with serve() as api:
        await api.chat(messages=messages)


async def test_a_server_of_one_model_needs_no_name(serve):
    async with serve(dialect="llama.cpp") as api:
        assert (await api.chat(model=None))["model"] == "default"
