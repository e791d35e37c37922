"""The simulator's own side: who is let in, what streams may begin with, and that its content is real."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytest.importorskip("botocore", reason="botocore is in the extra `aws`")

import botocore.auth

from voicebridge.contract.errors import BadOption
from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.contract.stages import Mark, Speech, Transcript
from voicebridge.registry.registry import registry
from voicebridge_aws.account import Keys
from voicebridge_aws.event_stream import decoded, encoded
from voicebridge_aws.signing import presigned_query, signed_headers

INSTALLED = {row.seat for row in registry().rows().stages if not row.about.missing() and row.name.startswith("local/")}
KEYS = Keys("caller-1", "simulated")
SPEECH = {"Text": "Hello.", "VoiceId": "Joanna", "OutputFormat": "pcm", "Engine": "neural"}
STREAM = "language-code=en-US&media-encoding=pcm&sample-rate=16000"
AUDIO = {":content-type": "application/octet-stream", ":event-type": "AudioEvent", ":message-type": "event"}


async def post(url: str, asked: Any = SPEECH, *, keys: Keys = KEYS, service: str = "polly", **changed: str) -> Any:
    """Ask for speech: the answer."""
    address, content = f"{url.replace('ws', 'http', 1)}/v1/speech", orjson.dumps(asked)
    headers = signed_headers(
        keys, service=service, region="us-east-1", method="POST", url=address, headers={"X-Own": "1"}, content=content
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(address, headers=headers | changed, content=content)


def stream_url(url: str, query: str = STREAM, keys: Keys = KEYS) -> str:
    address = f"{url}/stream-transcription-websocket?{query}"
    return f"{address}&{presigned_query(keys, service='transcribe', region='us-east-1', url=address)}"


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ({"Authorization": ""}, "MissingAuthenticationTokenException"),
        ({"Authorization": "Bearer x"}, "MissingAuthenticationTokenException"),
        ({"Authorization": "AWS4-HMAC-SHA256 x"}, "UnrecognizedClientException"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=caller-1/b/polly/x"}, "InvalidSignatureException"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=caller-1/b/c/polly/aws4_request"}, "InvalidSignatureException"),
        ({"X-Own": "2"}, "InvalidSignatureException"),
        ({"X-Amz-Date": "yesterday"}, "InvalidSignatureException"),
        ({"keys": Keys("caller-1", "wrong")}, "InvalidSignatureException"),
        ({"keys": Keys("stranger", "simulated")}, "UnrecognizedClientException"),
        ({"service": "s3"}, "InvalidSignatureException"),
    ],
)
async def test_only_well_signed_requests_are_served(serve: Any, how: Any, name: str) -> None:
    async with serve(keys=("caller-1",)) as vendor:
        answer = await post(vendor.url, **how)
        assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (403, name)
        assert answer.json()["message"]
        assert (await post(vendor.url)).status_code == 200


async def test_an_old_signature_is_refused(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = datetime.now(UTC) - timedelta(minutes=6)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: old)
    async with serve() as vendor:
        answer = await post(vendor.url)
        assert "expired" in answer.json()["message"]
        with pytest.raises(InvalidStatus) as caught:
            await connect(stream_url(vendor.url))
        assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"Text": ""}, "ValidationException"),
        ({"VoiceId": "Nobody"}, "ValidationException"),
        ({"Engine": "long-form"}, "EngineNotSupportedException"),
        ({"LanguageCode": "de-DE"}, "LanguageNotSupportedException"),
        ({"SampleRate": "24000"}, "InvalidSampleRateException"),
        ({"OutputFormat": "mp3"}, "ValidationException"),
        ({"TextType": "ssml"}, "InvalidSsmlException"),
        ({"Text": "x" * 3001}, "TextLengthExceededException"),
    ],
)
async def test_what_a_voice_does_not_do_is_refused_by_its_name(
    serve: Any, changed: Mapping[str, str], name: str
) -> None:
    async with serve() as vendor:
        answer = await post(vendor.url, {**SPEECH, **changed})
        assert (answer.status_code, answer.headers["x-amzn-ErrorType"]) == (400, name)


async def test_audio_says_what_it_is(serve: Any) -> None:
    async with serve() as vendor:
        answer = await post(vendor.url)
    assert (answer.headers["content-type"], answer.headers["x-amzn-RequestCharacters"]) == ("audio/pcm", "6")
    assert len(answer.content) == 6 * 65 * 32


@pytest.mark.parametrize(
    "query",
    [
        "language-code=en-US&media-encoding=flac&sample-rate=16000",
        "language-code=en-US&media-encoding=pcm&sample-rate=1",
        "language-code=en-US&media-encoding=pcm",
        "media-encoding=pcm&sample-rate=16000",
        f"{STREAM}&identify-language=true",
        "identify-language=true&language-options=en-US&media-encoding=pcm&sample-rate=16000",
        f"{STREAM}&partial-results-stability=total",
    ],
)
async def test_a_stream_begins_with_settings_that_fit(serve: Any, query: str) -> None:
    async with serve() as vendor:
        with pytest.raises(InvalidStatus) as caught:
            await connect(stream_url(vendor.url, query))
        assert caught.value.response.status_code == 400
        assert caught.value.response.headers["x-amzn-ErrorType"] == "BadRequestException"
        async with connect(stream_url(vendor.url)):
            pass


@pytest.mark.parametrize(
    "frame", ["text", b"\x00" * 20, encoded({":event-type": "Other", ":message-type": "event"}, b"")]
)
async def test_what_is_no_audio_ends_the_stream_with_an_exception(serve: Any, frame: Any) -> None:
    async with serve() as vendor, connect(stream_url(vendor.url)) as socket:
        await socket.send(frame)
        message = decoded(await socket.recv())
        assert message.headers[":exception-type"] == "BadRequestException"
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_an_idle_stream_ends_in_the_vendors_words(serve: Any) -> None:
    async with serve(idle_s=0.05) as vendor, connect(stream_url(vendor.url)) as socket:
        message = decoded(await socket.recv())
        assert b"no new audio was received" in message.payload


async def test_times_are_drawn_by_caller_and_turn(serve: Any, tone: Any) -> None:
    drawn = []
    for _ in range(2):
        async with serve(profile="speech=50-90,transcription=50-90", transcripts=("Hi.",)) as vendor:
            await post(vendor.url)
            async with connect(stream_url(vendor.url)) as socket:
                await socket.send(encoded(AUDIO, tone(0.3)))
                await socket.send(encoded(AUDIO, b""))
                while b"Hi." not in decoded(await socket.recv()).payload:
                    pass
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
            drawn.append([(one.caller, one.cause, one.drawn_ms) for one in vendor.server.turns.turns])
    assert drawn[0] == drawn[1]
    assert [cause for _, cause, _ in drawn[0]] == ["polly", "transcribe"]
    assert all(caller == "caller-1" for caller, _, _ in drawn[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"pace": -1}, "pace"), ({"idle_s": 0}, "idle_s"), ({"secret": ""}, "secret"), ({"voices": "x"}, "voice")],
)
def test_options_that_do_not_fit_are_refused(options: Any, words: str) -> None:
    with pytest.raises(BadOption, match=words):
        registry().simulator("aws-speech", SimulatorSettings(options=options))


def test_published_times_are_not_known() -> None:
    with pytest.raises(BadOption, match="claimed"):
        registry().simulator("aws-speech", SimulatorSettings(profile="published"))


@pytest.mark.skipif(not {"stt", "tts"} <= INSTALLED, reason="the extra `local` brings the models")
async def test_a_real_voice_is_heard_by_a_real_recogniser(serve: Any, stream: Any) -> None:
    async with serve(voice="installed", recogniser="installed") as vendor:
        voice, ears = vendor.stage("tts", "aws/polly"), vendor.stage("stt", "aws/transcribe")
        said = [one async for one in voice.speak(stream("The weather is nice today."))]
        pcm = b"".join(one.pcm for one in said if isinstance(one, Speech))
        heard = [one async for one in ears.listen(stream(pcm, Mark(1, fresh=True)))]
        await voice.aclose()
        await ears.aclose()
    (text,) = [one.text for one in heard if isinstance(one, Transcript) and one.final]
    assert "weather" in text.lower()
