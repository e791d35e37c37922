"""POST /audio/speech."""

from __future__ import annotations

import asyncio
import base64
import json
import struct

import pytest


def _events(response):
    return [json.loads(block.removeprefix("data: ")) for block in response.text.split("\n\n") if block]


async def test_pcm(serve):
    async with serve(ms_per_char=50) as api:
        response = await api.speech("Hello there.")
        turn = api.turn()
    assert response.headers["content-type"] == "audio/pcm"
    assert response.headers["transfer-encoding"] == "chunked"
    assert len(response.content) == 12 * 50 * 48
    assert turn.cause == "speech"
    assert turn.audio_ms == {"spoken": 600}


async def test_wav_has_a_header_of_unknown_length(serve):
    async with serve() as api:
        pcm = (await api.speech()).content
        response = await api.speech(response_format="wav")
    body = response.content
    assert response.headers["content-type"] == "audio/wav"
    assert body[:4] + body[8:12] == b"RIFFWAVE"
    assert struct.unpack_from("<I", body, 4) == struct.unpack_from("<I", body, 40) == (0xFFFFFFFF,)
    assert struct.unpack_from("<HHI", body, 20) == (1, 1, 24_000)
    assert body[44:] == pcm


async def test_events(serve):
    async with serve() as api:
        pcm = (await api.speech()).content
        events = _events(await api.speech(stream_format="sse"))
    audio = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert audio == pcm
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["output_tokens"] == pytest.approx(len(pcm) / 48_000 * 20, abs=1)


async def test_speed(serve):
    async with serve() as api:
        normal, fast = [len((await api.speech("Hello there, friend.", speed=speed)).content) for speed in (1, 2)]
    assert fast == pytest.approx(normal / 2, rel=0.1)


async def test_audio_comes_in_even_pieces_at_its_pace(serve):
    async with serve(profile="speech=20", audio_speed=20, delta_ms=50, ms_per_char=50) as api:
        await api.speech("Hello there.")
        turn = api.turn()
    assert turn.stamps["first_audio"] - turn.stamps["requested"] >= 0.02
    assert turn.stamps["done"] - turn.stamps["requested"] >= 0.02 + 0.55 / 20  # the last piece begins at 550 ms


async def test_a_client_that_leaves_ends_the_turn(serve):
    async with serve(audio_speed=1) as api:
        async with api.http.stream(
            "POST",
            "/audio/speech",
            json={"model": "tts-1", "voice": "nova", "input": "long " * 100, "response_format": "pcm"},
        ) as response:
            await anext(response.aiter_raw())
        await _until(lambda: api.server.turns.turns)
        assert api.turn().status == "cancelled"


async def _until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the log has no event to wait for
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param({"voice": "bob"}, 400, "invalid_value", id="voice"),
        pytest.param({"model": "tts-1", "voice": "marin"}, 400, "invalid_value", id="voice of another model"),
        pytest.param({"voice": 3}, 400, "invalid_type", id="voice type"),
        pytest.param({"voice": None}, 400, "missing_required_parameter", id="no voice"),
        pytest.param({"input": "a" * 4097}, 400, "string_above_max_length", id="too long"),
        pytest.param({"input": " "}, 400, "string_below_min_length", id="empty"),
        pytest.param({"speed": 5}, 400, "decimal_above_max_value", id="speed"),
        pytest.param({"response_format": "mp3"}, 400, "unsupported_value", id="not made here"),
        pytest.param({"response_format": "doc"}, 400, "invalid_value", id="no format"),
        pytest.param({"model": "tts-1", "stream_format": "sse"}, 400, "unsupported_value", id="no events"),
        pytest.param({"model": "no-such-voice"}, 404, "model_not_found", id="model"),
        pytest.param({"sample_rate": 8000}, 400, "unknown_parameter", id="unknown field"),
    ],
)
async def test_what_does_not_fit_is_refused(serve, body, status, code):
    async with serve() as api:
        answer = (await api.speech(**body, status=status)).json()
    assert answer["error"]["code"] == code


async def test_a_voice_of_ones_own(serve):
    async with serve() as api:
        assert (await api.speech(voice={"id": "voice_1234"})).content
