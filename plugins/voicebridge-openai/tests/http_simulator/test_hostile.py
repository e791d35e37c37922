"""Bodies that nobody should send: each gets an answer, and the server lives on."""

from __future__ import annotations

import json
import random

import pytest

SEEDS = {
    "chat": (
        "/chat/completions",
        {
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "noop"}]},
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "noop", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": "c", "content": "done"},
            ],
            "tools": [{"type": "function", "function": {"name": "noop", "parameters": {"required": ["a"]}}}],
            "tool_choice": {"type": "function", "function": {"name": "noop"}},
            "stop": ["x"],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 5,
        },
    ),
    "responses": (
        "/responses",
        {
            "model": "gpt-4o",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "noop"}]},
                {"type": "function_call", "call_id": "c", "name": "noop", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "done"},
            ],
            "tools": [{"type": "function", "name": "noop", "parameters": {"properties": {"a": {"enum": [1]}}}}],
            "tool_choice": {"type": "function", "name": "noop"},
            "reasoning": {"effort": None},
            "stream": True,
            "stream_options": {"include_obfuscation": False},
            "max_output_tokens": 20,
        },
    ),
    "speech": (
        "/audio/speech",
        {
            "model": "gpt-4o-mini-tts",
            "input": "Hi",
            "voice": {"id": "voice_1"},
            "response_format": "pcm",
            "speed": 1.5,
            "stream_format": "sse",
        },
    ),
}
ODD = (None, True, 0, -1, 1e308, "", "\ud800", "x" * 50, [], [None], [[]], {}, {"": None}, {"type": "function"})


def _mutated(body, rng):
    """The body with something else in one place of it."""
    copy = json.loads(json.dumps(body))
    places = []

    def walk(node):
        for name in node if isinstance(node, dict) else range(len(node)):
            places.append((node, name))
            if isinstance(node[name], dict | list):
                walk(node[name])

    walk(copy)
    node, name = rng.choice(places)
    if rng.random() < 0.25 and isinstance(node, dict):
        del node[name]
    else:
        node[name] = rng.choice(ODD)
    return copy


@pytest.mark.parametrize("dialect", ["openai", "plain"])
@pytest.mark.parametrize("name", SEEDS)
async def test_mutated_bodies_are_answered(serve, name, dialect, caplog):
    path, body = SEEDS[name]
    rng = random.Random(11)
    async with serve(dialect=dialect) as api:
        for _ in range(250):
            mutant = _mutated(_mutated(body, rng), rng) if rng.random() < 0.5 else _mutated(body, rng)
            response = await api.http.post(path, content=json.dumps(mutant))
            assert response.status_code < 500, (mutant, response.text)
            if response.status_code >= 400:
                response.json()
    assert not caplog.records


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 5000], ids=range(7))
@pytest.mark.parametrize("path", ["/chat/completions", "/responses", "/audio/speech", "/audio/transcriptions"])
async def test_bodies_that_are_none(serve, path, body):
    async with serve() as api:
        response = await api.http.post(path, content=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_mutated_forms_are_answered(serve, make_wav, caplog):
    rng = random.Random(5)
    async with serve() as api:
        request = api.http.build_request(
            "POST",
            "/audio/transcriptions",
            data={"model": "gpt-4o-transcribe", "response_format": "json", "stream": "true", "include[]": ["logprobs"]},
            files={"file": ("a.wav", make_wav(bytes(8000)))},
        )
        whole = request.read()
        for _ in range(250):
            changed = bytearray(whole[:900] + whole[-900:])
            for _ in range(rng.randrange(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            headers = {"Content-Type": request.headers["content-type"]}
            response = await api.http.post("/audio/transcriptions", content=bytes(changed), headers=headers)
            assert response.status_code < 500, response.text
    assert not caplog.records
