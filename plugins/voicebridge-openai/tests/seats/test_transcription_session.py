"""Realtime transcription sessions: marks in, commits out; events in, answers out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig, Transcription
from voicebridge.contract.errors import Unsupported, VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, Usage
from voicebridge_openai.dialects import DIALECTS
from voicebridge_openai.seats.options import TranscriptionSessionOptions
from voicebridge_openai.seats.session_request import FORMAT, session_update, session_url
from voicebridge_openai.seats.transcription_session import TranscriptionSession

SECOND = bytes(FORMAT.size(1000))
TOLD = "conversation.item.input_audio_transcription"


class Vendor:
    """Both ends of a session, at a time that stands still unless it is moved."""

    def __init__(self) -> None:
        self.half = TranscriptionSession(['{"type":"session.update"}'])
        self.now = 0.0
        self.sent: list[str] = []
        """Kinds of the frames that went out."""
        self.told: list[Any] = []

    def _take(self, results: Any) -> None:
        for result in results:
            if isinstance(result, str):
                self.sent.append(json.loads(result)["type"].removeprefix("input_audio_buffer."))
            else:
                self.told.append(result)

    def hears(self, *pieces: bytes | Mark) -> Vendor:
        """Audio and marks."""
        for piece in pieces:
            self._take(self.half.take(piece, self.now))
        return self

    def says(self, kind: str, **fields: Any) -> Vendor:
        """An event of the vendor."""
        self._take(self.half.receive(json.dumps({"type": kind, **fields}), self.now))
        return self

    def commits(self, item_id: str) -> Vendor:
        """It has taken a commit."""
        return self.says("input_audio_buffer.committed", item_id=item_id, previous_item_id=None)

    def writes(self, item_id: str, text: str, **more: Any) -> Vendor:
        """It has transcribed an item."""
        return self.says(f"{TOLD}.completed", item_id=item_id, content_index=0, transcript=text, **more)

    def finals(self) -> list[tuple[int | None, str]]:
        """Marks that were answered, and their texts."""
        return [(one.mark, one.text) for one in self.told if isinstance(one, Transcript) and one.final]

    def interims(self) -> list[str]:
        """Texts that were not final."""
        return [one.text for one in self.told if isinstance(one, Transcript) and not one.final]


def test_a_mark_is_a_commit_and_its_transcript_the_answer() -> None:
    vendor = Vendor().hears(SECOND, Mark(7, fresh=True))
    assert vendor.sent == ["session.update", "append", "commit"]
    assert not vendor.half.over
    vendor.commits("a").says(f"{TOLD}.delta", item_id="a", delta="Good").says(
        f"{TOLD}.delta", item_id="a", delta=" day"
    )
    vendor.writes("a", "Good day.", usage={"type": "duration", "seconds": 1})
    assert vendor.interims() == ["Good", "Good day"]
    assert vendor.told[-2:] == [Usage({"audio_s": 1.0}), Transcript("Good day.", final=True, mark=7)]
    assert vendor.half.over
    assert vendor.half.rests


def test_the_audio_is_sent_as_it_is() -> None:
    half = TranscriptionSession([])
    (frame,) = half.take(SECOND[:10], 0.0)
    assert base64.b64decode(json.loads(str(frame))["audio"]) == SECOND[:10]


def test_transcripts_in_any_order_are_told_in_the_order_of_the_marks() -> None:
    vendor = Vendor().hears(SECOND, Mark(1, fresh=True), SECOND, Mark(2, fresh=True), SECOND, Mark(3, fresh=True))
    vendor.commits("a").commits("b").writes("b", "Two.").commits("c").writes("c", "Three.")
    assert vendor.finals() == []
    vendor.writes("a", "One.")
    assert vendor.finals() == [(1, "One."), (2, "Two."), (3, "Three.")]


def test_a_mark_on_a_guess_is_part_of_the_whole() -> None:
    vendor = Vendor().hears(SECOND, Mark(1)).commits("a").writes("a", "I would")
    vendor.hears(SECOND, Mark(2), bytes(FORMAT.size(40)), Mark(3, fresh=True)).commits("b").writes("b", "like tea.")
    assert vendor.finals() == [(1, "I would"), (2, "I would like tea."), (3, "I would like tea.")]
    assert vendor.sent[-2:] == ["append", "clear"]  # 40 ms can't be committed, and are no part of what follows
    vendor.hears(SECOND, Mark(4, fresh=True)).commits("c").writes("c", "Yes.")
    assert vendor.finals()[-1] == (4, "Yes.")


def test_what_nobody_wants_is_cleared() -> None:
    vendor = Vendor().hears(SECOND, Mark(1, fresh=True, wanted=False))
    assert vendor.sent[-1] == "clear"
    assert vendor.half.over
    assert vendor.half.rests
    assert Vendor().hears(Mark(1, fresh=True)).finals() == [(1, "")]


def test_a_model_that_writes_while_the_user_speaks() -> None:
    vendor = Vendor().hears(SECOND).says(f"{TOLD}.delta", item_id="a", delta="Good")
    vendor.hears(SECOND).says(f"{TOLD}.delta", item_id="a", delta=" day")
    assert vendor.interims() == ["Good", "Good day"]
    vendor.hears(Mark(1, fresh=True)).commits("a").says(f"{TOLD}.delta", item_id="a", delta=" to you")
    assert vendor.interims()[-1] == "Good day to you"
    vendor.says(f"{TOLD}.completed", item_id="a", transcript=None)
    assert vendor.finals() == [(1, "Good day to you")]


def test_a_transcription_that_failed() -> None:
    vendor = Vendor().hears(SECOND, Mark(1)).commits("a")
    with pytest.raises(VoiceBridgeError, match="Too noisy") as caught:
        vendor.says(f"{TOLD}.failed", item_id="a", error={"code": "server_error", "message": "Too noisy"})
    assert caught.value.retryable


def test_errors() -> None:
    empty = {"code": "input_audio_buffer_commit_empty", "message": "too small", "event_id": "commit_1"}
    vendor = Vendor().hears(SECOND, Mark(1, fresh=True)).says("error", error=empty)
    assert vendor.finals() == [(1, "")]
    vendor.says("error", error={"code": "unknown", "message": "about nothing that matters"})
    for error in (
        {"code": "invalid_api_key", "message": "no"},
        {"code": "invalid_value", "message": "bad model", "event_id": "settings"},
    ):
        with pytest.raises(VoiceBridgeError):
            Vendor().hears(SECOND).says("error", error=error)


def test_a_vendor_that_is_silent() -> None:
    vendor = Vendor().hears(SECOND)
    assert vendor.half.due is None
    vendor.now = 5.0
    vendor.hears(Mark(1)).commits("a")
    vendor.now = 12.0
    vendor.says(f"{TOLD}.delta", item_id="a", delta="Go")
    assert vendor.half.due == 22.0
    vendor.half.tick(21.9)
    with pytest.raises(VoiceBridgeError, match="no transcript") as caught:
        vendor.half.tick(22.0)
    assert (caught.value.category, caught.value.retryable) == ("busy", True)


@pytest.mark.parametrize(
    "event",
    [
        {"type": None},
        {"type": "input_audio_buffer.committed", "item_id": 3},
        {"type": f"{TOLD}.completed", "item_id": "nobody's", "transcript": "x"},
        {"type": f"{TOLD}.delta", "item_id": None, "delta": "x"},
        {"type": f"{TOLD}.delta", "item_id": "a", "delta": None},
        {"type": "conversation.item.added", "item": {}},
        {"type": "new.in.2031"},
    ],
    ids=["none", "number", "stranger", "null-id", "null-delta", "added", "unknown"],
)
def test_events_that_say_nothing_are_borne(event: dict[str, Any]) -> None:
    vendor = Vendor()
    vendor.says(event.pop("type"), **event)
    assert vendor.told == []


@pytest.mark.parametrize("frame", ["", "{", "[]", b"\x00\xff"], ids=["empty", "brace", "list", "bytes"])
def test_what_is_no_event_is_an_error(frame: str | bytes) -> None:
    with pytest.raises(VoiceBridgeError):
        list(TranscriptionSession([]).receive(frame, 0.0))


def settings(model: str, options: dict[str, Any] | None = None, **config: Any) -> Any:
    """What is heard how, as the first frame says."""
    given = TranscriptionSessionOptions.model_validate(options or {})
    frame = json.loads(session_update(model, SessionConfig.model_validate(config), given))
    assert frame["session"]["type"] == "transcription"
    return frame["session"]["audio"]["input"]


def test_the_settings_of_a_session() -> None:
    words = Transcription(keywords=("Ulm", "Aalen"))
    plain = settings("gpt-4o-transcribe", language="de-AT", transcription=words, noise_reduction="near_field")
    assert plain == {
        "format": {"type": "audio/pcm", "rate": 24_000},
        "transcription": {"model": "gpt-4o-transcribe", "language": "de", "prompt": "Ulm, Aalen"},
        "turn_detection": None,
        "noise_reduction": {"type": "near_field"},
    }
    live = settings("gpt-live-transcribe", {"languages": ["de", "en"], "prompt": "A call."}, transcription=words)
    assert live["transcription"] == {
        "model": "gpt-live-transcribe",
        "languages": ["de", "en"],
        "keywords": ["Ulm", "Aalen"],
        "prompt": "A call.",
    }
    assert settings("gpt-realtime-whisper", {"delay": "low"})["transcription"]["delay"] == "low"
    for model, options, config in (
        ("gpt-realtime-whisper", {}, {"transcription": words}),
        ("gpt-realtime-whisper", {"prompt": "A call."}, {}),
        ("gpt-4o-transcribe", {"delay": "low"}, {}),
        ("whisper-1", {"languages": ["de"]}, {}),
        ("whisper-1", {"noise_strength": 1.0}, {}),
    ):
        with pytest.raises(Unsupported):
            settings(model, options, **config)


def test_the_address_of_a_session() -> None:
    openai = DIALECTS["openai"]
    assert session_url(openai, None) == "wss://api.openai.com/v1/realtime?intent=transcription"
    assert session_url(openai, "http://localhost:1/v1") == "ws://localhost:1/v1/realtime?intent=transcription"
