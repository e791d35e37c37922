"""The voice: what it asks for, what it makes of the answer, and what goes wrong."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import aclosing
from typing import Any

import orjson
import pytest

pytest.importorskip("botocore", reason="botocore is in the extra `aws`")

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Speech, Usage
from voicebridge.registry.registry import registry
from voicebridge.testing.guards import no_leaked_sockets, no_leaked_tasks
from voicebridge_aws.models import engine_of
from voicebridge_aws.polly import PollyRequests

TEXT = "Hello there, how are you?"
MS_PER_CHAR = 65
KEY = "AKIDEXAMPLE:secretCANARY"


def requests(model: str | None = "polly", **config: Any) -> PollyRequests:
    options = {"region": "eu-west-1"} | config.pop("options", {})
    fields = {"api_key": KEY, "options": options} | config
    return PollyRequests(engine_of(model), SessionConfig.model_validate(fields))


async def asked(model: str | None = "polly", **config: Any) -> dict[str, Any]:
    """The body of the request for a clause."""
    call = await requests(model, **config).call("Hi & <bye>.")
    assert call.content is not None
    body: dict[str, Any] = orjson.loads(call.content)
    return body


async def spoken(stage: Any, text: Any) -> tuple[bytes, str, list[Usage]]:
    async with aclosing(stage.speak(text)) as outputs:
        found = [output async for output in outputs]
    speech = [output for output in found if isinstance(output, Speech)]
    used = [output for output in found if isinstance(output, Usage)]
    return b"".join(one.pcm for one in speech), "".join(one.text for one in speech), used


# What is asked


async def test_a_clause_is_asked_for_as_it_is_written() -> None:
    assert await asked() == {
        "Engine": "neural",
        "OutputFormat": "pcm",
        "SampleRate": "16000",
        "Text": "Hi & <bye>.",
        "TextType": "text",
        "VoiceId": "Joanna",
    }


@pytest.mark.parametrize("model", ["polly-neural", "polly-generative", "polly-long-form", "polly-standard"])
async def test_each_engine_is_a_model(model: str) -> None:
    assert (await asked(model))["Engine"] == model.removeprefix("polly-")


async def test_ssml_is_sent_only_when_it_is_asked_for() -> None:
    body = await asked(options={"ssml": True, "lexicons": ["drugs"]})
    assert (body["TextType"], body["Text"]) == ("ssml", "<speak>Hi & <bye>.</speak>")
    assert body["LexiconNames"] == ["drugs"]


@pytest.mark.parametrize(
    ("config", "language"),
    [
        ({"voice": "Kajal", "language": "hi_in"}, "hi-IN"),
        ({"voice": "Vicki", "language": "de"}, None),
        ({"language": "en"}, None),
        ({"language": "en-GB"}, None),
        ({"voice": "Amy"}, None),
    ],
)
async def test_a_language_is_sent_where_a_voice_may_have_two(config: dict[str, Any], language: str | None) -> None:
    assert (await asked(**config)).get("LanguageCode") == language


async def test_the_request_is_signed_and_shows_no_secret() -> None:
    call = await requests(api_key=f"{KEY}:tokenCANARY").call("Hi.")
    assert call.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-west-1/polly/aws4_request" in call.headers["Authorization"]
    assert call.headers["X-Amz-Security-Token"] == "tokenCANARY"
    assert "CANARY" not in repr(call)


def test_characters_are_counted_and_tags_of_ssml_are_not() -> None:
    assert requests().usage("Hi <you>.") == Usage({"characters": 9}, basis="estimated")
    assert requests(options={"ssml": True}).usage("Hi <b>you</b>.") == Usage({"characters": 7}, basis="estimated")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"speed": 1.2}, "prosody"),
        ({"language": "de"}, "which voice"),
        ({"options": {"ssmll": True}}, "Did you mean 'ssml'"),
        ({"options": {"lexicons": list("abcdef")}}, "lexicons"),
        ({"api_key": "sk-123"}, "no single key"),
        ({"base_url": "http://192.0.2.1"}, "encrypted"),
    ],
)
def test_what_does_not_fit_is_refused(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        requests(**config)


@pytest.mark.parametrize(("model", "hint"), [("poly-neural", "aws/polly-neural"), ("nova", "aws/polly-standard")])
def test_an_engine_that_is_none_is_refused(model: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        registry().stage("tts", f"aws/{model}")


# Before the simulated vendor


@pytest.mark.parametrize("odd", [False, True])
async def test_it_speaks(serve: Any, stream: Any, odd: bool) -> None:
    with no_leaked_sockets():
        async with no_leaked_tasks(), serve(odd_pieces=odd) as vendor:
            stage = vendor.stage("tts", "aws/polly", voice="Matthew")
            await stage.warm()
            pcm, text, used = await spoken(stage, stream(TEXT, " Bye."))
            await stage.aclose()
            assert vendor.causes == ["polly", "polly"]
        await asyncio.sleep(0.02)
    assert text == f"{TEXT} Bye."
    assert len(pcm) == PCM_16K.size(MS_PER_CHAR * len(f"{TEXT}Bye."))
    assert sum(one.units["characters"] for one in used) == len(f"{TEXT}Bye.")


async def test_ssml_is_spoken_without_its_tags(serve: Any, stream: Any) -> None:
    async with no_leaked_tasks(), serve() as vendor:
        stage = vendor.stage("tts", "aws/polly", options={"ssml": True})
        pcm, _, _ = await spoken(stage, stream('<prosody rate="110%">Hello</prosody>'))
        await stage.aclose()
    assert len(pcm) == PCM_16K.size(MS_PER_CHAR * len("Hello"))


@pytest.mark.parametrize(
    ("config", "options", "category", "words"),
    [
        ({"api_key": "caller:wrong-secretCANARY"}, {}, "auth", "secret access key"),
        ({"api_key": "stranger:simulated"}, {"keys": ("known",)}, "auth", "access key"),
        ({"voice": "Dannielle"}, {}, "config", "Try Danielle"),
        ({"voice": "Lucia"}, {}, "config", "long-form"),
    ],
)
async def test_what_would_fail_shows_when_it_warms_up(
    serve: Any, config: Any, options: Any, category: str, words: str
) -> None:
    async with no_leaked_tasks(), serve(**options) as vendor:
        stage = vendor.stage("tts", "aws/polly-long-form", **config)
        with pytest.raises(VoiceBridgeError, match=words) as caught:
            await stage.warm()
        await stage.aclose()
    assert caught.value.fault.category == category
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.fault)
    assert "CANARY" not in shown
    assert "Signature=" not in shown


async def test_an_account_that_may_not_list_voices_may_still_speak(serve: Any, stream: Any) -> None:
    async with no_leaked_tasks(), serve(may_list=False) as vendor:
        stage = vendor.stage("tts", "aws/polly", voice="Vicki")
        await stage.warm()
        assert (await spoken(stage, stream("Guten Tag.")))[0]
        wrong = vendor.stage("tts", "aws/polly-long-form", voice="Vicki")
        await wrong.warm()
        with pytest.raises(VoiceBridgeError) as caught:
            await spoken(wrong, stream("Guten Tag."))
        await stage.aclose()
        await wrong.aclose()
    assert caught.value.fault.code == "EngineNotSupportedException"


async def test_too_many_requests_are_told_as_such(serve: Any, stream: Any) -> None:
    async with no_leaked_tasks(), serve(most_at_once=1, pace=1) as vendor:
        one, other = (vendor.stage("tts", "aws/polly") for _ in range(2))
        async with aclosing(one.speak(stream(TEXT))) as outputs:
            await anext(outputs)
            with pytest.raises(VoiceBridgeError) as caught:
                await spoken(other, stream(TEXT))
        assert (caught.value.fault.category, caught.value.fault.code) == ("rate", "ThrottlingException")
        assert caught.value.fault.retryable
        await one.aclose()
        await other.aclose()


async def test_a_text_that_is_too_long_is_told(serve: Any, stream: Any) -> None:
    async with no_leaked_tasks(), serve() as vendor:
        stage = vendor.stage("tts", "aws/polly")
        with pytest.raises(VoiceBridgeError) as caught:
            await spoken(stage, stream("Word " * 700))
        await stage.aclose()
    assert caught.value.fault.category == "config"


async def test_an_interruption_ends_the_request(serve: Any, stream: Any) -> None:
    async with no_leaked_tasks(), serve(pace=1) as vendor:
        stage = vendor.stage("tts", "aws/polly")
        async with aclosing(stage.speak(stream(TEXT))) as outputs:
            await anext(outputs)
        async with asyncio.timeout(2):
            while not vendor.server.turns.turns:  # noqa: ASYNC110 - the record belongs to the server
                await asyncio.sleep(0.01)
        assert vendor.server.turns.turns[0].status == "cancelled"
        await stage.aclose()
