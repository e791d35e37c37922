"""Speak v1 in bytes and numbers: which clauses are flushed when, and which audio covers what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Flush, Speech, Usage
from voicebridge_deepgram.aura import FLUSH, AuraHalf, FlushBudget, parts

FLUSHED = '{"type":"Flushed","sequence_id":0}'


def speak(text: str) -> str:
    return json.dumps({"type": "Speak", "text": text}, separators=(",", ":"))


def shown(outputs: Any) -> list[Any]:
    return [
        (len(out.pcm), out.text) if isinstance(out, Speech) else out for out in outputs if not isinstance(out, Usage)
    ]


def test_the_first_clause_is_flushed_at_once_and_the_next_ones_share_a_flush():
    half = AuraHalf(FlushBudget())
    assert shown(half.take("Hello,", 0.0)) == [speak("Hello,"), FLUSH]
    assert shown(half.take(" how are you?", 0.1)) == [speak(" how are you?")]
    assert shown(half.take(" Fine.", 0.2)) == [speak(" Fine.")]
    assert shown(half.receive(b"\1" * 100, 0.3)) == [(100, "Hello,")]
    assert shown(half.receive(b"\1" * 100, 0.3)) == [(100, "")], "the same text goes on"
    assert shown(half.receive(FLUSHED, 0.4)) == [FLUSH]
    assert shown(half.end(0.5)) == []
    assert shown(half.receive(b"\1" * 4, 0.6)) == [(4, " how are you? Fine.")]
    assert not half.over
    assert shown(half.receive(FLUSHED, 0.7)) == []
    assert half.over
    assert half.clean


def test_the_end_is_flushed_whatever_the_budget():
    budget = FlushBudget()
    for _ in range(14):
        budget.spend(0.0)
    half = AuraHalf(budget)
    assert FLUSH in half.take("One.", 1.0), "an answer has begun"
    half.take(" Two.", 1.0)
    assert shown(half.receive(FLUSHED, 1.1)) == [], "this one can wait"
    assert shown(half.take(" Three.", 1.2)) == [speak(" Three.")]
    assert shown(half.end(2.0)) == [FLUSH]


def test_flushes_come_free_after_a_minute():
    budget = FlushBudget()
    for second in range(14):
        budget.spend(float(second))
    assert not budget.has_room(20.0)
    assert budget.has_room(60.0)


def test_characters_are_counted_where_they_are_flushed():
    half = AuraHalf(FlushBudget())
    used = [out.units for out in half.take("Hello", 0.0) if isinstance(out, Usage)]
    assert used == [{"characters": 5}]


def test_half_a_sample_waits_for_its_other_half():
    half = AuraHalf(FlushBudget())
    half.take("Hi.", 0.0)
    assert shown(half.receive(b"\1", 0.1)) == []
    assert shown(half.receive(b"\1\1\1\1", 0.1)) == [(4, "Hi.")]


@pytest.mark.parametrize("cut", range(1, 12))
def test_the_audio_is_the_same_wherever_it_was_cut(cut: int):
    audio = bytes(range(12))
    half = AuraHalf(FlushBudget())
    half.take("Hi.", 0.0)
    heard = [out for part in (audio[:cut], audio[cut:]) for out in half.receive(part, 0.1)]
    assert b"".join(out.pcm for out in heard if isinstance(out, Speech)) == audio
    assert "".join(out.text for out in heard if isinstance(out, Speech)) == "Hi."


def test_white_space_is_not_sent_and_not_lost():
    half = AuraHalf(FlushBudget())
    assert shown(half.take("  ", 0.0)) == []
    half.take("Hi.", 0.0)
    half.take("\n", 0.0)
    assert shown(half.receive(b"\1\1", 0.1)) == [(2, "  Hi.")]
    half.end(0.2)
    assert shown(half.receive(FLUSHED, 0.3)) == [(0, "\n")]
    assert half.over


def test_nothing_to_say_is_over_at_once():
    half = AuraHalf(FlushBudget())
    assert shown(half.take(Flush(), 0.0)) == []
    assert shown(half.end(0.0)) == []
    assert half.over
    assert half.clean


def test_text_without_any_audio_is_told_at_the_end():
    half = AuraHalf(FlushBudget())
    half.take("…", 0.0)
    half.end(0.0)
    assert shown(half.receive(FLUSHED, 0.1)) == [(0, "…")]


def test_a_vendor_that_says_nothing_is_not_waited_for():
    half = AuraHalf(FlushBudget())
    half.take("Hi.", 1.0)
    half.receive('{"type":"Warning","code":"W","description":"too many"}', 1.1)
    assert half.due == 6.0
    with pytest.raises(VoiceBridgeError, match="too many") as failed:
        half.tick(6.0)
    assert failed.value.retryable


def test_nobody_is_waited_for_while_there_is_nothing_to_speak():
    half = AuraHalf(FlushBudget())
    half.take("Hi.", 1.0)
    half.receive(b"\1\1", 1.2)
    half.receive(FLUSHED, 1.3)
    assert half.due is None


def test_a_long_text_goes_in_parts_that_are_whole_words():
    text = "word " * 900
    cut = parts(text)
    assert "".join(cut) == text
    assert all(len(part) <= 2000 and part.endswith(" ") for part in cut[:-1])
    assert parts("x" * 4001) == ["x" * 2000, "x" * 2000, "x"]


@pytest.mark.parametrize("frame", ['{"type":"Metadata"}', '{"type":"of tomorrow"}', "{}", '{"type":"Cleared"}'])
def test_odd_frames_do_no_harm(frame: str):
    half = AuraHalf(FlushBudget())
    half.take("Hi.", 0.0)
    assert list(half.receive(frame, 0.0)) == []


@pytest.mark.parametrize("frame", ["", "no JSON", "[1]"])
def test_what_is_no_frame_of_the_wire_ends_it(frame: str):
    with pytest.raises(VoiceBridgeError):
        list(AuraHalf(FlushBudget()).receive(frame, 0.0))
