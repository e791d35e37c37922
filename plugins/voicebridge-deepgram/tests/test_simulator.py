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

LISTEN = "/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000&endpointing=false"
FLUX = "/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=16000&eager_eot_threshold=0.5"
SPEAK = "/v1/speak?model=aura-2-thalia-en&encoding=linear16&sample_rate=24000"


@asynccontextmanager
async def client(path: str, *, key: str = "any", **settings: Any) -> AsyncIterator[tuple[ClientConnection, Any]]:
    options = {"pace": 0.0, **settings.pop("options", {})}
    simulator = registry().simulator("deepgram", SimulatorSettings(options=options, **settings))
    async with simulator.serve() as url:
        headers = {"Authorization": f"Token {key}"} if key else {}
        async with connect(url + path, additional_headers=headers, compression=None) as socket:
            yield socket, simulator


async def told(socket: ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            frame = await socket.recv()
            if isinstance(frame, str) and (event := json.loads(frame)).get("type") == kind:
                return dict(event)


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        (LISTEN, "", 401),
        ("/v1/listen?model=flux-general-en", "any", 400),
        ("/v2/listen?model=nova-3", "any", 400),
        ("/v1/speak?model=aura-2-thalia-en&encoding=mp3", "any", 400),
        ("/v9/listen", "any", 404),
    ],
)
async def test_who_is_refused(path: str, key: str, status: int):
    with pytest.raises(InvalidStatus) as refused:
        async with client(path, key=key):
            pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["err_code"]


async def test_a_silent_client_is_sent_away():
    async with client(LISTEN, options={"idle_s": 0.2}) as (socket, _):
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert closed.value.rcvd.reason.startswith("NET-0001")


async def test_a_client_that_says_that_it_lives_is_not():
    async with client(LISTEN, options={"idle_s": 0.3}) as (socket, _):
        for _ in range(5):
            await asyncio.sleep(0.1)
            await socket.send('{"type":"KeepAlive"}')
        await socket.send('{"type":"CloseStream"}')
        assert await told(socket, "Metadata")


async def test_what_it_can_not_read_it_says():
    async with client(LISTEN) as (socket, _):
        await socket.send("no JSON")
        assert (await told(socket, "Error"))["variant"] == "SchemaError"


async def test_pieces_of_an_utterance_become_final():
    options = {"transcripts": ("one two three four five six",), "interim_ms": 200, "final_ms": 900}
    async with client(LISTEN + "&interim_results=true", options=options) as (socket, _):
        for _ in range(100):
            await socket.send(tone(20, rate=16_000))
        await socket.send('{"type":"Finalize"}')
        pieces: list[str] = []
        event = await told(socket, "Results")
        while not event["from_finalize"]:
            pieces += [event["channel"]["alternatives"][0]["transcript"]] if event["is_final"] else []
            event = await told(socket, "Results")
        pieces.append(event["channel"]["alternatives"][0]["transcript"])
    assert " ".join(pieces) == options["transcripts"][0]
    assert len(pieces) > 1


async def test_times_are_drawn_with_the_seed_and_kept():
    drawn: list[dict[str, float]] = []
    for seed in (1, 1, 2):
        async with client(SPEAK, profile="published", seed=seed) as (socket, simulator):
            await socket.send('{"type":"Speak","text":"Hi."}')
            await socket.send('{"type":"Flush"}')
            await told(socket, "Flushed")
        (record,) = simulator.turns.turns
        drawn.append(record.drawn_ms)
        took_ms = (record.stamps["first_audio"] - record.stamps["requested"]) * 1000
        assert took_ms >= record.drawn_ms["speech"] - 1
    assert drawn[0] == drawn[1] != drawn[2]


async def test_an_end_of_turn_lies_where_it_was_drawn_in_the_audio():
    async with client(FLUX, profile="end_of_turn=300,eager_gain=100") as (socket, simulator):
        for n in range(80):
            await socket.send(tone(20, rate=16_000) if n < 40 else bytes(640))
        events = []
        while not events or events[-1]["event"] != "EndOfTurn":
            events.append(await told(socket, "TurnInfo"))
    (eager,) = [event for event in events if event["event"] == "EagerEndOfTurn"]
    places = simulator.turns.turns[0].audio_ms
    assert eager["audio_window_end"] * 1000 - places["last_speech"] == pytest.approx(200, abs=20)
    assert places["stopped"] - places["last_speech"] == pytest.approx(300, abs=20)


@pytest.mark.parametrize("options", [{"transcripts": ()}, {"pace": -1.0}, {"no_such": 1}, {"eager_silence_ms": 900.0}])
def test_options_that_do_not_fit(options: dict[str, Any]):
    with pytest.raises(BadOption):
        registry().simulator("deepgram", SimulatorSettings(options=options))
