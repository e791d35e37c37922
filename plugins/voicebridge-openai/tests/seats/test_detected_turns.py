"""Turns that the vendor finds: events in, signals and texts out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig, TurnPolicy
from voicebridge.contract.errors import Unsupported, VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, TurnSignal
from voicebridge.core.own_turns import OwnTurns
from voicebridge_openai.seats.detected_turns import DetectedTurns
from voicebridge_openai.seats.options import TranscriptionSessionOptions
from voicebridge_openai.seats.session_request import FORMAT, session_update

SECOND = bytes(FORMAT.size(1000))
TOLD = "conversation.item.input_audio_transcription"


class Vendor:
    """Both ends of a session whose earlier connections have heard ten seconds."""

    def __init__(self) -> None:
        self.half = DetectedTurns([], OwnTurns(), from_ms=10_000.0, wait_ms=500.0)
        self.now = 0.0
        self.sent: list[str] = []
        self.told: list[Any] = []
        self.hears(SECOND * 10)

    def _take(self, results: Any) -> Vendor:
        for result in results:
            if isinstance(result, str):
                self.sent.append(json.loads(result)["type"])
            else:
                self.told.append(result)
        return self

    def hears(self, piece: bytes | Mark) -> Vendor:
        """Audio, or a mark."""
        return self._take(self.half.take(piece, self.now))

    def says(self, kind: str, item_id: str = "a", **fields: Any) -> Vendor:
        """An event of the vendor."""
        return self._take(self.half.receive(json.dumps({"type": kind, "item_id": item_id, **fields}), self.now))

    def begins(self, item_id: str, ms: int) -> Vendor:
        """Speech."""
        return self.says("input_audio_buffer.speech_started", item_id, audio_start_ms=ms)

    def stops(self, item_id: str, ms: int) -> Vendor:
        """Silence."""
        self.says("input_audio_buffer.speech_stopped", item_id, audio_end_ms=ms)
        return self.says("input_audio_buffer.committed", item_id)

    def writes(self, item_id: str, text: str) -> Vendor:
        """A transcript."""
        return self.says(f"{TOLD}.completed", item_id, transcript=text)


def test_a_turn() -> None:
    vendor = Vendor().begins("a", 700).stops("a", 2500).says(f"{TOLD}.delta", delta="Good")
    assert vendor.told == [TurnSignal("speech", 11_000.0), Transcript("Good")]
    vendor.writes("a", "Good day.")
    assert vendor.told[-1] == TurnSignal("end", 12_000.0)
    assert vendor.half.rests
    assert vendor.hears(Mark(1, fresh=True)).told[-1] == Transcript("Good day.", final=True, mark=1)
    assert vendor.sent == ["input_audio_buffer.append"]


def test_who_goes_on_before_it_is_written_down_goes_on_with_the_turn() -> None:
    vendor = Vendor().begins("a", 0).stops("a", 1500).begins("b", 1500).writes("a", "I would")
    assert [type(one) for one in vendor.told] == [TurnSignal, Transcript]
    vendor.stops("b", 4000).writes("b", "like tea.")
    assert vendor.told[-1] == TurnSignal("end", 13_500.0)
    assert vendor.hears(Mark(1, fresh=True)).told[-1] == Transcript("I would like tea.", final=True, mark=1)


def test_a_fresh_mark_ends_the_turn_by_a_commit() -> None:
    vendor = Vendor().begins("a", 0).hears(Mark(1, fresh=True))
    assert vendor.sent[-1] == "input_audio_buffer.commit"
    vendor.says("input_audio_buffer.committed").writes("a", "Stop.")
    assert vendor.told[1:] == [Transcript("Stop.", final=True, mark=1)]


def test_several_fresh_marks_at_once_get_a_commit_and_a_text_each() -> None:
    vendor = Vendor().begins("a", 0).hears(Mark(1, fresh=True)).hears(SECOND).hears(Mark(2, fresh=True))
    assert vendor.sent.count("input_audio_buffer.commit") == 2
    vendor.says("input_audio_buffer.committed").begins("b", 1000).says("input_audio_buffer.committed", "b")
    assert vendor.writes("b", "Two.").told[1:] == []
    vendor.writes("a", "One.")
    texts = [(one.mark, one.text) for one in vendor.told if isinstance(one, Transcript)]
    assert texts == [(1, "One."), (2, "Two.")]
    assert vendor.half.rests


def test_a_commit_of_nothing() -> None:
    vendor = Vendor().hears(Mark(1, fresh=True))
    vendor._take(vendor.half.receive('{"type":"error","error":{"code":"input_audio_buffer_commit_empty"}}', 0.0))
    assert vendor.told == [Transcript("", final=True, mark=1)]


def test_a_vendor_that_is_silent() -> None:
    vendor = Vendor().begins("a", 0)
    assert vendor.half.due is None  # the user may speak for long
    vendor.now = 3.0
    vendor.stops("a", 1500)
    with pytest.raises(VoiceBridgeError, match="no transcript"):
        list(vendor.half.tick(13.0))
    cut = Vendor().begins("a", 0).says(f"{TOLD}.delta", delta="Sto").hears(Mark(1, fresh=True))
    assert list(cut.half.tick(10.0)) == [Transcript("Sto", final=True, mark=1)]


def test_failures() -> None:
    with pytest.raises(VoiceBridgeError, match="Too noisy"):
        Vendor().begins("a", 0).stops("a", 1500).says(f"{TOLD}.failed", error={"message": "Too noisy"})
    with pytest.raises(VoiceBridgeError, match="expired"):
        Vendor().says("error", error={"code": "session_expired", "message": "It expired."})
    assert not Vendor().says("error", error={"code": "odd", "message": "x"}).told


def detection(turns: TurnPolicy, **options: Any) -> Any:
    """As the first frame asks for it."""
    given = TranscriptionSessionOptions.model_validate(options)
    frame = session_update("gpt-4o-transcribe", SessionConfig(turns=turns), given, detects=True)
    return json.loads(frame)["session"]["audio"]["input"]["turn_detection"]


def test_how_turns_are_found() -> None:
    assert detection(TurnPolicy()) == {"type": "semantic_vad", "eagerness": "auto"}
    assert detection(TurnPolicy(), eagerness="low") == {"type": "semantic_vad", "eagerness": "low"}
    by_silence = {"type": "server_vad", "prefix_padding_ms": 300, "silence_duration_ms": 400, "threshold": 0.3}
    assert detection(TurnPolicy(silence_ms=400, sensitivity=0.7)) == by_silence
    for turns, options in (
        (TurnPolicy(silence_ms=400), {"detection": "semantic_vad"}),
        (TurnPolicy(silence_ms=400), {"eagerness": "low"}),
    ):
        with pytest.raises(Unsupported):
            detection(turns, **options)
    with pytest.raises(Unsupported, match="finds no turns"):
        session_update("gpt-realtime-whisper", SessionConfig(), TranscriptionSessionOptions(), detects=True)
    with pytest.raises(Unsupported, match="openai/turns/"):
        session_update("whisper-1", SessionConfig(), TranscriptionSessionOptions(eagerness="low"))
