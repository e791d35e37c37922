"""Speech: clauses out, samples in, and the stage over a real socket."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson
import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import ConfigError, Unsupported, VoiceBridgeError
from voicebridge.contract.stages import Flush, Speech, Usage
from voicebridge_openai.seats.options import SpeechOptions
from voicebridge_openai.seats.servers import SERVERS
from voicebridge_openai.seats.speech import SpeechBody, speech_request
from voicebridge_openai.seats.voice_stage import Voice, fitting

from .scripted_server import Answer, serving, sse

FORMAT = AudioFormat()
PCM = struct.pack("<480h", *range(-240, 240))


def read(data: bytes, step: int = 0) -> tuple[bytes, list[Usage]]:
    """The samples and the usage of an answer to ten characters."""
    body = SpeechBody(FORMAT, 10)
    outputs: list[Any] = []
    for start in range(0, len(data), step or len(data) or 1):
        outputs += body.feed(data[start : start + (step or len(data))])
    outputs += body.end()
    pcm = [output for output in outputs if isinstance(output, bytes)]
    assert all(len(piece) % 2 == 0 for piece in pcm)
    return b"".join(pcm), [output for output in outputs if isinstance(output, Usage)]


def wav(rate: int = 24_000, *, channels: int = 1, size: int = 0xFFFF_FFFF, bits: int = 16, extra: bytes = b"") -> bytes:
    """A file as servers stream it."""
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, bits)
    return b"RIFF\xff\xff\xff\xffWAVE" + fmt + extra + struct.pack("<4sI", b"data", size)


def b64(pcm: bytes) -> str:
    """As events hold it."""
    return base64.b64encode(pcm).decode()


EVENTS = sse(
    {"type": "speech.audio.delta", "audio": b64(PCM[:333])},
    {"type": "speech.audio.delta", "audio": b64(PCM[333:])},
    {"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 20, "total_tokens": 24}},
)
COUNTED = [Usage({"characters": 10.0}, basis="estimated")]


@pytest.mark.parametrize("step", [0, 1, 3, 44, 500])
def test_samples_however_they_come(step: int) -> None:
    assert read(PCM, step) == (PCM, COUNTED)
    assert read(EVENTS, step) == (PCM, [Usage({"input_text_tokens": 4.0, "output_audio_tokens": 20.0})])
    assert read(wav() + PCM, step) == (PCM, COUNTED)
    trailer = b"LIST\x04\x00\x00\x00abcd"
    assert read(wav(size=len(PCM), extra=trailer) + PCM + trailer, step) == (PCM, COUNTED)


def test_half_a_sample_at_the_end_is_no_sound() -> None:
    assert read(PCM + b"\x01") == (PCM, COUNTED)
    assert read(PCM[:6]) == (PCM[:6], COUNTED)


def test_a_wav_at_another_rate_is_resampled() -> None:
    mono, _ = read(wav(16_000) + PCM, 100)
    assert len(mono) == len(PCM) * 24 // 16
    stereo, _ = read(wav(channels=2) + PCM)
    assert len(stereo) == len(PCM) // 2


def test_no_sound_has_no_usage() -> None:
    assert read(b"") == (b"", [])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"ID3\x04" + bytes(40), "MP3 instead of PCM"),
        ((b"\xff\xfb\x90\x64" + bytes(413)) * 3, "MP3 instead of PCM"),
        ((b"\xff\xf3\x84\xc4" + bytes(188)) * 3, "MP3 instead of PCM"),
        (b"<!DOCTYPE html><html><body>It works!</body></html>", "page"),
        (b"\n<html/>", "page"),
        (b"OggS" + bytes(40), "Ogg instead of PCM"),
        (wav(bits=24) + PCM, "24 bits"),
        (orjson.dumps({"error": {"message": "No such voice: bob"}}), "No such voice"),
        (sse({"type": "error", "message": "Out of memory", "code": "server_error"}), "Out of memory"),
        (sse({"type": "speech.audio.delta", "audio": b64(PCM)}), "broke off"),
        (sse({"type": "speech.audio.delta", "audio": "%%%%"}), "base64"),
        (b"data: {" + b"\n\n" * 9, "JSON"),
    ],
    ids=[
        "mp3",
        "mp3-frames",
        "mp3-mpeg-2",
        "page",
        "short-page",
        "ogg",
        "24-bit",
        "error",
        "error-event",
        "cut",
        "no-base64",
        "no-json",
    ],
)
def test_what_is_no_speech_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(VoiceBridgeError, match=message):
        read(data)


@pytest.mark.parametrize("start", [b"\xff\xfb\x90\x64", b"\xff\xf3\x84\xc4", b"\xff\xfb", b"<\x00"], ids=list("abcd"))
def test_samples_that_begin_like_something_else(start: bytes) -> None:
    assert read(start + PCM * 3, 100) == (start + PCM * 3, COUNTED)
    assert read(start + PCM[:20]) == (start + PCM[:20], COUNTED)


def test_samples_that_begin_like_json_are_not_held_back() -> None:
    assert list(SpeechBody(FORMAT, 10).feed(b'{"' + PCM)) == [b'{"' + PCM]


def test_the_request_of_each_model() -> None:
    def asked(server: str, model: str, voice: str = "ash", speed: float | None = None, **options: Any) -> Any:
        given = SpeechOptions.model_validate(options)
        return speech_request(SERVERS[server], model, voice, SessionConfig(speed=speed), given)

    told = asked("openai", "gpt-4o-mini-tts", speed=1.2, instructions="Calm.")
    assert told == {
        "model": "gpt-4o-mini-tts",
        "response_format": "pcm",
        "voice": "ash",
        "speed": 1.2,
        "instructions": "Calm.",
        "stream_format": "sse",
    }
    assert "stream_format" not in asked("openai", "tts-1")
    assert asked("openai", "tts-1", "voice_12")["voice"] == {"id": "voice_12"}
    assert asked("kokoro", "kokoro", "af_sky", extra_body={"lang_code": "a"})["lang_code"] == "a"
    with pytest.raises(ConfigError, match="alloy"):
        asked("openai", "tts-1", "Bob")
    with pytest.raises(Unsupported, match="instructions"):
        asked("openai", "tts-1", instructions="Calm.")
    with pytest.raises(Unsupported, match="events"):
        asked("openai", "tts-1", stream_format="sse")


@pytest.mark.parametrize("text", ["", "short", "one two three four", "x" * 25, "a\nbb ccc " * 9], ids=list("abcde"))
def test_long_clauses_are_cut_and_nothing_is_lost(text: str) -> None:
    parts = fitting(text, 10)
    assert "".join(parts) == text
    assert all(len(part) <= 10 for part in parts)


# The stage


def voice(url: str, server: str = "openai", model: str = "tts-1", **config: Any) -> Voice:
    """One that talks to `url`."""
    made = Voice(SERVERS[server], model)
    made.configure(SessionConfig.model_validate({"base_url": url, "api_key": "sk-1", **config}))
    return made


async def clauses(*given: str | Flush) -> AsyncIterator[str | Flush]:
    """They are all there."""
    for clause in given:
        yield clause


async def test_each_clause_is_a_request_and_the_text_is_whole() -> None:
    async with serving(Answer([PCM[:101], PCM[101:]]), Answer([wav(), PCM])) as server:
        made = voice(server.url, voice="coral", speed=1.5)
        said = [one async for one in made.speak(clauses("Hello there. ", Flush(), " ", "How are you?", " ...", "\n"))]
        await made.aclose()
    speech = [one for one in said if isinstance(one, Speech)]
    assert "".join(one.text for one in speech) == "Hello there.  How are you? ...\n"
    assert b"".join(one.pcm for one in speech) == PCM + PCM
    assert [one.units for one in said if isinstance(one, Usage)] == [{"characters": 13.0}, {"characters": 13.0}]
    assert sorted(asked.json["input"] for asked in server.asked) == ["Hello there.", "How are you?"]
    assert server.asked[0].json | {"input": ""} == {
        "model": "tts-1",
        "response_format": "pcm",
        "voice": "coral",
        "speed": 1.5,
        "input": "",
    }


async def test_the_next_clause_is_asked_for_while_the_last_still_comes() -> None:
    async with serving(Answer([PCM], then="hang"), Answer([PCM])) as server:
        made = voice(server.url)
        speaking = made.speak(clauses("One.", "Two.", "Three."))
        assert isinstance(speaking, AsyncGenerator)
        assert isinstance(await anext(speaking), Speech)
        await server.until(2)
        await speaking.aclose()
        await asyncio.wait_for(server.gone.wait(), 5)
        assert len(server.asked) == 2  # two at once, and no third
        await made.aclose()


async def test_a_small_server_is_asked_for_one_clause_at_a_time() -> None:
    async with serving(Answer([PCM], then="hang"), Answer([PCM])) as server:
        made = voice(server.url, "kokoro", "kokoro")
        speaking = made.speak(clauses("One.", "Two."))
        assert isinstance(speaking, AsyncGenerator)
        await anext(speaking)
        await asyncio.sleep(0.05)
        assert len(server.asked) == 1
        await speaking.aclose()
        await made.aclose()


async def test_a_clause_that_fails_fails_at_its_place() -> None:
    async with serving(Answer([PCM]), Answer([PCM], then="drop")) as server:
        made = voice(server.url, "kokoro", "kokoro")  # one at a time, so that the answers are not mixed up
        speaking = made.speak(clauses("One.", "Two."))
        assert isinstance(speaking, AsyncGenerator)
        assert await anext(speaking) == Speech(PCM, "One.")
        assert isinstance(await anext(speaking), Usage)
        assert await anext(speaking) == Speech(PCM, "Two.")
        with pytest.raises(VoiceBridgeError) as caught:
            await anext(speaking)
        await made.aclose()
    assert caught.value.category == "network"


def test_the_rate_is_an_option() -> None:
    assert voice("http://127.0.0.1:9", options={"rate": 22_050}).traits.format == AudioFormat(rate=22_050)


async def test_a_clause_without_any_sound_is_an_error() -> None:
    async with serving(Answer([])) as server:
        made = voice(server.url)
        with pytest.raises(VoiceBridgeError, match=r"no sound of 'Hello there\.'") as caught:
            [one async for one in made.speak(clauses("Hello there."))]
        await made.aclose()
    assert caught.value.fault.code == "no_audio"
