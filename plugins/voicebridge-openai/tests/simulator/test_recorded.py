"""The simulator's frames have the order, the fields and the types of recorded ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from voicebridge.testing.simulator.bare_client import BareClient

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
WHISPER = {"audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}}
STREAMED = ("delta", "input_audio_transcription.completed", "rate_limits.updated")
"""Their place between others is chance, or they come only sometimes."""


def received(order: list[str]) -> list[str]:
    kinds = [line[2:] for line in order if line.startswith("< ")]
    return [kind for kind in kinds if not kind.endswith(STREAMED)]


def ours(client: BareClient) -> list[str]:
    return [frame["type"] for frame in client.frames if not frame["type"].endswith(STREAMED)]


def paths(value: Any, path: str) -> Iterator[tuple[str, str]]:
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    yield path, "null" if value is None else kinds[type(value)]
    if isinstance(value, dict) and not path.endswith(".parameters"):
        for name, one in value.items():
            yield from paths(one, f"{path}.{name}")
    elif isinstance(value, list):
        for one in value:
            yield from paths(one, f"{path}[]")


async def text_turn(client: BareClient, update: Any, write: Any, speak: Any) -> None:
    await update(client, **WHISPER)
    await write(client, "Say a short greeting.")


async def tool_round(client: BareClient, update: Any, write: Any, speak: Any) -> None:
    await update(client, output_modalities=["text"], tools=[TOOL], **WHISPER)
    await write(client, "Tell me: get weather in London")
    call = await client.until("response.function_call_arguments.done")
    await client.until("response.done")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Fog."}
    await client.send("conversation.item.create", item=output)
    await client.send("response.create")


async def seeding(client: BareClient, update: Any, write: Any, speak: Any) -> None:
    await update(client, output_modalities=["text"], **WHISPER)
    await write(client, "My name is Alice.", respond=False)
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello, Alice!"}]}
    await client.send("conversation.item.create", item=said)
    await write(client, "What is my name?")


async def spoken_turn(client: BareClient, update: Any, write: Any, speak: Any) -> None:
    await update(client, **WHISPER)
    await speak(client)


SCENARIOS = {
    "text_in_audio_out_turn": text_turn,
    "tool_call_round": tool_round,
    "message_history_seeding": seeding,
    "audio_in_server_vad_turn": spoken_turn,
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_the_order_is_the_recorded_one(
    name: str, recorded: Any, simulate: Any, update: Any, write: Any, speak: Any
) -> None:
    async with simulate() as (_, client):
        await SCENARIOS[name](client, update, write, speak)
        await client.until("response.done")
        await client.quiet()
        assert ours(client) == received(recorded["orders"][name])


@pytest.mark.parametrize("name", SCENARIOS)
async def test_each_frame_has_the_recorded_fields(
    name: str, recorded: Any, simulate: Any, update: Any, write: Any, speak: Any
) -> None:
    async with simulate() as (_, client):
        await SCENARIOS[name](client, update, write, speak)
        await client.until("response.done")
        await client.quiet()
    assert len(client.frames) > 15
    for frame in client.frames:
        known = recorded["shapes"][frame["type"]]
        found = {pair for field, value in frame.items() for pair in paths(value, field)}
        strange = sorted(f"{path}: {kind}" for path, kind in found if kind not in known.get(path, ()))
        # A list may be empty, a field null: what is under it is not asked for then.
        there = {path for path, _ in found}
        lacking = [p for p in known if p not in there and p.rpartition(".")[0] in there | {""} and "[]" not in p]
        lacking = [p for p in lacking if not item_field(p)]
        assert not strange, f"{frame['type']}: {strange}"
        assert not lacking, f"{frame['type']}: {lacking}"


def item_field(path: str) -> bool:
    """Which fields an item or a part has depends on its type: the recording knows them all at once."""
    return path.startswith(("item.", "part.")) or "description" in path


async def test_the_transcription_is_complete_in_the_middle_of_the_answer(
    simulate: Any, update: Any, speak: Any
) -> None:
    async with simulate(transcripts=["Hello, my name is Ada."]) as (_, client):
        await update(client, **WHISPER)
        await speak(client)
        await client.until("response.done")
    kinds = [frame["type"] for frame in client.frames]
    told = kinds.index("conversation.item.input_audio_transcription.completed")
    assert kinds.index("response.output_audio.delta") < told < kinds.index("response.output_audio.done")
    assert client.frames[told]["transcript"] == "Hello, my name is Ada."
    assert client.frames[told]["usage"] == {"type": "duration", "seconds": 1}
