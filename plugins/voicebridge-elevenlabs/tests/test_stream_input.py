"""The websocket for voices as frames: what is sent for what is said, and what is made of whatever comes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.fault import Fault
from voicebridge.contract.stages import Flush, Speech, Usage, Word
from voicebridge_elevenlabs.settings import VoiceSettings
from voicebridge_elevenlabs.stream_input import StreamInput, opening, query

FORMAT = AudioFormat(rate=24_000)


class Wire:
    """Both ends: what was sent, and what was given."""

    def __init__(self) -> None:
        self.half = StreamInput(FORMAT)
        self.sent: list[Any] = []
        self.given: list[Speech | Usage] = []
        self.now = 0.0

    def _take(self, results: Iterable[Any]) -> None:
        for result in results:
            if isinstance(result, str):
                self.sent.append(json.loads(result))
            else:
                self.given.append(result)

    def says(self, *pieces: str | Flush) -> Wire:
        for piece in pieces:
            self._take(self.half.take(piece, self.now))
        return self

    def ends(self) -> Wire:
        self._take(self.half.end(self.now))
        return self

    def gets(self, frame: Any) -> Wire:
        self._take(self.half.receive(frame if isinstance(frame, str | bytes) else json.dumps(frame), self.now))
        return self

    def audio(self, ms: float, text: str = "", *, pcm: bytes | None = None, ms_per_char: int = 10) -> Wire:
        """A message of so much audio, with the times of a text."""
        data = bytes(FORMAT.size(ms)) if pcm is None else pcm
        chars = {
            "chars": list(text),
            "charStartTimesMs": [n * ms_per_char for n in range(len(text))],
            "charDurationsMs": [ms_per_char] * len(text),
        }
        return self.gets(
            {"audio": base64.b64encode(data).decode() or None, "isFinal": None, "alignment": chars if text else None}
        )

    @property
    def speech(self) -> list[Speech]:
        return [one for one in self.given if isinstance(one, Speech)]

    @property
    def text(self) -> str:
        return "".join(one.text for one in self.speech)


def settings(model: str = "eleven_flash_v2_5", **config: Any) -> VoiceSettings:
    return VoiceSettings.of(model, SessionConfig.model_validate(config))


def test_the_address_asks_for_speech_at_once_and_for_times() -> None:
    assert query(settings(language="de-AT", options={"seed": 7})) == {
        "model_id": "eleven_flash_v2_5",
        "output_format": "pcm_24000",
        "auto_mode": "true",
        "sync_alignment": "true",
        "inactivity_timeout": "180",
        "language_code": "de",
        "seed": "7",
    }
    assert "language_code" not in query(settings("eleven_multilingual_v2", language="de"))


def test_the_first_frame_says_nothing_but_how() -> None:
    assert json.loads(opening(settings())) == {"text": " "}
    asked = settings(speed=1.1, options={"stability": 0.3, "use_speaker_boost": False})
    assert json.loads(opening(asked)) == {
        "text": " ",
        "voice_settings": {"stability": 0.3, "use_speaker_boost": False, "speed": 1.1},
    }


def test_clauses_go_out_with_a_blank_behind_them_and_the_end_is_empty() -> None:
    wire = Wire().says("Hello there,", " how are you?").ends()
    assert wire.sent == [{"text": "Hello there, "}, {"text": "how are you? "}, {"text": ""}]
    assert [one.units for one in wire.given if isinstance(one, Usage)] == [{"characters": 12.0}, {"characters": 12.0}]
    assert not wire.half.over


def test_what_can_not_be_pronounced_is_not_sent_and_comes_out_all_the_same() -> None:
    wire = Wire().says(" ... ", Flush()).ends()
    assert (wire.sent, wire.text, wire.half.over) == ([], " ... ", True)


def test_flush_is_passed_on() -> None:
    assert Wire().says("Hello", Flush()).sent[-1] == {"text": " ", "flush": True}


def test_each_message_that_times_itself_says_what_it_speaks() -> None:
    wire = Wire().says("One two three").ends().audio(60, "One tw").audio(70, "o three").gets({"isFinal": True})
    assert [one.text for one in wire.speech] == ["One", " two three"]
    assert wire.speech[0].words == (Word("One", 0, 30),)
    assert wire.speech[1].words == (Word("two", -20, 10), Word("three", 20, 70))
    assert wire.half.over


def test_a_segment_timed_by_its_first_message_is_spoken_as_its_audio_comes() -> None:
    wire = Wire().says("One two three").ends().audio(40, "One two three ").audio(40).audio(60).gets({"isFinal": True})
    assert [one.text for one in wire.speech] == ["One", " two", " three"]
    assert wire.speech[2].words == (Word("three", 0, 50),)


def test_the_next_segment_counts_from_where_it_begins() -> None:
    wire = Wire().says("One.", " Two.").audio(100, "One. ").audio(50, "Two. ")
    assert wire.speech[1] == Speech(bytes(FORMAT.size(50)), " Two.", (Word("Two.", 0, 40),))


def test_a_voice_without_times_covers_what_it_was_sent() -> None:
    wire = Wire().says("One.").audio(50).audio(50).says(" Two.").audio(50).ends().gets({"isFinal": True})
    assert [one.text for one in wire.speech] == ["One.", "", " Two."]


def test_times_of_the_spoken_form_are_second_best() -> None:
    chars = {"chars": list("It is ten"), "charStartTimesMs": [*range(0, 90, 10)], "charDurationsMs": [10] * 9}
    pcm = base64.b64encode(bytes(FORMAT.size(100))).decode()
    wire = Wire().says("It is 10").gets({"audio": pcm, "alignment": None, "normalizedAlignment": chars})
    assert wire.text == "It is"
    assert wire.ends().gets({"isFinal": True}).text == "It is 10"


def test_an_odd_byte_waits_for_its_other_half() -> None:
    wire = Wire().says("Hi").audio(0, "Hi", pcm=b"\x01\x02\x03").audio(0, pcm=b"\x04").audio(0, pcm=b"\x05")
    assert b"".join(one.pcm for one in wire.speech) == b"\x01\x02\x03\x04"


def test_messages_without_audio_are_no_speech() -> None:
    wire = Wire().says("Hi").gets({"audio": None}).gets({"audio": ""}).gets({"unheard_of": 1}).gets({})
    assert wire.speech == []


def test_times_that_come_before_their_audio_wait_for_it() -> None:
    wire = Wire().says("Hi").audio(0, "Hi", pcm=b"")
    assert wire.speech == []
    assert wire.audio(20).speech == [Speech(bytes(FORMAT.size(20)), "Hi", (Word("Hi", 0, 20),))]


def test_the_last_word_without_audio_ends_it_and_covers_the_rest() -> None:
    wire = Wire().says("One two").ends().audio(30, "One").gets({"audio": None, "isFinal": True, "alignment": None})
    assert [one.text for one in wire.speech] == ["One", " two"]
    assert wire.half.over
    assert wire.half.due is None


def test_a_last_word_that_was_not_asked_for_is_none() -> None:
    wire = Wire().says("One").gets({"isFinal": True}).says(" two").ends()
    assert not wire.half.over


@pytest.mark.parametrize(
    ("frame", "category"),
    [
        ({"error": "quota_exceeded", "message": "no credits", "code": 1008}, "quota"),
        ({"error": "voice_id_does_not_exist", "message": "x"}, "config"),
        ({"error": "input_timeout_exceeded", "message": "x"}, "planned_end"),
        ({"error": "Something new", "message": "happened"}, "protocol"),
        ("no json", "protocol"),
        (b"\xff\xfe", "protocol"),
        ("[1]", "protocol"),
        ({"audio": "###"}, "protocol"),
        ({"audio": 7}, "protocol"),
    ],
    ids=["quota", "voice", "timeout", "unknown", "no-json", "binary", "list", "no-base64", "number"],
)
def test_errors_become_faults_and_what_came_before_stays(frame: Any, category: str) -> None:
    wire = Wire().says("One two").audio(30, "One")
    with pytest.raises(VoiceBridgeError) as error:
        wire.gets(frame)
    assert error.value.fault.category == category
    assert wire.text == "One"


@pytest.mark.parametrize(
    "alignment",
    [
        {"chars": ["H"]},
        {"chars": "Hi", "charStartTimesMs": [0], "charDurationsMs": [1]},
        {"chars": ["H", 5, None], "charStartTimesMs": [0, "x", True], "charDurationsMs": [None, 2, 3]},
        {"chars": [], "charStartTimesMs": [], "charDurationsMs": []},
        [],
        "none",
    ],
    ids=["columns", "text", "types", "empty", "list", "word"],
)
def test_times_that_are_none_are_ignored(alignment: Any) -> None:
    pcm = base64.b64encode(bytes(480)).decode()
    assert Wire().says("Hi").gets({"audio": pcm, "alignment": alignment}).text == "Hi"


def test_a_vendor_that_says_nothing_is_given_up() -> None:
    wire = Wire().says("Hello")
    assert wire.half.due == 5
    wire.now = 1
    assert wire.audio(20, "Hello").half.due is None  # the model may take its time now
    wire.now = 60
    assert wire.ends().half.due == 65
    wire.now = 64
    assert wire.audio(20).half.due == 69
    with pytest.raises(VoiceBridgeError) as error:
        wire.half.tick(69)
    assert (error.value.fault.code, error.value.fault.retryable) == ("silent", True)


def test_a_normal_close_behind_the_end_is_an_end() -> None:
    wire = Wire().says("Hello")
    closed = Fault(category="planned_end", code="close_1000", message="")
    assert not wire.half.ends_well(closed)
    assert wire.ends().half.ends_well(closed)
    assert not wire.half.ends_well(Fault(category="network", code="close_1006", message=""))
