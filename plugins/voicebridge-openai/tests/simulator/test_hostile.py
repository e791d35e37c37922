"""Clients that send anything at all: each frame gets an error, and the session lives on."""

from __future__ import annotations

import json
import logging
import random
from typing import Any

import pytest

KINDS = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "response.cancel",
)
FIELDS = ("session", "audio", "item", "item_id", "content_index", "audio_end_ms", "response_id", "previous_item_id")
FRAMES = [
    "",
    "{",
    "null",
    "[]",
    "1",
    '"x"',
    "{}",
    '{"type": null}',
    '{"type": []}',
    '{"type": {}}',
    '{"type": "nonsense", "event_id": "mine"}',
    '{"type": "output_audio_buffer.clear"}',
    '{"type": "response.create", "response": []}',
    '{"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "x"}]}}',
    '{"type": "response.create", "response": {"metadata": 7}}',
    '{"type": "response.create", "response": {"input": [7]}}',
    '{"type": "response.create", "extra": 1}',
    '{"type": "input_audio_buffer.append", "audio": "not base64!"}',
    '{"type": "input_audio_buffer.append", "audio": 7}',
    '{"type": "input_audio_buffer.append"}',
    '{"type": "conversation.item.create", "item": {"type": []}}',
    '{"type": "conversation.item.truncate", "item_id": [], "content_index": {}, "audio_end_ms": "x"}',
    '{"type": "session.update", "session": {"type": "realtime", "tools": [{"type": []}]}}',
    '{"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"format": {"type": {}}}}}}',
    '{"type": "session.update", "session": {"type": "realtime", "audio": null}}',
    '{"type": "session.update", "session": {"type": "realtime", "output_modalities": []}}',
    '{"type": "response.create", "response": {"output_modalities": []}}',
    '{"type": "response.create", "response": {"tools": [{"type": "function", "name": "f", "parameters": ["x"]}]}}',
    '{"type": "response.cancel", "response_id": {}}',
    '{"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"format": null}}}}',
]


@pytest.mark.parametrize("frame", FRAMES)
async def test_a_frame_that_makes_no_sense(simulate: Any, frame: str, caplog: pytest.LogCaptureFixture) -> None:
    async with simulate() as (_, client):
        await client.socket.send(frame)
        error = (await client.until("error"))["error"]
        assert error["type"] == "invalid_request_error"
        assert error["event_id"] == ("mine" if "mine" in frame else None)
        await client.send("session.update", session={"type": "realtime"})
        await client.until("session.updated")
    assert not caplog.records


async def test_binary_frames(simulate: Any) -> None:
    async with simulate() as (_, client):
        await client.socket.send(b"\x00\xff")
        await client.until("error")


async def test_an_event_that_is_too_large(simulate: Any) -> None:
    async with simulate() as (_, client):
        await client.send("input_audio_buffer.append", audio="A" * (21 * 1024 * 1024))
        assert "15 MiB" in (await client.until("error"))["error"]["message"]
        await client.socket.send("x" * (25 * 1024 * 1024))
        code, _ = await client.ended()
        assert code == 1009


async def test_odd_bytes_of_audio_wait_for_their_half(simulate: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with simulate() as (_, client):
        for _ in range(10):
            await client.send("input_audio_buffer.append", audio="AAAAAA==")
        assert await client.quiet() == []
    assert not caplog.records


async def test_anything_at_all(simulate: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rng = random.Random(7)

    def value(depth: int = 0) -> Any:
        pick = rng.randrange(9 if depth < 3 else 6)
        if pick < 6:
            return [None, True, rng.randrange(-5, 5000), rng.random(), "", rng.choice(["realtime", "message", "x"])][
                pick
            ]
        if pick == 6:
            return [value(depth + 1) for _ in range(rng.randrange(3))]
        names = ("type", "audio", "input", "output", "content", "role", "format", "turn_detection", "tools", "id")
        return {rng.choice(names): value(depth + 1) for _ in range(rng.randrange(4))}

    async with simulate() as (_, client):
        for _ in range(500):
            event = {name: value() for name in rng.sample(FIELDS, rng.randrange(4))}
            await client.socket.send(json.dumps({"type": rng.choice(KINDS), **event}))
        await client.send("session.update", session={"type": "realtime", "instructions": "alive"}, event_id="last")
        while (await client.until("session.updated"))["session"]["instructions"] != "alive":
            pass
    assert not caplog.records
