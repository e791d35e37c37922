"""Every frame of the simulator against the vendor's own types, and against the fields that were recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="the openai SDK is in the dependency group `judges`")

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.bare_client import BareClient, bare_client, tone

pytestmark = pytest.mark.judges

EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
ROOT = Path(__file__).parents[2]
RECORDED = json.loads(
    (ROOT / "plugins/voicebridge-openai/tests/simulator/recorded_shapes.json").read_text(encoding="utf-8")
)["shapes"]
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TURN = {"audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}


async def update(client: BareClient, **session: Any) -> None:
    await client.send("session.update", session={"type": "realtime", **session})
    await client.until("session.updated")


async def write(client: BareClient, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})


async def speak(client: BareClient, pcm: bytes) -> None:
    for start in range(0, len(pcm), 960):
        await client.send("input_audio_buffer.append", audio=base64.b64encode(pcm[start : start + 960]).decode())


async def text_turn(client: BareClient) -> None:
    await write(client, "Say a short greeting.")
    await client.send("response.create", response={"metadata": {"client_event_id": "a"}})
    done = await client.until("response.done")
    item_id = done["response"]["output"][0]["id"]
    await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
    await client.until("conversation.item.truncated")
    await client.send("conversation.item.retrieve", item_id=item_id)
    await client.until("conversation.item.retrieved")
    await client.send("conversation.item.delete", item_id=item_id)
    await client.until("conversation.item.deleted")


async def spoken_turn(client: BareClient) -> None:
    await update(client, **TURN)
    await speak(client, bytes(48 * 200) + tone(800) + bytes(48 * 600))
    await client.until("response.done")
    await update(client, audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}})
    await speak(client, tone(800) + bytes(48 * 600))
    await client.until("response.done")


async def interrupted_turn(client: BareClient) -> None:
    await update(client, **TURN)
    await write(client, "Tell me a long story, " + "and go on and on, " * 20)
    await client.send("response.create")
    await client.until("response.output_audio.delta")
    await speak(client, tone(400))
    done = await client.until("response.done")
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


async def tool_round(client: BareClient) -> None:
    await update(client, output_modalities=["text"], tools=[WEATHER])
    await write(client, "Use get weather for London")
    await client.send("response.create")
    call = await client.until("response.function_call_arguments.done")
    await client.until("response.done")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is foggy."}
    await client.send("conversation.item.create", item=output)
    await client.send("response.create")
    await client.until("response.done")


async def push_to_talk(client: BareClient) -> None:
    formats = {"input": {"turn_detection": None, "format": {"type": "audio/pcmu"}}}
    await update(client, audio=formats | {"output": {"format": {"type": "audio/pcma"}}})
    await speak(client, b"\x55" * 8000)
    await client.send("input_audio_buffer.commit")
    await client.send("response.create")
    await client.until("response.done")
    await client.send("input_audio_buffer.clear")
    await client.until("input_audio_buffer.cleared")


async def silent_user(client: BareClient) -> None:
    await update(client, audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
    await write(client, "Hello")
    await client.send("response.create")
    await client.until("response.done")
    await speak(client, bytes(48 * 8000))
    await client.until("input_audio_buffer.timeout_triggered")
    await client.until("response.done")


async def semantic_settings(client: BareClient) -> None:
    await update(
        client,
        instructions="Be brief.",
        max_output_tokens=100,
        tool_choice="required",
        truncation={"type": "retention_ratio", "retention_ratio": 0.5},
        tracing="auto",
        reasoning={"effort": "low"},
        parallel_tool_calls=True,
        include=["item.input_audio_transcription.logprobs"],
        audio={
            "input": {"turn_detection": {"type": "semantic_vad"}, "noise_reduction": {"type": "near_field"}},
            "output": {"voice": "marin", "speed": 1.2},
        },
    )
    await update(client, audio={"output": {"voice": {"id": "voice_1"}}}, tool_choice={"type": "function", "name": "x"})
    await update(client, tracing=None, truncation="disabled", prompt=None)
    items: list[dict[str, Any]] = [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA", "transcript": "Hi"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:,x"}]},
        {"type": "function_call", "name": "get_weather", "call_id": "call_1", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "fog"},
    ]
    for item in items:
        await client.send("conversation.item.create", item=item, previous_item_id="root" if "role" in item else None)
        await client.until("conversation.item.done")


async def errors(client: BareClient) -> None:
    await client.socket.send("{")
    for event in (
        {"type": "nonsense", "event_id": "e1"},
        {"type": "session.update", "session": {}, "event_id": "e2"},
        {"type": "session.update", "session": {"type": "realtime", "temperature": 1}},
        {"type": "response.cancel"},
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.append", "audio": "%%%"},
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1},
    ):
        await client.socket.send(json.dumps(event))
        await client.until("error")


async def scripted(client: BareClient) -> None:
    for _ in range(3):
        await client.send("response.create")
        await client.until("response.done")
    await client.send("response.create", response={"conversation": "none", "input": [], "metadata": {"topic": "x"}})
    await client.until("response.done")
    await client.send("response.create")
    await client.until("response.output_audio.delta")
    await client.send("response.cancel")
    done = await client.until("response.done")
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}


REPLIES = [
    ["One.", "Two.", {"call": "get_weather", "arguments": {"city": "Bonn"}}],
    {"fail": "rate_limit_exceeded", "message": "Too many."},
    {"say": "It is", "end": "max_output_tokens"},
    "A long story " * 30,
]
SCENARIOS: dict[str, tuple[Callable[[BareClient], Awaitable[None]], dict[str, Any]]] = {
    "text turn": (text_turn, {}),
    "spoken turn": (spoken_turn, {}),
    "failed transcription": (spoken_turn, {"transcripts": [None, None]}),
    "interruption": (interrupted_turn, {}),
    "tool round": (tool_round, {}),
    "push to talk": (push_to_talk, {}),
    "silent user": (silent_user, {}),
    "settings and seeding": (semantic_settings, {}),
    "errors": (errors, {}),
    "scripted": (scripted, {"replies": REPLIES}),
}


def foreign(value: Any, path: str = "") -> Iterator[str]:
    """The paths of fields that the vendor's types don't know."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield f"{path}.{name}".lstrip(".")
        for name in value.model_fields_set - set(value.model_extra or {}):
            yield from foreign(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for one in value:
            yield from foreign(one, f"{path}[]")


@pytest.mark.parametrize("name", SCENARIOS)
async def test_frames_are_the_vendors(name: str, record_property: Callable[[str, object], None]) -> None:
    scenario, options = SCENARIOS[name]
    simulator = registry().simulator("openai-realtime", SimulatorSettings(options=options))
    async with simulator.serve() as url:
        headers = {"Authorization": "Bearer sk-test"}
        async with bare_client(f"{url}/realtime?model=gpt-realtime-2", headers) as client:
            await client.until("session.created")
            await scenario(client)
            await client.quiet()
    for frame in client.frames:
        event = EVENTS.validate_json(json.dumps(frame))
        assert event.type == frame["type"], frame
        known = RECORDED.get(frame["type"], {})
        unknown = [path for path in foreign(event) if path not in known]
        assert not unknown, f"{frame['type']} has fields that neither the SDK nor a recording has: {unknown}"
    record_property("frames", len(client.frames))
    print(f"{name}: {len(client.frames)} frames, {len({frame['type'] for frame in client.frames})} types")  # noqa: T201  # how much was judged


def test_a_foreign_field_is_noticed() -> None:
    event = EVENTS.validate_python(
        {"type": "conversation.item.deleted", "event_id": "e", "item_id": "i", "made_up": {"x": 1}}
    )
    assert list(foreign(event)) == ["made_up"]
    nested = EVENTS.validate_python(
        {"type": "response.done", "event_id": "e", "response": {"id": "r", "usage": {"made_up": 1}}}
    )
    assert list(foreign(nested)) == ["response.usage.made_up"]
