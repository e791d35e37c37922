"""The wires of the recognisers in bytes and numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, TurnSignal, Usage
from voicebridge_cartesia.ink import FINALIZE, InkHalf
from voicebridge_cartesia.ink_turns import InkTurnsHalf

SECOND = bytes(32_000)
FLUSHED = '{"type":"flush_done"}'


def said(text: str, *, final: bool = True, **more: Any) -> str:
    return json.dumps({"type": "transcript", "text": text, "is_final": final, **more})


def shown(outputs: Any) -> list[Any]:
    told: list[Any] = []
    for out in outputs:
        if isinstance(out, Transcript):
            told.append((out.mark, out.text) if out.final else out.text)
        elif not isinstance(out, Usage):
            told.append(out.phase if isinstance(out, TurnSignal) else out)
    return told


def test_pieces_are_joined_as_they_are():
    half = InkHalf(0.0)
    half.take(SECOND, 0.0)
    assert shown(half.receive(said("Hel", final=False), 0.1)) == ["Hel"]
    assert shown(half.take(Mark(1, fresh=True), 0.2)) == [FINALIZE]
    assert shown(half.receive(said(" Hello"), 0.3)) == ["Hello"]
    assert shown(half.receive(said(" you."), 0.3)) == ["Hello you."]
    assert shown(half.receive(FLUSHED, 0.4)) == [(1, "Hello you.")]
    assert half.over


def test_each_flush_done_is_about_the_oldest_mark():
    half = InkHalf(0.0)
    for n in (1, 2):
        half.take(SECOND, 0.0)
        half.take(Mark(n, fresh=True), 0.0)
    assert shown(half.receive(said("One."), 0.1)) == ["One."]
    assert shown(half.receive(FLUSHED, 0.1)) == [(1, "One.")]
    half.receive(said("Two."), 0.2)
    assert shown(half.receive(FLUSHED, 0.2)) == [(2, "Two.")]


def test_a_mark_behind_which_nothing_came_needs_no_asking():
    half = InkHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1), 0.0)
    assert shown(half.take(Mark(2), 0.0)) == [], "in order"
    half.receive(said("One."), 0.1)
    assert shown(half.receive(FLUSHED, 0.1)) == [(1, "One."), (2, "One.")]
    assert shown(half.take(Mark(3, fresh=True), 0.2)) == [(3, "One.")]
    assert shown(half.take(Mark(4, fresh=True), 0.2)) == [(4, "")]


def test_what_lies_before_a_fresh_mark_is_not_in_the_next_utterance():
    half = InkHalf(0.0)
    half.take(SECOND, 0.0)
    assert shown(half.take(Mark(1, fresh=True, wanted=False), 0.0)) == [FINALIZE]
    half.take(SECOND, 0.1)
    half.take(Mark(2, fresh=True), 0.1)
    half.receive(said("late"), 0.2)
    assert shown(half.receive(FLUSHED, 0.2)) == []
    half.receive(said("Two."), 0.3)
    assert shown(half.receive(FLUSHED, 0.3)) == [(2, "Two.")]


@pytest.mark.parametrize(
    "words",
    [
        [{"word": "Two.", "start": 1.5, "end": 1.8}],
        [{"words": ["Two."], "start": [1.5], "end": [1.8]}],
    ],
    ids=["as the pages show", "as the SDK has it"],
)
def test_words_count_from_their_utterance(words: list[Any]):
    half = InkHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1, fresh=True, wanted=False), 0.0)
    half.receive(FLUSHED, 0.0)
    half.take(SECOND, 1.0)
    half.take(Mark(2), 1.0)
    half.receive(said("Two.", words=words), 1.1)
    (answer,) = half.receive(FLUSHED, 1.2)
    assert isinstance(answer, Transcript)
    assert [(word.text, round(word.start_ms), round(word.end_ms)) for word in answer.words] == [("Two.", 500, 800)]


def test_an_idle_connection_is_kept_open_with_a_little_silence():
    half = InkHalf(0.0)
    assert half.due == 60.0
    (silence,) = half.tick(60.0)
    assert isinstance(silence, bytes)
    assert not any(silence)
    assert half.due == 120.0


def test_a_vendor_that_says_nothing_is_not_waited_for():
    half = InkHalf(0.0)
    half.take(SECOND, 1.0)
    half.take(Mark(1), 1.0)
    assert half.due == 6.0
    with pytest.raises(VoiceBridgeError) as failed:
        half.tick(6.0)
    assert failed.value.retryable


@pytest.mark.parametrize(
    "frame",
    ['{"type":"transcript"}', '{"type":"transcript","text":7,"words":[7,{}],"is_final":true}', '{"type":"done"}', "{}"],
)
def test_odd_events_do_no_harm(frame: str):
    half = InkHalf(0.0)
    half.take(SECOND, 0.0)
    half.take(Mark(1), 0.0)
    half.receive(frame, 0.1)
    half.receive(said("Yes."), 0.1)
    assert shown(half.receive(FLUSHED, 0.2)) == [(1, "Yes.")]


@pytest.mark.parametrize("frame", ["", "no JSON", "[1]", b"bytes", '{"type":"error","message":"no"}'])
@pytest.mark.parametrize("make", [InkHalf, InkTurnsHalf])
def test_what_is_no_frame_of_the_wire_ends_it(make: Any, frame: str | bytes):
    with pytest.raises(VoiceBridgeError):
        list(make(0.0).receive(frame, 0.0))


def turn(kind: str, text: str = "") -> str:
    return json.dumps({"type": f"turn.{kind}", "transcript": text})


def test_turns_and_their_marks():
    half = InkTurnsHalf(0.0)
    half.take(SECOND, 0.0)
    assert shown(half.receive('{"type":"connected"}', 0.0)) == []
    assert list(half.receive(turn("start"), 0.0)) == [TurnSignal("speech", 1000.0)]
    assert shown(half.receive(turn("update", "one"), 0.0)) == ["one"]
    assert shown(half.receive(turn("eager_end", "one two"), 0.0)) == ["one two", "eager_end"]
    assert shown(half.take(Mark(1), 0.0)) == [(1, "one two")]
    assert shown(half.receive(turn("resume"), 0.0)) == ["resumed"]
    assert shown(half.receive(turn("end", "one two three"), 0.0)) == ["end"]
    assert shown(half.take(Mark(2, fresh=True), 0.0)) == [(2, "one two three")]
    assert half.over


def test_a_turn_that_the_application_ends_has_what_is_known_a_moment_later():
    half = InkTurnsHalf(0.0)
    half.take(SECOND, 1.0)
    half.receive(turn("start"), 1.0)
    assert shown(half.take(Mark(1, fresh=True), 1.0)) == []
    half.receive(turn("update", "stop it"), 1.5)
    assert half.due == 2.0
    assert shown(half.tick(2.0)) == [(1, "stop it")]
    assert shown(half.receive(turn("end", "stop it now"), 3.0)) == []
