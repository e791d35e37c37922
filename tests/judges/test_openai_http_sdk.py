"""The vendor's own SDK before the simulator of its HTTP API: every endpoint, every event by the SDK's types."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

pytest.importorskip("openai", reason="the openai SDK is in the extra `judges`")

import openai
from openai import AsyncOpenAI
from openai.types.audio import Transcription, TranscriptionStreamEvent, TranscriptionVerbose
from openai.types.audio.transcription_diarized import TranscriptionDiarized
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry

pytestmark = pytest.mark.judges

CHUNK: TypeAdapter[Any] = TypeAdapter(ChatCompletionChunk)
RESPONSE_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TRANSCRIPTION_EVENT: TypeAdapter[Any] = TypeAdapter(TranscriptionStreamEvent)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
FLAT_TOOL = {"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}
USER = {"role": "user", "content": "Hi there"}
CALL = {"call": "get_weather", "arguments": {"city": "Bonn"}}
Serve = Callable[..., AbstractAsyncContextManager[AsyncOpenAI]]


@pytest.fixture
def serve() -> Serve:
    """The SDK's client before a simulator with these options."""

    @asynccontextmanager
    async def served(
        *, faults: tuple[str, ...] = (), key: str = "sk-test", retries: int = 0, **options: Any
    ) -> AsyncIterator[AsyncOpenAI]:
        simulator = registry().simulator("openai-http", SimulatorSettings(faults=faults, options=options))
        async with (
            simulator.serve() as url,
            AsyncOpenAI(api_key=key, base_url=url, max_retries=retries) as client,
        ):
            yield client

    return served


