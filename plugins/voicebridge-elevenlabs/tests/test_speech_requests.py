"""The HTTP endpoints for voices: requests, and answers however the network cut them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Speech, Word
from voicebridge_elevenlabs.settings import VoiceSettings
from voicebridge_elevenlabs.speech_requests import call_for, speech_body

FORMAT = AudioFormat(rate=24_000)


def settings(model: str = "eleven_turbo_v2_5", **config: Any) -> VoiceSettings:
    return VoiceSettings.of(model, SessionConfig.model_validate(config))


def line(ms: float, text: str = "", start: float = 0.0) -> bytes:
    """Of the answer: so much audio, and characters of 10 ms from `start` seconds on."""
    told = {
        "characters": list(text),
        "character_start_times_seconds": [start + n / 100 for n in range(len(text))],
        "character_end_times_seconds": [start + (n + 1) / 100 for n in range(len(text))],
    }
    audio = base64.b64encode(bytes(FORMAT.size(ms))).decode()
    return json.dumps({"audio_base64": audio, "alignment": told if text else None}).encode() + b"\n"


def read(data: bytes, clause: str, *, timed: bool = True, cut: int = 10_000) -> list[Speech]:
    body = speech_body(clause, FORMAT, timed=timed)
    given = [one for at in range(0, len(data), cut) for one in body.feed(data[at : at + cut])]
    return [*given, *body.end()]


def test_the_request_says_what_came_before() -> None:
    call = call_for("And you?", "I am fine.", "v1", settings(speed=0.9, language="en"))
    assert (call.path, call.query) == ("v1/text-to-speech/v1/stream/with-timestamps", {"output_format": "pcm_24000"})
    assert call.json == {
        "text": "And you?",
        "model_id": "eleven_turbo_v2_5",
        "language_code": "en",
        "voice_settings": {"speed": 0.9},
        "previous_text": "I am fine.",
    }


def test_what_is_not_taken_is_not_sent() -> None:
    asked = settings("eleven_v3", language="de", options={"transport": "http", "timestamps": False})
    call = call_for("Hi", "before", "v1", asked)
    assert call.path == "v1/text-to-speech/v1/stream"
    assert call.json == {"text": "Hi", "model_id": "eleven_v3"}


def test_lines_are_the_same_however_they_are_cut() -> None:
    data = line(40, " One t") + line(40, "wo", 0.06) + line(20)
    whole = read(data, " One two")
    assert [one.text for one in whole] == [" One", " two", ""]
    assert whole[1].words == (Word("two", 10, 40),)
    for cut in range(1, 60):
        assert read(data, " One two", cut=cut) == whole


def test_times_that_start_again_count_from_their_line() -> None:
    given = read(line(60, "One ") + line(60, "two"), "One two")
    assert given[1].words == (Word("two", 0, 30),)


def test_bare_samples_cover_the_clause_at_once() -> None:
    for cut in (1, 2, 3, 5):
        given = read(bytes(range(10)), "Hi", timed=False, cut=cut)
        assert b"".join(one.pcm for one in given) == bytes(range(10))
        assert given[0].text == "Hi"
        assert all(len(one.pcm) % 2 == 0 for one in given)


def test_a_clause_that_got_no_audio_is_told() -> None:
    assert read(b"", "Hi", timed=False) == [Speech(b"", "Hi")]


@pytest.mark.parametrize(
    ("bad", "category"),
    [
        (b'{"detail": {"status": "quota_exceeded", "message": "none left"}}\n', "quota"),
        (b'{"error": "system_busy", "message": "later"}\n', "busy"),
        (b"[]\n", "protocol"),
        (b"{]\n", "protocol"),
        (b'{"audio_base64": "?"}\n', "protocol"),
        (b'{"audio_base64"', "protocol"),
    ],
    ids=["quota", "busy", "list", "no-json", "no-base64", "cut-off"],
)
def test_what_fails_in_the_middle_is_a_fault(bad: bytes, category: str) -> None:
    body = speech_body("One two", FORMAT, timed=True)
    given = list(body.feed(line(40, "One")))
    with pytest.raises(VoiceBridgeError) as error:
        _ = [*body.feed(bad), *body.end()]
    assert error.value.fault.category == category
    assert [one.text for one in given] == ["One"]
