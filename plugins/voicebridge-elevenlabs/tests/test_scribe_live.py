"""Realtime transcription as frames: utterances, guesses, interims, and errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

import pytest

from voicebridge.contract.config import SessionConfig
from voicebridge.contract.errors import BadOption, VoiceBridgeError
from voicebridge.contract.stages import PCM_16K, Mark, Transcript, Usage
from voicebridge_elevenlabs.scribe_live import ScribeLive, query
from voicebridge_elevenlabs.settings import LiveOptions


class Wire:
    """Both ends."""

    def __init__(self) -> None:
        self.half = ScribeLive()
        self.sent: list[dict[str, Any]] = []
        self.given: list[Any] = []

    def _take(self, results: Iterable[Any]) -> Wire:
        for result in results:
            if isinstance(result, str):
                self.sent.append(json.loads(result))
            else:
                self.given.append(result)
        return self

    def hears(self, *pieces: float | Mark) -> Wire:
        """Milliseconds of audio, and marks."""
        for piece in pieces:
            self._take(self.half.take(piece if isinstance(piece, Mark) else b"\x01\x00" * int(piece * 16), now=0.0))
        return self

    def gets(self, kind: str, **fields: Any) -> Wire:
        return self._take(self.half.receive(json.dumps({"message_type": kind, **fields}), now=0.0))

    def commits(self, text: str) -> Wire:
        return self.gets("committed_transcript", text=text)

    @property
    def texts(self) -> list[Transcript]:
        return [one for one in self.given if isinstance(one, Transcript)]

    @property
    def sent_ms(self) -> list[tuple[float, bool]]:
        return [(PCM_16K.ms(len(base64.b64decode(one["audio_base_64"]))), one["commit"]) for one in self.sent]


def test_the_address_says_what_is_heard() -> None:
    config = SessionConfig.model_validate({"language": "pt-BR", "transcription": {"keywords": ["Bonn", "Köln"]}})
    assert query("scribe_v2_realtime", config, LiveOptions(no_verbatim=True)) == {
        "model_id": "scribe_v2_realtime",
        "audio_format": "pcm_16000",
        "commit_strategy": "manual",
        "language_code": "pt",
        "keyterms": ["Bonn", "Köln"],
        "no_verbatim": "true",
    }
    with pytest.raises(BadOption, match="50 keywords"):
        query("m", config.patched({"transcription": {"keywords": ["x" * 21]}}), LiveOptions())


def test_audio_goes_out_in_pieces_and_the_rest_with_the_mark() -> None:
    wire = Wire().hears(20, 20, 20, 20).hears(20, 20)
    assert wire.sent_ms == [(100, False)]
    assert wire.hears(400, Mark(1)).sent_ms == [(100, False), (420, False), (0, True)]
    assert wire.sent[0]["message_type"] == "input_audio_chunk"
    assert wire.sent[0]["sample_rate"] == 16_000


def test_a_long_piece_is_sent_in_several() -> None:
    assert Wire().hears(2500).sent_ms == [(1000, False), (1000, False), (500, False)]


def test_an_utterance_shorter_than_the_vendor_takes_is_filled_up() -> None:
    wire = Wire().hears(80, Mark(1))
    assert wire.sent_ms == [(300, True)]
    assert wire.commits("Yes.").given == [Usage({"audio_s": 0.08}, basis="estimated"), Transcript("Yes.", True, 1)]


def test_commits_of_one_utterance_are_joined() -> None:
    wire = Wire().hears(500, Mark(1)).commits("One two").hears(500, Mark(2, fresh=True)).commits("three.")
    wire.hears(500, Mark(3)).commits("New.")
    assert [(one.text, one.mark) for one in wire.texts] == [("One two", 1), ("One two three.", 2), ("New.", 3)]


def test_marks_without_new_audio_are_answered_from_what_is_known() -> None:
    wire = Wire().hears(Mark(1))
    assert (wire.sent, wire.texts) == ([], [Transcript("", True, 1)])
    wire.hears(500, Mark(2), Mark(3, fresh=True), Mark(4)).commits("One.")
    assert [(one.text, one.mark) for one in wire.texts[1:]] == [("One.", 2), ("One.", 3), ("", 4)]


def test_an_utterance_that_nobody_wants_is_ended_and_not_told() -> None:
    wire = Wire().hears(500, Mark(1, fresh=True, wanted=False)).commits("Noise.").hears(500, Mark(2)).commits("Yes.")
    assert [(one.text, one.mark) for one in wire.texts] == [("Yes.", 2)]
    assert Wire().hears(50, Mark(1, fresh=True, wanted=False)).sent == []
    assert Wire().hears(50, Mark(1, wanted=False), Mark(2)).sent_ms == [(300, True)]


def test_interims_are_all_of_the_utterance_so_far() -> None:
    wire = Wire().hears(500, Mark(1)).commits("One").hears(500).gets("partial_transcript", text="two")
    wire.gets("partial_transcript", text="two").gets("partial_transcript", text="")
    assert wire.texts[1:] == [Transcript("One two")]


def test_interims_of_what_is_being_settled_are_not_told() -> None:
    wire = Wire().hears(500, Mark(1, fresh=True)).gets("partial_transcript", text="Hel")
    assert wire.texts == []


def test_the_vendor_may_settle_a_part_by_itself() -> None:
    wire = Wire().hears(500).commits("A long part.").hears(500, Mark(1)).commits("And the end.")
    assert wire.texts == [Transcript("A long part."), Transcript("A long part. And the end.", True, 1)]


def test_a_throttled_end_is_asked_for_again_and_then_given_up() -> None:
    wire = Wire().hears(500, Mark(1)).gets("commit_throttled", error="ignored")
    assert wire.sent_ms[-1] == (300, True)
    assert wire.commits("Yes.").texts == [Transcript("Yes.", True, 1)]
    wire.gets("commit_throttled", error="late news").hears(500, Mark(2))
    for _ in range(2):
        wire.gets("commit_throttled", error="ignored")
    with pytest.raises(VoiceBridgeError) as error:
        wire.gets("commit_throttled", error="ignored")
    assert (error.value.fault.category, error.value.fault.retryable) == ("rate", True)


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        ("auth_error", "auth"),
        ("quota_exceeded", "quota"),
        ("rate_limited", "rate"),
        ("queue_overflow", "busy"),
        ("resource_exhausted", "busy"),
        ("session_time_limit_exceeded", "planned_end"),
        ("chunk_size_exceeded", "protocol"),
        ("input_error", "protocol"),
        ("invalid_request", "config"),
        ("unaccepted_terms", "auth"),
        ("transcriber_error", "network"),
        ("error", "protocol"),
        ("new_error", "protocol"),
    ],
)
def test_errors_in_an_utterance_are_faults(kind: str, category: str) -> None:
    with pytest.raises(VoiceBridgeError) as error:
        Wire().hears(500).gets(kind, error="why")
    assert error.value.fault.category == category
    assert "why" in error.value.fault.message


@pytest.mark.parametrize("kind", ["insufficient_audio_activity", "session_time_limit_exceeded"])
def test_a_connection_that_ends_between_utterances_is_no_failure(kind: str) -> None:
    wire = Wire().hears(500, Mark(1, fresh=True)).commits("Yes.").gets(kind, error="idle")
    assert wire.half.idle
    assert wire.half.worn


def test_an_utterance_in_which_nothing_was_said_is_empty() -> None:
    wire = Wire().hears(500, Mark(1)).gets("insufficient_audio_activity", error="silence")
    assert wire.texts == [Transcript("", True, 1)]


@pytest.mark.parametrize("frame", ["no", b"\x00", "7", "null"])
def test_garbage_is_a_fault(frame: str | bytes) -> None:
    with pytest.raises(VoiceBridgeError) as error:
        _ = list(ScribeLive().receive(frame, 0.0))
    assert error.value.fault.category == "protocol"


def test_news_that_nobody_knows_is_passed_over() -> None:
    wire = (
        Wire().hears(500).gets("session_started", session_id="s").gets("speakers_merged").gets("warning", warning="w")
    )
    assert wire.gets("committed_transcript", text=None).given == []


def test_a_vendor_that_does_not_answer_a_mark_is_given_up() -> None:
    wire = Wire()
    assert wire.half.due is None
    wire.hears(500, Mark(1))
    assert wire.half.due == 5
    assert not wire.half.over
    with pytest.raises(VoiceBridgeError, match="did not write down"):
        wire.half.tick(5)
    assert wire.commits("Late.").half.due is None
    assert wire.half.over


def test_only_the_first_frame_of_an_utterance_begins_it() -> None:
    wire = Wire().hears(100)
    assert wire.half.begins
    wire.half.begins = False
    assert not wire.hears(100, Mark(1)).half.begins
    assert not wire.half.idle
    wire.commits("One.")
    assert wire.half.idle
    assert wire.hears(100).half.begins
