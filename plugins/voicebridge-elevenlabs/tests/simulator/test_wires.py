"""The simulated vendor itself: what the SDK does not ask for, and what no client should send."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry

GEORGE = "JBFqnCBsd6RMkjVDRZzb"
TEXT = "Hello there, how are you today?"


@asynccontextmanager
async def voice(url: str, *, voice_id: str = GEORGE, key: str = "k", **query: Any) -> AsyncIterator[ClientConnection]:
    asked = {"output_format": "pcm_24000", "model_id": "eleven_flash_v2_5"} | query
    address = f"{url}/v1/text-to-speech/{voice_id}/stream-input?{httpx.QueryParams(asked)}"
    async with connect(address, additional_headers={"xi-api-key": key} if key else {}) as socket:
        yield socket


async def rest(socket: ClientConnection) -> tuple[list[Any], int | None]:
    """What still comes, and how it ends."""
    frames = []
    try:
        async with asyncio.timeout(10):
            while True:
                frames.append(json.loads(await socket.recv()))
    except ConnectionClosed:
        return frames, socket.close_code


def seconds(frames: list[Any]) -> float:
    return sum(len(base64.b64decode(frame["audio"])) for frame in frames if frame.get("audio")) / 48_000


async def test_without_auto_mode_speech_waits_for_enough_text(serve: Any) -> None:
    async with serve() as vendor, voice(vendor.url) as socket:
        await socket.send(json.dumps({"text": " ", "generation_config": {"chunk_length_schedule": [50, 500]}}))
        await socket.send(json.dumps({"text": "Short. "}))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.1)
        await socket.send(json.dumps({"text": "Now there are more than fifty characters in all. "}))
        first = json.loads(await socket.recv())
        assert first["audio"]
        await socket.send(json.dumps({"text": "A tail. "}))
        await socket.send(json.dumps({"text": ""}))
        frames, code = await rest(socket)
    assert (code, frames[-1]["isFinal"]) == (1000, True)


async def test_flush_speaks_what_is_held(serve: Any) -> None:
    async with serve() as vendor, voice(vendor.url) as socket:
        for frame in ({"text": " "}, {"text": "Short. "}, {"text": "", "flush": True}):
            await socket.send(json.dumps(frame))
        frames, _ = await rest(socket)
    assert seconds(frames) == pytest.approx(7 * 0.065, abs=0.07)


@pytest.mark.parametrize(
    "frames",
    [
        ["no json"],
        [b"\x00\xff"],
        ["[]"],
        ['{"text": 5}'],
        ['{"text": "Hello"}'],
        ['{"text": " ", "voice_settings": {"stability": 2}}'],
        ['{"text": " ", "voice_settings": {"speed": 3}}'],
        ['{"text": " ", "generation_config": {"chunk_length_schedule": [1]}}'],
        ['{"text": " "}', "{"],
    ],
    ids=["text", "binary", "list", "number", "no-blank", "share", "speed", "schedule", "later"],
)
async def test_what_does_not_fit_is_told_and_ends_it(serve: Any, frames: list[str | bytes]) -> None:
    async with serve() as vendor, voice(vendor.url) as socket:
        for frame in frames:
            await socket.send(frame)
        told, code = await rest(socket)
    assert code == 1008
    assert told[-1]["code"] == 1008
    assert told[-1]["error"]
    assert told[-1]["message"]


async def test_a_key_may_come_with_the_first_message(serve: Any) -> None:
    async with serve() as vendor:
        async with voice(vendor.url, key="") as socket:
            for frame in ({"text": " ", "xi_api_key": "k"}, {"text": "Hi. "}, {"text": ""}):
                await socket.send(json.dumps(frame))
            frames, code = await rest(socket)
            assert code == 1000
            assert seconds(frames) > 0
        async with voice(vendor.url, key="") as socket:
            await socket.send('{"text": " "}')
            frames, code = await rest(socket)
            assert (frames[0]["error"], code) == ("needs_authorization", 1008)


async def test_who_says_nothing_is_closed(serve: Any) -> None:
    async with serve() as vendor, voice(vendor.url, inactivity_timeout=0.1) as socket:
        frames, code = await rest(socket)
    assert (frames[-1]["error"], code) == ("input_timeout_exceeded", 1008)


@pytest.mark.parametrize("path", ["/v1/text-to-speech/x/multi-stream-input", "/v1/convai/conversation", "/"])
async def test_other_websockets_are_not_there(serve: Any, path: str) -> None:
    async with serve() as vendor:
        with pytest.raises(InvalidStatus) as error:
            async with connect(vendor.url + path, additional_headers={"xi-api-key": "k"}):
                pass
    assert error.value.response.status_code == 404


@pytest.mark.parametrize(
    ("request_", "status", "name"),
    [
        (("POST", f"/v1/text-to-speech/{GEORGE}/stream", {"content": b"{"}), 400, "invalid_request"),
        (("POST", f"/v1/text-to-speech/{GEORGE}/stream", {"json": {"text": " "}}), 400, "invalid_request"),
        (("POST", f"/v1/text-to-speech/{GEORGE}/stream", {"json": {"text": "Hi"}}), 400, "invalid_output_format"),
        (
            (
                "POST",
                f"/v1/text-to-speech/{GEORGE}/stream?output_format=pcm_16000",
                {"json": {"text": "Hi", "language_code": "de"}},
            ),
            400,
            "unsupported_language",
        ),
        (("POST", "/v1/text-to-speech/nobody/stream", {"json": {"text": "Hi"}}), 404, "voice_not_found"),
        (("POST", "/v1/speech-to-text", {"content": b"x"}), 400, "invalid_request"),
        (("POST", "/v1/speech-to-text", {"files": {"file": b"x"}, "data": {"model_id": "m"}}), 400, "invalid_audio"),
        (("GET", "/v1/models", {}), 404, "not_found"),
    ],
    ids=["json", "blank", "mp3", "language", "voice", "form", "audio", "path"],
)
async def test_requests_that_do_not_fit(serve: Any, request_: Any, status: int, name: str) -> None:
    method, path, body = request_
    async with serve() as vendor, httpx.AsyncClient(base_url=vendor.url.replace("ws", "http", 1)) as client:
        answer = await client.request(method, path, headers={"xi-api-key": "k"}, **body)
        assert (await client.get("/v1/voices")).status_code == 401
    assert (answer.status_code, answer.json()["detail"]["status"]) == (status, name)


async def test_times_are_drawn_by_caller_and_turn(serve: Any) -> None:
    async def drawn(url: str, key: str, turn: int | None = None) -> None:
        if turn is not None:
            async with httpx.AsyncClient(base_url=url.replace("ws", "http", 1)) as client:
                await client.put("/simulator/turn", json={"caller": key, "turn": turn})
        async with voice(url, key=key, model_id="eleven_turbo_v2_5") as socket:
            for text in (" ", "Hi. ", ""):
                await socket.send(json.dumps({"text": text, "flush": bool(text.strip())}))
            await rest(socket)

    async with serve(profile="published") as vendor:
        for key, turn in (("a", None), ("a", None), ("b", None), ("a", 1)):
            await drawn(vendor.url, key, turn)
        records = list(vendor.server.turns.turns)
    times = [record.drawn_ms["speech_turbo"] for record in records]
    assert times[0] == times[3]
    assert len({*times}) == 3
    assert all(150 < ms < 400 for ms in times)
    first = records[0]
    assert first.stamps["first_audio"] - first.stamps["requested"] == pytest.approx(times[0] / 1000, abs=0.2)
    assert first.stamps["first_audio"] - first.stamps["requested"] >= times[0] / 1000


async def test_scribe_tells_what_it_can_not_take(serve: Any, tone: Callable[[float], bytes]) -> None:
    async with serve() as vendor:
        address = f"{vendor.url}/v1/speech-to-text/realtime?model_id=scribe_v2_realtime"
        async with connect(address, additional_headers={"xi-api-key": "k"}) as socket:
            assert json.loads(await socket.recv())["message_type"] == "session_started"
            long = {"message_type": "input_audio_chunk", "audio_base_64": base64.b64encode(bytes(32_000 * 31)).decode()}
            for frame in ("{", "[]", '{"message_type": "x", "audio_base_64": ""}', json.dumps(long)):
                await socket.send(frame)
            kinds = [json.loads(await socket.recv())["message_type"] for _ in range(4)]
        async with connect(address + "&commit_strategy=vad", additional_headers={"xi-api-key": "k"}) as socket:
            assert json.loads(await socket.recv())["message_type"] == "invalid_request"
    assert kinds == ["input_error", "input_error", "input_error", "chunk_size_exceeded"]


@pytest.mark.parametrize(
    "options",
    [{"alignment": "word"}, {"pace": -1}, {"piece_ms": 1}, {"scribe_idle_s": 0}, {"colour": 1}],
    ids=["alignment", "pace", "piece", "idle", "unknown"],
)
def test_options_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        registry().simulator("elevenlabs", SimulatorSettings(options=options))


def test_profiles_are_known_by_name() -> None:
    for profile in ("instant", "claimed", "published", "speech=300,transcription=350"):
        registry().simulator("elevenlabs", SimulatorSettings(profile=profile))
    with pytest.raises(BadOption, match="claimed"):
        registry().simulator("elevenlabs", SimulatorSettings(profile="wished"))
