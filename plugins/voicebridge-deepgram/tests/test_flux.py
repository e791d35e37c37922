"""Listen v2 in bytes and numbers: turns, marks, and silence that nobody spoke."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voicebridge.contract.errors import VoiceBridgeError
from voicebridge.contract.stages import Mark, Transcript, TurnSignal, Usage
from voicebridge_deepgram.flux import FORCE_END, FluxHalf

SECOND = bytes(32_000)


def info(event: str, text: str = "", start: float = 0.0, end: float = 1.0, **more: Any) -> str:
    words = [{"word": word, "start": start, "end": end, "confidence": 1} for word in text.split()]
    window = {"audio_window_start": start, "audio_window_end": end}
    told = {"type": "TurnInfo", "event": event, "transcript": text, "words": words, "end_of_turn_confidence": 0.5}
    return json.dumps({**told, **window, **more})


def shown(outputs: Any) -> list[Any]:
    told: list[Any] = []
    for out in outputs:
        if isinstance(out, Transcript):
            told.append((out.mark, out.text) if out.final else out.text)
        elif isinstance(out, TurnSignal):
            told.append((out.phase, round(out.audio_ms)))
        elif not isinstance(out, Usage):
            told.append(out)
    return told


def test_a_turn_from_its_start_to_its_end():
    half = FluxHalf(0.0)
    half.take(SECOND * 2, 0.0)
    assert shown(half.receive(info("StartOfTurn", "Hi", 0.2, 0.5), 0.0)) == [("speech", 200), "Hi"]
    assert shown(half.receive(info("Update", "Hi", 0.2, 0.5), 0.0)) == [], "nothing new"
    eager = half.receive(info("EagerEndOfTurn", "Hi you", 0.2, 0.9), 0.0)
    assert shown(eager) == ["Hi you", ("eager_end", 900)]
    assert shown(half.take(Mark(1), 0.0)) == [(1, "Hi you")]
    assert shown(half.receive(info("TurnResumed", "Hi you", 0.2, 1.2), 0.0)) == [("resumed", 1200)]
    over = half.receive(info("EndOfTurn", "Hi you all", 0.2, 1.6, end_of_turn_confidence=0.8), 0.0)
    assert list(over) == [TurnSignal("end", 1600.0, 0.8)]
    assert shown(half.take(Mark(2, fresh=True), 0.0)) == [(2, "Hi you all")]
    assert half.over


def test_a_turn_that_the_application_ends():
    half = FluxHalf(0.0)
    half.take(SECOND, 0.0)
    half.receive(info("StartOfTurn", "stop"), 0.0)
    assert shown(half.take(Mark(1, fresh=True), 1.0)) == [FORCE_END]
    assert not half.over
    assert shown(half.receive(info("EndOfTurn", "stop it", trigger="manual"), 1.1)) == [(1, "stop it")]
    assert half.over


def test_an_end_that_does_not_come_is_not_waited_for():
    half = FluxHalf(0.0)
    half.take(SECOND, 1.0)
    half.receive(info("StartOfTurn", "as far as"), 1.0)
    half.take(Mark(1, fresh=True), 1.0)
    assert half.due == 2.5
    assert shown(half.tick(2.5)) == [(1, "as far as")]
    assert half.over


def test_silence_that_kept_the_connection_open_is_in_no_time():
    half = FluxHalf(0.0)
    half.take(SECOND, 0.0)
    (silence,) = half.tick(5.0)
    assert isinstance(silence, bytes)
    assert not any(silence)
    added = len(silence) / 32_000
    half.take(SECOND, 6.0)
    assert shown(half.receive(info("StartOfTurn", "Hi", 1.5 + added, 1.8 + added), 6.0)) == [("speech", 1500), "Hi"]
    assert shown(half.receive(info("EndOfTurn", "Hi", 0.5, 9.9), 6.0)) == [("end", 2000)], "not beyond what was sent"


def test_a_vendor_that_falls_silent_in_a_turn_is_given_up():
    half = FluxHalf(0.0)
    half.take(SECOND, 0.0)
    half.receive(info("StartOfTurn", "Hi"), 0.0)
    half.take(SECOND, 1.0)
    assert half.due == pytest.approx(6.0)
    with pytest.raises(VoiceBridgeError) as failed:
        half.tick(6.0)
    assert failed.value.retryable


def test_between_turns_it_may_be_silent():
    half = FluxHalf(0.0)
    for second in range(60):
        half.take(SECOND, float(second))
        half.tick(float(second))


def test_a_language_that_was_heard_is_told():
    half = FluxHalf(0.0)
    half.take(SECOND, 0.0)
    half.receive(info("StartOfTurn"), 0.0)
    half.receive(info("EndOfTurn", "Hola", languages=["es", "en"]), 0.0)
    (answer,) = [out for out in half.take(Mark(1, fresh=True), 0.0) if isinstance(out, Transcript)]
    assert answer.language == "es"


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"TurnInfo"}',
        '{"type":"TurnInfo","event":"StartOfTurn","words":7,"transcript":null,"audio_window_start":"x"}',
        '{"type":"TurnInfo","event":"EagerEndOfTurn","words":[{}],"end_of_turn_confidence":"high","languages":[7]}',
        '{"type":"TurnInfo","event":"of tomorrow"}',
        '{"type":"Warning","code":"X","description":"y"}',
        '{"type":"ConfigureFailure"}',
        "{}",
    ],
)
def test_odd_frames_do_no_harm(frame: str):
    half = FluxHalf(0.0)
    half.take(SECOND, 0.0)
    list(half.receive(frame, 0.0))
    half.receive(info("StartOfTurn", "Hi"), 0.0)
    half.receive(info("EndOfTurn", "Hi"), 0.0)
    assert shown(half.take(Mark(1, fresh=True), 0.0)) == [(1, "Hi")]


@pytest.mark.parametrize("frame", ["", "no JSON", "[1]", b"bytes"])
def test_what_is_no_frame_of_the_wire_ends_it(frame: str | bytes):
    with pytest.raises(VoiceBridgeError) as failed:
        list(FluxHalf(0.0).receive(frame, 0.0))
    assert failed.value.category == "protocol"


def test_a_failure_of_the_vendor_may_be_tried_again():
    with pytest.raises(VoiceBridgeError) as failed:
        FluxHalf(0.0).receive('{"type":"Error","code":"INTERNAL_SERVER_ERROR","description":"oh"}', 0.0)
    assert (failed.value.category, failed.value.retryable) == ("network", True)
