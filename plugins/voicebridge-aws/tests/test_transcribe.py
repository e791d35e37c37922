"""The recogniser before the simulated vendor, over real sockets."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import aclosing
from typing import Any

import pytest

pytest.importorskip("botocore", reason="botocore is in the extra `aws`")

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, ConfigError, VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge.registry.registry import registry
from voicebridge.testing.guards import no_leaked_tasks

SECRET_PARTS = ("X-Amz", "Signature=", "Credential")


async def heard(stage: Any, audio: Any) -> list[Any]:
    async with aclosing(stage.listen(audio)) as outputs:
        return [output async for output in outputs]


def finals(outputs: list[Any]) -> list[tuple[int | None, str]]:
    return [(one.mark, one.text) for one in outputs if isinstance(one, Transcript) and one.final]


async def test_an_utterance_is_written_down_while_it_is_spoken(serve: Any, stream: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("What is the time?",)) as vendor:
        stage = vendor.stage("stt", "aws/transcribe")
        await stage.warm()
        seconds = [tone(0.5)] * 4
        outputs = await heard(stage, stream(*seconds, Mark(1, fresh=True)))
        await stage.aclose()
    assert finals(outputs) == [(1, "What is the time?")]
    words = next(one.words for one in outputs if isinstance(one, Transcript) and one.final)
    assert [word.text for word in words] == ["What", "is", "the", "time?"]
    assert words[-1].end_ms == pytest.approx(2000)
    assert [one.units for one in outputs if isinstance(one, Usage)] == [{"audio_s": 15.0}]


async def test_interim_texts_come(serve: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("What is the time?",)) as vendor:
        stage = vendor.stage("stt", "aws/transcribe", options={"partial_results_stability": "high"})
        interim = asyncio.Event()

        async def audio() -> Any:
            yield tone(1.0)
            await interim.wait()
            yield Mark(1, fresh=True)

        texts = []
        async with aclosing(stage.listen(audio())) as outputs:
            async for output in outputs:
                if isinstance(output, Transcript):
                    texts.append(output.text)
                    interim.set()
        await stage.aclose()
    assert texts == ["What is", "What is the time?"]


async def test_each_mark_ends_a_stream_and_texts_are_joined_until_a_fresh_one(
    serve: Any, stream: Any, tone: Any
) -> None:
    async with no_leaked_tasks(), serve(transcripts=("One.", "Two.", "Three.")) as vendor:
        stage = vendor.stage("stt", "aws/transcribe")
        pieces = [
            Mark(1),
            tone(1),
            Mark(2),
            Mark(3),
            tone(1),
            Mark(4, wanted=False),
            Mark(5, fresh=True),
            Mark(6),
            tone(1),
            Mark(7),
        ]
        outputs = await heard(stage, stream(*pieces))
        await stage.aclose()
        assert vendor.causes == ["transcribe"] * 3
    assert finals(outputs) == [(1, ""), (2, "One."), (3, "One."), (5, "One. Two."), (6, ""), (7, "Three.")]


async def test_a_right_guess_costs_one_stream(serve: Any, stream: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("Hello.",)) as vendor:
        stage = vendor.stage("stt", "aws/transcribe")
        silence = [bytes(3200)] * 5
        outputs = await heard(stage, stream(tone(1), Mark(1), *silence, Mark(2, fresh=True, wanted=False)))
        await stage.aclose()
        assert vendor.causes == ["transcribe"]
    assert finals(outputs) == [(1, "Hello.")]


async def test_silence_is_no_utterance(serve: Any, stream: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("Hello.",)) as vendor:
        stage = vendor.stage("stt", "aws/transcribe")
        outputs = await heard(stage, stream(bytes(32_000), Mark(1, fresh=True), tone(1), Mark(2)))
        await stage.aclose()
    assert finals(outputs) == [(1, ""), (2, "Hello.")]


async def test_the_language_is_found_out_among_several(serve: Any, stream: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("Hallo.",)) as vendor:
        stage = vendor.stage("stt", "aws/transcribe", options={"languages": ["de", "en-GB"]})
        outputs = await heard(stage, stream(tone(1), Mark(1)))
        await stage.aclose()
    assert [one.language for one in outputs if isinstance(one, Transcript) and one.final] == ["de-DE"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"options": {"languages": ["de-DE"]}}, "two or more"),
        ({"language": "en", "options": {"languages": ["de-DE", "en-US"]}}, "two or more"),
        ({"language": "tlh"}, "with its country"),
        ({"options": {"regoin": "us-east-1"}}, "Did you mean 'region'"),
        ({"options": {"region": "https://evil/"}}, "region"),
        ({"transcription": {"keywords": ["ramipril"]}}, "vocabulary_name"),
        ({"base_url": "ftp://x", "options": {"region": "us-east-1"}}, "base_url"),
    ],
)
def test_what_does_not_fit_is_refused(config: dict[str, Any], words: str) -> None:
    stage = registry().stage("stt", "aws/transcribe")
    with pytest.raises(ConfigError, match=words):
        stage.configure(SessionConfig.model_validate({"base_url": "ws://127.0.0.1:9"} | config))


def test_there_is_one_recogniser() -> None:
    with pytest.raises(ConfigError, match="aws/transcribe"):
        registry().stage("stt", "aws/transcribe-medical")


async def test_the_address_of_the_vendor_holds_no_secret() -> None:
    from voicebridge_aws.transcribe import AmazonTranscribe

    stage = AmazonTranscribe()
    stage.configure(SessionConfig(options={"region": "eu-west-1"}, language="de", api_key="AKID:CANARY"))  # type: ignore[arg-type]  # pydantic makes a secret of it
    url = stage.door.url
    assert url.startswith("wss://transcribestreaming.eu-west-1.amazonaws.com:8443/stream-transcription-websocket?")
    assert "language-code=de-DE" in url
    assert "CANARY" not in repr(stage.door)
    await stage.aclose()


@pytest.mark.parametrize(
    ("key", "options", "faults", "category"),
    [
        ("caller:wrong-secret", {}, (), "auth"),
        ("stranger:simulated", {"keys": ("known",)}, (), "auth"),
        ("caller:simulated", {}, ("handshake 429 retry-after 7",), "rate"),
        ("caller:simulated", {}, ("handshake 503",), "busy"),
    ],
)
async def test_a_refused_handshake_shows_when_it_warms_up_and_quotes_no_signature(
    serve: Any, key: str, options: Any, faults: Any, category: str
) -> None:
    async with no_leaked_tasks(), serve(faults=faults, **options) as vendor:
        stage = vendor.stage("stt", "aws/transcribe", api_key=key)
        with pytest.raises(VoiceBridgeError) as caught:
            await stage.warm()
        await stage.aclose()
    assert caught.value.fault.category == category
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value.fault)
    assert not any(part in shown for part in (*SECRET_PARTS, key))
    if category == "rate":
        assert caught.value.fault.retry_after_s == 7


async def test_as_many_streams_as_may_be_open_are_told(serve: Any, stream: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(most_at_once=1) as vendor:
        first, second = (vendor.stage("stt", "aws/transcribe", api_key="one:simulated") for _ in range(2))
        await first.warm()
        with pytest.raises(VoiceBridgeError) as caught:
            await heard(second, stream(tone(1), Mark(1)))
        await first.aclose()
        await second.aclose()
    assert (caught.value.fault.category, caught.value.fault.code) == ("rate", "LimitExceededException")


async def test_a_stream_that_waits_too_long_for_audio_is_replaced(serve: Any, stream: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("Hello.",), idle_s=0.1) as vendor:
        stage = vendor.stage("stt", "aws/transcribe")
        await stage.warm()
        await asyncio.sleep(0.4)
        assert finals(await heard(stage, stream(tone(1), Mark(1)))) == [(1, "Hello.")]
        await stage.aclose()


async def test_settings_may_change_between_utterances(serve: Any, tone: Any) -> None:
    async with no_leaked_tasks(), serve(transcripts=("Hello.", "Hallo.")) as vendor:
        stage = vendor.stage("stt", "aws/transcribe")
        answered = asyncio.Event()

        async def audio() -> Any:
            yield tone(1)
            yield Mark(1, fresh=True)
            await answered.wait()
            changed = {"base_url": vendor.url, "options": {"languages": ["de-DE", "en-US"]}}
            stage.configure(SessionConfig.model_validate(changed))
            await stage.get_ready()
            yield tone(1)
            yield Mark(2, fresh=True)

        found = []
        async with aclosing(stage.listen(audio())) as outputs:
            async for output in outputs:
                if isinstance(output, Transcript) and output.final:
                    found.append((output.mark, output.text, output.language))
                    answered.set()
        await stage.aclose()
    assert found == [(1, "Hello.", None), (2, "Hallo.", "de-DE")]


def test_bad_options_are_bad_options() -> None:
    stage = registry().stage("stt", "aws/transcribe")
    with pytest.raises(BadOption):
        stage.configure(SessionConfig(base_url="ws://127.0.0.1:9", options={"partial_results_stability": "total"}))


async def test_settings_that_mean_nothing_here_keep_the_stream_that_waits(serve: Any) -> None:
    async with no_leaked_tasks(), serve() as vendor:
        stage = vendor.stage("stt", "aws/transcribe")
        await stage.warm()
        door = stage.door
        stage.configure(SessionConfig(base_url=vendor.url, instructions="Be brief."))
        assert stage.door is door
        stage.configure(SessionConfig(base_url=vendor.url, language="de"))
        assert stage.door is not door
        await stage.aclose()
        await stage.aclose()
