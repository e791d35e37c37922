"""The simulated vendor itself: what no stage of ours would send."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge_google.simulator.synthesis import wav

RECOGNISE = "/v2/projects/p/locations/us/recognizers/_:recognize"
CONTENT = base64.b64encode(b"\x00\x20\x00\xe0" * 4000).decode()
CONFIG = {"model": "chirp_3", "languageCodes": ["auto"], "autoDecodingConfig": {}}
RAW = {"encoding": "LINEAR16", "sampleRateHertz": 16_000}
SAY = {
    "input": {"text": "Hi"},
    "voice": {"languageCode": "en-US", "name": "en-US-Chirp3-HD-Kore"},
    "audioConfig": {"audioEncoding": "PCM", "sampleRateHertz": 16_000},
}


def client(vendor: Any) -> httpx.AsyncClient:
    url = vendor.url.replace("ws", "http", 1)
    return httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer t"}, trust_env=False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RECOGNISE, b"{"),
        (RECOGNISE, {"content": CONTENT}),
        (RECOGNISE, {"config": {"model": "chirp_3", "autoDecodingConfig": {}}, "content": CONTENT}),
        (RECOGNISE, {"config": {"model": "chirp_3", "languageCodes": ["en-US"]}, "content": CONTENT}),
        (RECOGNISE, {"config": CONFIG, "content": CONTENT}),
        (RECOGNISE, {"config": CONFIG, "content": "%"}),
        (RECOGNISE, {"config": CONFIG | {"explicitDecodingConfig": {"encoding": "FLAC"}}, "content": CONTENT}),
        (
            RECOGNISE,
            {
                "config": CONFIG | {"explicitDecodingConfig": RAW},
                "content": base64.b64encode(bytes(32_000 * 61)).decode(),
            },
        ),
        ("/v1/text:synthesize", SAY | {"input": {"ssml": "<speak/>"}}),
        ("/v1/text:synthesize", SAY | {"input": {"text": "x" * 5001}}),
        ("/v1/text:synthesize", SAY | {"voice": {"languageCode": "en-US", "name": "nobody"}}),
        ("/v1/text:synthesize", SAY | {"voice": {"languageCode": "de-DE", "name": "en-US-Chirp3-HD-Kore"}}),
        ("/v1/text:synthesize", SAY | {"audioConfig": {"audioEncoding": "MP3"}}),
        ("/v1/text:synthesize", SAY | {"audioConfig": {"audioEncoding": "PCM", "speakingRate": 3}}),
        ("/v1/text:synthesize", {"input": {"text": "Hi"}}),
    ],
    ids=[
        "json",
        "config",
        "languages",
        "decoding",
        "no-file",
        "no-base64",
        "flac",
        "minute",
        "ssml",
        "long",
        "voice",
        "other-language",
        "mp3",
        "rate",
        "no-voice",
    ],
)
async def test_requests_that_do_not_fit(serve: Any, path: str, body: Any) -> None:
    async with serve() as vendor, client(vendor) as http:
        answer = await http.post(path, **({"content": body} if isinstance(body, bytes) else {"json": body}))
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_without_a_token_nobody_is_let_in(serve: Any) -> None:
    async with serve() as vendor, client(vendor) as http:
        answer = await http.get("/v1/voices", headers={"Authorization": ""})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, 401)
        assert (await http.get("/v1/voices", headers={"Authorization": "", "X-Goog-Api-Key": "k"})).status_code == 200
        for path in ("/v1/speech:recognize", "/v2/x:recognize"):
            assert (await http.post(path, json={})).status_code == 404


async def test_files_and_samples_are_heard_and_spoken(serve: Any) -> None:
    async with serve() as vendor, client(vendor) as http:
        pcm = base64.b64decode(CONTENT)
        file = base64.b64encode(wav(pcm, AudioFormat(rate=8_000))).decode()
        heard = (await http.post(RECOGNISE, json={"config": CONFIG, "content": file})).json()
        raw = base64.b64decode((await http.post("/v1/text:synthesize", json=SAY)).json()["audioContent"])
        said = SAY | {"audioConfig": {"audioEncoding": "LINEAR16"}}
        framed = base64.b64decode((await http.post("/v1/text:synthesize", json=said)).json()["audioContent"])
    [result] = heard["results"]
    assert result["alternatives"][0]["transcript"] == "1.0 seconds of speech"
    assert (result["resultEndOffset"], heard["metadata"]) == ("1.000s", {"totalBilledDuration": "1s"})
    assert (raw[:4] == b"RIFF", framed[:4] == b"RIFF") == (False, True)


async def test_times_are_drawn_by_caller_and_turn(serve: Any) -> None:
    async def drawn() -> list[float]:
        asked = {"config": CONFIG | {"explicitDecodingConfig": RAW}, "content": CONTENT}
        async with serve(profile="transcription=10-60") as vendor, client(vendor) as http:
            for token in ("a", "a", "b"):
                await http.post(RECOGNISE, json=asked, headers={"Authorization": f"Bearer {token}"})
            return [record.drawn_ms["transcription"] for record in vendor.server.turns.turns]

    times = await drawn()
    assert times == await drawn()
    assert len(set(times)) == 3


@pytest.mark.parametrize(
    "options",
    [{"ms_per_char": 0}, {"most_at_once": -1}, {"colour": 1}, {"pace": 3}],
    ids=["length", "most", "unknown", "pace"],
)
def test_options_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        registry().simulator("google-speech", SimulatorSettings(options=options))


def test_profiles_are_known_by_name() -> None:
    for profile in ("instant", "claimed", "published", "speech=300,transcription=350"):
        registry().simulator("google-speech", SimulatorSettings(profile=profile))
    with pytest.raises(BadOption, match="claimed"):
        registry().simulator("google-speech", SimulatorSettings(profile="wished"))
