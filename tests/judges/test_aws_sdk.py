"""The vendor's own SDK before the simulator: what it is sent, and what it makes of errors.

boto3 has no client for streams of Transcribe: botocore's decoder judges that wire in the plugin's tests, and here the
signer and the encoder of another client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("boto3", reason="boto3 is in the extra `judges`")

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from voicebridge.contract.simulator import SimulatorSettings
from voicebridge.registry.registry import registry

pytestmark = pytest.mark.judges

TEXT = "Hello there, how are you today?"
MS_PER_CHAR = 65
Serve = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def serve() -> Serve:
    """The address of a simulator with these options."""

    @asynccontextmanager
    async def served(**options: Any) -> AsyncIterator[str]:
        simulator = registry().simulator("aws-speech", SimulatorSettings(options={"pace": 0} | options))
        async with simulator.serve() as url:
            yield url.replace("ws", "http", 1)

    return served


def client(url: str, key: str = "any", secret: str = "simulated", token: str | None = None) -> Any:
    session = boto3.session.Session(
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, region_name="eu-west-1"
    )
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return session.client("polly", endpoint_url=url, config=config)


def speech(polly: Any, **asked: Any) -> tuple[bytes, dict[str, Any]]:
    """What it says, and what came with it."""
    fields = {"Text": TEXT, "VoiceId": "Joanna", "Engine": "neural", "OutputFormat": "pcm", "SampleRate": "16000"}
    answer = polly.synthesize_speech(**(fields | asked))
    return answer["AudioStream"].read(), answer


@pytest.mark.parametrize("token", [None, "session/token=="])
async def test_a_signed_request_is_spoken(serve: Serve, token: str | None) -> None:
    async with serve() as url:
        pcm, answer = await asyncio.to_thread(speech, client(url, token=token))
    assert len(pcm) == len(TEXT) * MS_PER_CHAR * 32
    assert (answer["ContentType"], answer["RequestCharacters"]) == ("audio/pcm", len(TEXT))


async def test_ssml_of_the_generative_engine_at_8_khz(serve: Serve) -> None:
    async with serve() as url:
        asked = {"Engine": "generative", "SampleRate": "8000", "TextType": "ssml", "Text": "<speak>Hello</speak>"}
        pcm, answer = await asyncio.to_thread(lambda: speech(client(url), **asked))
    assert len(pcm) == len("Hello") * MS_PER_CHAR * 16
    assert answer["RequestCharacters"] == 5


async def test_the_list_of_voices(serve: Serve) -> None:
    async with serve() as url:
        told = await asyncio.to_thread(lambda: client(url).describe_voices(Engine="long-form"))
    assert {voice["Id"] for voice in told["Voices"]} == {"Danielle", "Ruth"}


@pytest.mark.parametrize(
    ("who", "options", "asked", "code", "status"),
    [
        ({"secret": "wrong"}, {}, {}, "InvalidSignatureException", 403),
        ({"key": "stranger"}, {"keys": ("known",)}, {}, "UnrecognizedClientException", 403),
        ({}, {}, {"Engine": "long-form"}, "EngineNotSupportedException", 400),
        ({}, {}, {"LanguageCode": "de-DE"}, "LanguageNotSupportedException", 400),
        ({}, {}, {"Text": "x" * 3001}, "TextLengthExceededException", 400),
        ({}, {}, {"SampleRate": "24000"}, "InvalidSampleRateException", 400),
    ],
)
async def test_errors_have_their_names(
    serve: Serve, who: dict[str, Any], options: dict[str, Any], asked: dict[str, Any], code: str, status: int
) -> None:
    async with serve(**options) as url:
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(lambda: speech(client(url, **who), **asked))
    told = caught.value.response
    assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert told["Error"]["Message"]


async def test_too_many_at_once_are_throttled(serve: Serve) -> None:
    async with serve(most_at_once=1, pace=1) as url:
        polly = client(url)
        fields = {"Text": TEXT, "VoiceId": "Joanna", "Engine": "neural", "OutputFormat": "pcm"}
        first = await asyncio.to_thread(lambda: polly.synthesize_speech(**fields))
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(speech, polly)
        first["AudioStream"].close()
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"


async def test_a_stream_as_another_client_signs_and_writes_it(serve: Serve) -> None:
    """pipecat-ai has a signer and an encoder of its own. It dials the vendor alone, so its address is dialled here."""
    wire = pytest.importorskip("pipecat.services.aws.utils", reason="pipecat-ai is in the extra `judges`")
    from websockets.asyncio.client import connect

    keys = {"access_key": "any", "secret_key": "simulated", "session_token": "session/token=="}
    url = wire.get_presigned_url(
        region="eu-west-1", credentials=keys, language_code="en-US", partial_results_stability="high"
    )
    tone = b"\x00\x20\x00\xe0" * 8_000
    texts = []
    async with serve(transcripts=("What is the time?",)) as served:
        port = int(served.rpartition(":")[2])
        address = url.replace("wss://", "ws://")
        async with connect(address, host="127.0.0.1", port=port, proxy=None) as socket:
            for piece in (tone, tone, b""):
                await socket.send(wire.build_event_message(piece))
            async for frame in socket:  # until it is closed well
                headers, told = wire.decode_event(frame)
                assert headers[":message-type"] == "event"
                (result,) = told["Transcript"]["Results"]
                texts.append((result["IsPartial"], result["Alternatives"][0]["Transcript"]))
    assert texts == [(True, "What is"), (True, "What is the time?"), (False, "What is the time?")]
