"""The simulator by itself: what it refuses, how long it takes, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge.testing.simulator.bare_client import tone

LISTEN = "/stt/websocket?model=ink-2&encoding=pcm_s16le&sample_rate=16000"
TURNS = "/stt/turns/websocket?model=ink-2&encoding=pcm_s16le&sample_rate=16000"
SPEAK = "/tts/websocket"
INPUT = {
    "context_id": "one",
    "model_id": "sonic-3",
    "voice": {"id": "any"},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24_000},
    "transcript": "Hi.",
    "continue": False,
}
HEADERS = {"Authorization": "Bearer any", "Cartesia-Version": "2026-08-14"}


@asynccontextmanager
async def client(
    path: str, *, headers: dict[str, str] | None = None, **settings: Any
) -> AsyncIterator[tuple[ClientConnection, Any]]:
    options = {"pace": 0.0, **settings.pop("options", {})}
    simulator = registry().simulator("cartesia", SimulatorSettings(options=options, **settings))
    async with (
        simulator.serve() as url,
        connect(url + path, additional_headers=HEADERS if headers is None else headers, compression=None) as socket,
    ):
        yield socket, simulator


async def told(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            event = json.loads(await socket.recv())
            if event["type"] == kind:
                return dict(event)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (SPEAK, {}, 401),
        (SPEAK, {"X-API-Key": "any"}, 400),
        ("/stt/websocket?model=sonic-3", HEADERS, 400),
        ("/stt/turns/websocket?model=ink-whisper", HEADERS, 400),
        ("/stt/websocket?model=ink-2&encoding=mp3", HEADERS, 400),
        ("/elsewhere", HEADERS, 404),
    ],
    ids=["key", "version", "model", "turns", "encoding", "path"],
)
async def test_who_is_refused(path: str, headers: dict[str, str], status: int):
    with pytest.raises(InvalidStatus) as refused:
        async with client(path, headers=headers):
            pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["error_code"]


async def test_a_silent_client_is_sent_away():
    async with client(LISTEN, options={"idle_s": 0.2}) as (socket, _):
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_a_context_is_over_when_nothing_came_for_a_while():
    async with client(SPEAK, options={"context_s": 0.2}) as (socket, _):
        await socket.send(json.dumps({**INPUT, "continue": True}))
        await told(socket, "done")
        await socket.send(json.dumps(INPUT))
        assert (await told(socket, "error"))["error_code"] == "context_ended"


async def test_too_many_contexts_at_once():
    async with client(SPEAK, options={"max_contexts": 1}) as (socket, _):
        await socket.send(json.dumps({**INPUT, "continue": True}))
        await socket.send(json.dumps({**INPUT, "context_id": "two"}))
        error = await told(socket, "error")
    assert (error["status_code"], error["context_id"]) == (429, "two")


async def test_times_are_drawn_with_the_seed_and_kept():
    drawn: list[dict[str, float]] = []
    for seed in (1, 1, 2):
        async with client(SPEAK, profile="published", seed=seed) as (socket, simulator):
            await socket.send(json.dumps(INPUT))
            await told(socket, "done")
        (record,) = simulator.turns.turns
        drawn.append(record.drawn_ms)
        took_ms = (record.stamps["first_audio"] - record.stamps["requested"]) * 1000
        assert took_ms >= record.drawn_ms["speech"] - 1
    assert drawn[0] == drawn[1] != drawn[2]


async def test_an_end_of_turn_lies_where_it_was_drawn_in_the_audio():
    async with client(TURNS, profile="end_of_turn=300,eager_gain=100") as (socket, simulator):
        for n in range(80):
            await socket.send(tone(20, rate=16_000) if n < 40 else bytes(640))
        await told(socket, "turn.eager_end")
        await told(socket, "turn.end")
    places = simulator.turns.turns[0].audio_ms
    assert places["stopped"] - places["last_speech"] == pytest.approx(300, abs=20)


@pytest.mark.parametrize("frame", ["no JSON", "[1]", '{"transcript":"no context"}', '{"context_id":7}'])
async def test_what_it_can_not_read_it_says(frame: str):
    async with client(SPEAK) as (socket, _):
        await socket.send(frame)
        assert (await told(socket, "error"))["status_code"] == 400


@pytest.mark.parametrize("options", [{"transcripts": ()}, {"context_s": 0.0}, {"no_such": 1}, {"interim_ms": 1}])
def test_options_that_do_not_fit(options: dict[str, Any]):
    with pytest.raises(BadOption):
        registry().simulator("cartesia", SimulatorSettings(options=options))
