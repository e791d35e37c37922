"""The simulated vendor itself: what no stage of ours would send."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry
from voicebridge_azure.speech_to_text import wav
from voicebridge_azure.ssml import SpokenAs, ssml

HEAR = "/speech/recognition/conversation/cognitiveservices/v1"
SPEAK = "/cognitiveservices/v1"
WAV = {"Content-Type": "audio/wav; codecs=audio/pcm; samplerate=16000"}
SSML = {"Content-Type": "application/ssml+xml", "X-Microsoft-OutputFormat": "raw-16khz-16bit-mono-pcm"}
TONE = wav(b"\x00\x20\x00\xe0" * 8000)
HELLO = ssml("Hi.", SpokenAs(voice="en-US-JennyNeural", language="en-US"))


def client(vendor: Any) -> httpx.AsyncClient:
    url = vendor.url.replace("ws", "http", 1)
    return httpx.AsyncClient(base_url=url, headers={"Ocp-Apim-Subscription-Key": "k"}, trust_env=False)


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        (HEAR, WAV, TONE, 400),
        (f"{HEAR}?language=en-US", {"Content-Type": "audio/mpeg"}, TONE, 415),
        (f"{HEAR}?language=en-US", WAV, b"RIFF", 400),
        (f"{HEAR}?language=en-US", WAV, wav(bytes(32_000 * 61)), 400),
        (SPEAK, {**SSML, "Content-Type": "text/plain"}, b"Hi.", 415),
        (SPEAK, {**SSML, "User-Agent": ""}, HELLO, 400),
        (SPEAK, {**SSML, "X-Microsoft-OutputFormat": "audio-24khz-48kbitrate-mono-mp3"}, HELLO, 400),
        (SPEAK, SSML, b"Hi.", 400),
        (SPEAK, SSML, b"<speak>Hi.</speak>", 400),
        (SPEAK, SSML, HELLO.replace("Jenny", "Nobody"), 400),
        (SPEAK, SSML, '<!DOCTYPE x [<!ENTITY a "b">]>' + HELLO, 400),
        (SPEAK, SSML, ssml("x", SpokenAs(voice="en-US-JennyNeural", language="en", speed=3)), 400),
        ("/cognitiveservices/v2", SSML, HELLO, 404),
    ],
    ids=[
        "language",
        "mp3",
        "no-wav",
        "minute",
        "plain",
        "agent",
        "format",
        "no-xml",
        "no-voice",
        "voice",
        "entities",
        "rate",
        "path",
    ],
)
async def test_requests_that_do_not_fit(
    serve: Any, path: str, headers: dict[str, str], body: bytes | str, status: int
) -> None:
    async with serve() as vendor, client(vendor) as http:
        answer = await http.post(path, headers=headers, content=body)
    assert answer.status_code == status
    assert answer.text


async def test_without_a_key_nobody_is_let_in(serve: Any) -> None:
    async with serve() as vendor, client(vendor) as http:
        bare = {"Ocp-Apim-Subscription-Key": ""}
        answer = await http.get("/cognitiveservices/voices/list", headers=bare)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "401")
        token = {**bare, "Authorization": "Bearer eyJ"}
        assert (await http.get("/cognitiveservices/voices/list", headers=token)).json()


async def test_answers_are_simple_unless_asked_for_details(serve: Any) -> None:
    async with serve(transcripts=("Hello.",)) as vendor, client(vendor) as http:
        query = {"language": "en-US"}
        simple = (await http.post(HEAR, params=query, headers=WAV, content=TONE)).json()
        detailed = (await http.post(HEAR, params=query | {"format": "detailed"}, headers=WAV, content=TONE)).json()
        silent = (await http.post(HEAR, params=query, headers=WAV, content=wav(bytes(16_000)))).json()
    assert simple == {"RecognitionStatus": "Success", "DisplayText": "Hello.", "Offset": 0, "Duration": 10_000_000}
    assert detailed["NBest"][0]["Display"] == "Hello."
    assert silent["RecognitionStatus"] == "InitialSilenceTimeout"


async def test_what_is_heard_ends_at_a_pause_if_it_is_told_to(serve: Any) -> None:
    speech = b"\x00\x20\x00\xe0" * 4000  # half a second
    async with serve(phrase_pause_ms=500) as vendor, client(vendor) as http:
        content = wav(bytes(8_000) + speech + bytes(32_000) + speech)
        told = (await http.post(f"{HEAR}?language=en-US", headers=WAV, content=content)).json()
    assert (told["Offset"], told["Duration"]) == (2_400_000, 5_200_000)  # in steps of 20 ms


async def test_audio_comes_in_the_rate_that_is_asked_for(serve: Any) -> None:
    async with serve() as vendor, client(vendor) as http:
        sizes = [
            len((await http.post(SPEAK, headers={**SSML, "X-Microsoft-OutputFormat": name}, content=HELLO)).content)
            for name in ("raw-16khz-16bit-mono-pcm", "raw-24khz-16bit-mono-pcm")
        ]
    assert sizes[1] == pytest.approx(sizes[0] * 1.5, rel=0.02)


async def test_times_are_drawn_by_caller_and_turn(serve: Any) -> None:
    async def drawn() -> list[float]:
        async with serve(profile="speech=10-60") as vendor, client(vendor) as http:
            for key in ("a", "a", "b"):
                await http.post(SPEAK, headers={**SSML, "Ocp-Apim-Subscription-Key": key}, content=HELLO)
            return [record.drawn_ms["speech"] for record in vendor.server.turns.turns]

    times = await drawn()
    assert times == await drawn()
    assert len(set(times)) == 3


@pytest.mark.parametrize(
    "options",
    [{"ms_per_char": 0}, {"most_at_once": -1}, {"colour": 1}, {"pace": -1}, {"piece_ms": 1}, {"phrase_pause_ms": 1}],
    ids=["length", "most", "unknown", "pace", "piece", "pause"],
)
def test_options_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        registry().simulator("azure-speech", SimulatorSettings(options=options))


def test_profiles_are_known_by_name() -> None:
    for profile in ("instant", "claimed", "speech=300,transcription=350"):
        registry().simulator("azure-speech", SimulatorSettings(profile=profile))
    with pytest.raises(BadOption, match="claimed"):
        registry().simulator("azure-speech", SimulatorSettings(profile="published"))
