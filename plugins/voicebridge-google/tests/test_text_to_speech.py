"""The voice: requests, answers, and the stage before the simulated vendor."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, VoiceBridgeError
from voicebridge.contract.stages import Speech, Usage
from voicebridge.testing.guards import no_leaked_tasks
from voicebridge.transport.body import JsonBody
from voicebridge_google.settings import VoiceSettings
from voicebridge_google.simulator.synthesis import wav
from voicebridge_google.text_to_speech import samples_in, synthesis_request

Stream = Callable[..., AsyncIterator[Any]]
PCM = AudioFormat(rate=24_000)


def encoded(audio: bytes) -> dict[str, str]:
    return {"audioContent": base64.b64encode(audio).decode()}


async def spoken(stage: Any, text: AsyncIterator[Any]) -> list[Speech | Usage]:
    async with aclosing(stage.speak(text)) as outputs:
        return [output async for output in outputs]


def test_a_request() -> None:
    settings = VoiceSettings.of("chirp-3-hd", SessionConfig(voice="Puck", language="de", speed=1.5))
    assert synthesis_request(settings, "Guten Tag.") == {
        "input": {"text": "Guten Tag."},
        "voice": {"languageCode": "de-DE", "name": "de-DE-Chirp3-HD-Puck"},
        "audioConfig": {"audioEncoding": "LINEAR16", "sampleRateHertz": 24_000, "speakingRate": 1.5},
    }


@pytest.mark.parametrize(
    ("audio", "pcm"),
    [
        (wav(b"abcd", PCM), b"abcd"),
        (b"abcd", b"abcd"),
        (b"abc", b"ab"),
        (wav(b"abcd", PCM)[:-2], b"ab"),
        (wav(b"", PCM)[:12] + b"LIST\x03\0\0\0xyz\0" + wav(b"abcd", PCM)[12:], b"abcd"),
        (wav(b"abcd", PCM)[:-8] + b"\xff\xff\xff\xffabcd", b"abcd"),
        (wav(b"abcd", PCM)[:20], b""),
        (b"", b""),
    ],
    ids=["wav", "raw", "odd", "short", "other-chunk", "endless", "headless", "empty"],
)
def test_the_header_of_the_file_is_no_sound(audio: bytes, pcm: bytes) -> None:
    assert list(samples_in(encoded(audio))) == [pcm]


def test_an_answer_may_be_cut_anywhere() -> None:
    text = b'{"audioContent": "' + base64.b64encode(wav(b"abcdef", PCM)) + b'"}'
    for at in range(len(text)):
        body = JsonBody(samples_in)
        assert [*body.feed(text[:at]), *body.feed(text[at:]), *body.end()] == [b"abcdef"]


@pytest.mark.parametrize("answer", [None, [], {}, {"audioContent": 5}, {"audioContent": "%%"}, {"audioContent": "é"}])
def test_what_is_no_answer(answer: Any) -> None:
    with pytest.raises(VoiceBridgeError) as error:
        list(samples_in(answer))
    assert error.value.fault.code == "bad_answer"


async def test_clauses_are_spoken_as_long_as_they_are(serve: Any, stream: Stream) -> None:
    async with no_leaked_tasks(), serve() as vendor:
        stage = vendor.voice(voice="Leda", speed=2.0)
        await stage.warm()
        outputs = await spoken(stage, stream("Hello there.", " How are you?"))
        await stage.aclose()
    speech = [one for one in outputs if isinstance(one, Speech)]
    assert "".join(one.text for one in speech) == "Hello there. How are you?"
    assert stage.traits.format.ms(sum(len(one.pcm) for one in speech)) == pytest.approx(25 * 65 / 2, rel=0.1)
    assert [one.units["characters"] for one in outputs if isinstance(one, Usage)] == [12, 12]


@pytest.mark.parametrize("status", [404, 405])
async def test_a_proxy_that_lists_no_voices_does_no_harm(serve: Any, stream: Stream, status: int) -> None:
    async with no_leaked_tasks(), serve(faults=[f"handshake {status} connection 1"]) as vendor:
        stage = vendor.voice()
        await stage.warm()
        assert await spoken(stage, stream("Hello."))
        await stage.aclose()


async def test_a_voice_that_is_not_listed_shows_when_it_warms_up(serve: Any) -> None:
    async with serve() as vendor:
        stage = vendor.voice("en-US-Studio-Q")
        with pytest.raises(ConfigError, match="Chirp3-HD-Achernar"):
            await stage.warm()
        await stage.aclose()


async def test_too_many_at_once_is_a_rate_fault(serve: Any, stream: Stream) -> None:
    async with no_leaked_tasks(), serve(profile="speech=400", most_at_once=1) as vendor:
        one, two = vendor.voice(), vendor.voice()
        first = asyncio.ensure_future(spoken(one, stream("Hello.")))
        await asyncio.sleep(0.2)
        with pytest.raises(VoiceBridgeError) as error:
            await spoken(two, stream("Hello."))
        assert (error.value.fault.category, error.value.fault.retryable) == ("rate", True)
        assert await first
        await one.aclose()
        await two.aclose()