def speech_file() -> tuple[str, bytes]:
    """Half a second of something."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(b"\x00\x10\x00\xf0" * 4000)
    return "speech.wav", file.getvalue()


async def raw(client: AsyncOpenAI, path: str, body: Any, **more: Any) -> list[str]:
    """What a stream holds as data, as it lies on the wire: the SDK would take almost anything."""
    headers = {"Authorization": f"Bearer {client.api_key}"}
    async with httpx.AsyncClient(base_url=str(client.base_url), headers=headers) as http:
        response = await http.post(path, json=body, **more)
    assert response.status_code == 200, response.text
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
    return [line for line in lines if line != "[DONE]"]


PADDING = {"obfuscation"}
"""A field that the vendor sends and its own types lack for some events."""


def invented(model: Any) -> set[str]:
    """Fields that the SDK's types don't know, in a value of them and all that it holds."""
    if isinstance(model, list):
        return set().union(*(invented(one) for one in model))
    if not isinstance(model, BaseModel):
        return set()
    held = set(model.model_extra or ()) - PADDING
    return held.union(*(invented(getattr(model, name)) for name in type(model).model_fields))


# Models


async def test_models(serve: Serve) -> None:
    async with serve() as client:
        listed = [model.id async for model in client.models.list()]
        found = await client.models.retrieve(listed[0])
    assert found.id == listed[0]


# Chat


async def test_chat(serve: Serve) -> None:
    async with serve() as client:
        completion = await client.chat.completions.create(model="gpt-4o", messages=[USER])
    ChatCompletion.model_validate(completion.model_dump(exclude_unset=True), strict=True)
    assert not invented(completion)
    assert completion.choices[0].message.content == "You said: Hi there"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 5


async def test_chat_streams(serve: Serve) -> None:
    body = {"model": "gpt-4o", "messages": [USER], "stream": True, "stream_options": {"include_usage": True}}
    async with serve() as client:
        chunks = [chunk async for chunk in await client.chat.completions.create(**body)]
        for event in await raw(client, "/chat/completions", body):
            assert not invented(CHUNK.validate_json(event))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "You said: Hi there"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5


async def test_chat_calls_a_tool(serve: Serve) -> None:
    async with serve(replies=(CALL, CALL, CALL)) as client:
        asked = {"model": "gpt-4o", "messages": [USER], "tools": [TOOL]}
        for event in await raw(client, "/chat/completions", {**asked, "stream": True}):
            assert not invented(CHUNK.validate_json(event))
        async with client.chat.completions.stream(**asked) as stream:
            streamed = await stream.get_final_completion()
        whole = await client.chat.completions.create(**asked)
        [call] = whole.choices[0].message.tool_calls or []
        result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
        answer = await client.chat.completions.create(
            model="gpt-4o", messages=[USER, whole.choices[0].message.to_dict(), result], tools=[TOOL]
        )
    for message in (streamed.choices[0].message, whole.choices[0].message):
        [made] = message.tool_calls or []
        assert made.type == "function"
        assert json.loads(made.function.arguments) == {"city": "Bonn"}
    assert answer.choices[0].message.content == "The tool says: rain"


async def test_chat_that_fails_in_the_middle_of_a_stream_raises(serve: Serve) -> None:
    async with serve(replies=(["One.", {"fail": "server_error", "message": "It broke."}],)) as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=[USER], stream=True)
        with pytest.raises(openai.APIError, match="It broke"):
            async for _ in stream:
                pass


# Responses


async def test_responses(serve: Serve) -> None:
    async with serve() as client:
        response = await client.responses.create(model="gpt-4o", input="Hi there", instructions="Be brief.")
    Response.model_validate(response.model_dump(exclude_unset=True, by_alias=True))
    assert not invented(response)
    assert response.output_text == "You said: Hi there"
    assert response.usage is not None
    assert response.usage.output_tokens == 5


REPLIES = [
    pytest.param("Good morning.", id="text"),
    pytest.param(["One moment.", CALL], id="text and a call"),
    pytest.param({"say": "No", "end": "content_filter"}, id="filtered"),
    pytest.param(["One.", {"fail": "server_error", "message": "It broke."}], id="failed"),
]


@pytest.mark.parametrize("reply", REPLIES)
async def test_every_event_of_a_response(serve: Serve, reply: Any) -> None:
    async with serve(replies=(reply, reply)) as client:
        body = {"model": "gpt-4o", "input": "Hi", "tools": [FLAT_TOOL], "stream": True}
        events = [RESPONSE_EVENT.validate_json(event) for event in await raw(client, "/responses", body)]
        typed = [event async for event in await client.responses.create(**body)]
    assert not invented(events)
    assert [event.type for event in typed] == [event.type for event in events]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].type in ("response.completed", "response.incomplete", "response.failed")


async def test_responses_call_a_tool(serve: Serve) -> None:
    async with serve(replies=(CALL,)) as client:
        async with client.responses.stream(model="gpt-4o", input="Hi", tools=[FLAT_TOOL]) as stream:
            first = await stream.get_final_response()
        [call] = first.output
        assert call.type == "function_call"
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
        answer = await client.responses.create(model="gpt-4o", input=[result], previous_response_id=first.id)
        again = await client.responses.create(
            model="gpt-4o", input=[{"role": "user", "content": "Hi"}, call.to_dict(), result]
        )
    assert json.loads(call.arguments) == {"city": "Bonn"}
    assert answer.output_text == again.output_text == "The tool says: rain"


# Transcriptions


async def test_transcriptions(serve: Serve) -> None:
    async with serve(transcripts=("Good morning.",)) as client:
        create = client.audio.transcriptions.create
        plain = await create(model="gpt-4o-transcribe", file=speech_file(), include=["logprobs"])
        tongues = await create(model="gpt-transcribe", file=speech_file(), languages=["de"], keywords=["Bonn"])
        text = await create(model="whisper-1", file=speech_file(), response_format="text")
        verbose = await create(
            model="whisper-1",
            file=speech_file(),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        speakers = await create(model="gpt-4o-transcribe-diarize", file=speech_file(), response_format="diarized_json")
    Transcription.model_validate(plain.model_dump(exclude_unset=True))
    Transcription.model_validate(tongues.model_dump(exclude_unset=True))
    TranscriptionVerbose.model_validate(verbose.model_dump(exclude_unset=True))
    TranscriptionDiarized.model_validate(speakers.model_dump(exclude_unset=True))
    assert not invented([plain, tongues, speakers])
    assert plain.text == tongues.text == verbose.text == speakers.text == "Good morning."
    assert text == "Good morning.\n"
    assert verbose.duration == 0.5
    assert [word.word for word in verbose.words or ()] == ["Good", "morning"]


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-4o-transcribe-diarize"])
async def test_transcriptions_stream(serve: Serve, model: str) -> None:
    form = {"model": model, "stream": "true"}
    if model.endswith("diarize"):
        form["response_format"] = "diarized_json"
    else:
        form["include[]"] = "logprobs"
    async with serve(transcripts=("Good morning.",)) as client:
        for event in await raw(client, "/audio/transcriptions", None, data=form, files={"file": speech_file()}):
            assert not invented(TRANSCRIPTION_EVENT.validate_json(event))
        stream = await client.audio.transcriptions.create(model=model, file=speech_file(), stream=True)
        events = [event async for event in stream]
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == "Good morning."
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "Good morning."


# Speech


@pytest.mark.parametrize("form", ["pcm", "wav"])
async def test_speech(serve: Serve, form: Any) -> None:
    async with serve(ms_per_char=50) as client:
        asked = {"model": "tts-1", "voice": "nova", "input": "Good morning.", "response_format": form}
        whole = await client.audio.speech.create(**asked)
        async with client.audio.speech.with_streaming_response.create(**asked) as response:
            pieces = [piece async for piece in response.iter_bytes()]
    assert b"".join(pieces) == whole.content
    assert len(whole.content) == 13 * 50 * 48 + (44 if form == "wav" else 0)
    assert len(pieces) > 1


# Refusals


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        pytest.param({"keys": ("sk-good",)}, openai.AuthenticationError, "invalid_api_key", id="401"),
        pytest.param({"forbidden_keys": ("sk-test",)}, openai.PermissionDeniedError, None, id="403"),
        pytest.param({"limited_keys": ("sk-test",)}, openai.RateLimitError, "rate_limit_exceeded", id="429"),
        pytest.param({"exhausted_keys": ("sk-test",)}, openai.RateLimitError, "insufficient_quota", id="429 quota"),
        pytest.param({"models": ("other",)}, openai.NotFoundError, "model_not_found", id="404"),
        pytest.param({"replies": ({"fail": "server_error"},)}, openai.InternalServerError, None, id="500"),
    ],
)
async def test_refusals_are_raised_as_what_they_are(
    serve: Serve, options: dict[str, Any], kind: type[openai.APIStatusError], code: str | None
) -> None:
    async with serve(**options) as client:
        with pytest.raises(kind) as raised:
            await client.chat.completions.create(model="gpt-4o", messages=[USER])
    assert raised.value.code == code
    assert raised.value.request_id
    assert bool(raised.value.response.headers.get("retry-after")) == (code == "rate_limit_exceeded")


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": 3},
        {"extra_body": {"zork": 1}},
        {"model": "o3", "max_tokens": 5},
        {"stream_options": {"include_usage": True}},
    ],
    ids=["value", "unknown", "unsupported", "without stream"],
)
async def test_what_does_not_fit_is_a_bad_request(serve: Serve, asked: dict[str, Any]) -> None:
    async with serve() as client:
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(**{"model": "gpt-4o", "messages": [USER], **asked})


async def test_the_sdk_tries_again_when_it_is_told_to(serve: Serve) -> None:
    async with serve(retries=1, faults=("handshake 429 retry-after 0 connection 1",)) as client:
        completion = await client.chat.completions.create(model="gpt-4o", messages=[USER])
    assert completion.choices[0].message.content == "You said: Hi there"


# Compatible servers


@pytest.mark.parametrize("dialect", ["ollama", "llama.cpp", "vllm", "plain"])
async def test_the_sdk_reads_compatible_servers_too(serve: Serve, dialect: str) -> None:
    async with serve(dialect=dialect, models=("llama3.2:1b",)) as client:
        stream = await client.chat.completions.create(model="llama3.2:1b", messages=[USER], stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="gpt-4o", messages=[USER])
    assert text == "You said: Hi there"
