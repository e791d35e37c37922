"""The policy that finds turns, without a model: probabilities and levels in, signals out."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.contract.stages import TurnSignal
from voicebridge_local.endpoint import BLOCK, Endpointer, Policy

FRAME = 2 * BLOCK
"""Samples of a frame in these tests: 20 ms, so that both clocks meet."""
ROOM, VOICE = 0.001, 0.1


class Room:
    """Drives an endpointer in steps of 20 ms."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.endpointer = Endpointer(policy)
        self.signals: list[TurnSignal] = []
        self.at: list[float] = []
        self.ms = 0.0

    def hear(self, ms: int, probability: float, level: float) -> list[str]:
        """So much of the same sound. The phases that were told meanwhile."""
        told: list[TurnSignal] = []
        for _ in range(ms // 20):
            for _ in range(2):
                fresh = self.endpointer.block(level)
                self.ms += 10
                told += fresh
                self.at += [self.ms] * len(fresh)
            fresh = self.endpointer.frame(probability, FRAME)
            told += fresh
            self.at += [self.ms] * len(fresh)
        self.signals += told
        return [signal.phase for signal in told]

    def quiet(self, ms: int, probability: float = 0.01) -> list[str]:
        return self.hear(ms, probability, ROOM)

    def speak(self, ms: int, probability: float = 0.99, level: float = VOICE) -> list[str]:
        return self.hear(ms, probability, level)


def test_a_turn_from_its_first_sound_to_its_end() -> None:
    room = Room()
    assert room.quiet(500) == []
    assert room.speak(400) == ["speech"]
    assert room.quiet(400) == ["eager_end", "end"]
    speech, eager, end = room.signals
    assert speech.audio_ms == 500
    assert eager.audio_ms == end.audio_ms == 900
    at_speech, at_eager, at_end = room.at
    assert at_speech == 580  # 64 ms of probable speech, in frames of 20
    assert at_eager == 950
    assert at_end == 1100


def test_the_end_waits_until_the_model_believes_it() -> None:
    """The level fell, but the model is still sure that it hears speech."""
    room = Room()
    room.speak(400)
    assert room.quiet(100, probability=0.95) == []
    assert room.quiet(20, probability=0.8) == []  # a frame counts from its end on
    assert room.quiet(20, probability=0.8) == ["eager_end"]
    assert room.quiet(200, probability=0.6) == []
    assert room.quiet(40, probability=0.4) == ["end"]


def test_speech_that_goes_on_takes_back_an_eager_end() -> None:
    room = Room()
    room.speak(400)
    assert room.quiet(100) == ["eager_end"]
    assert room.speak(100) == ["resumed"]
    resumed = room.signals[-1]
    assert resumed.audio_ms == 520  # the first frame that the model believed ended at 520
    assert room.quiet(300) == ["eager_end", "end"]
    assert room.signals[-1].audio_ms == 600


def test_a_click_takes_back_nothing() -> None:
    room = Room()
    room.speak(400)
    assert room.quiet(100) == ["eager_end"]
    assert room.hear(20, 0.4, VOICE) == []
    assert room.quiet(300) == ["end"]
    assert room.signals[-1].audio_ms == 400


def test_noise_that_is_no_speech_ends_a_turn_like_silence() -> None:
    room = Room()
    room.speak(400)
    assert room.hear(400, 0.05, VOICE) == ["eager_end", "end"]


def test_a_short_burst_is_no_turn() -> None:
    room = Room()
    assert room.speak(60) == []
    assert room.quiet(500) == []


def test_a_stop_consonant_is_no_end() -> None:
    room = Room()
    room.speak(300)
    assert room.quiet(40, probability=0.9) == []
    assert room.speak(300) == []


def test_a_speaker_who_moves_away_is_still_heard() -> None:
    """At a thirtieth of the level it had, the voice is below what counts as sound, until it goes on like that."""
    room = Room()
    room.speak(500, level=0.3)
    assert room.speak(1000, level=0.01) == []
    assert room.speak(500, level=0.01) == []
    assert room.quiet(400) == ["eager_end", "end"]
    assert room.signals[-1].audio_ms == 2000


def test_a_turn_may_follow_at_once() -> None:
    room = Room()
    room.speak(300)
    room.quiet(220)
    assert room.speak(300) == ["speech"]
    assert room.signals[-1].audio_ms == 520


@pytest.mark.parametrize("silence_ms", [0, 10, 48, 100, 350, 500, 2000])
def test_the_silence_is_as_long_as_asked_for(silence_ms: int) -> None:
    room = Room(Policy(silence_ms=silence_ms))
    room.speak(400)
    room.quiet(3000)
    assert room.signals[-1].phase == "end"
    # One block or frame at least must have passed for the model to notice.
    assert max(20, silence_ms) <= room.at[-1] - 400 <= max(20, silence_ms) + 20


def test_a_policy_may_change_in_a_turn() -> None:
    room = Room(Policy(silence_ms=200))
    room.speak(400)
    room.endpointer.policy = replace(room.endpointer.policy, silence_ms=1000)
    assert room.quiet(900) == ["eager_end"]
    assert room.quiet(120) == ["end"]


def test_what_is_no_number_is_silence() -> None:
    room = Room()
    assert room.hear(200, math.nan, math.nan) == []
    room.speak(300)
    assert room.hear(400, math.nan, math.nan) == ["eager_end", "end"]
    for signal in room.signals:
        assert math.isfinite(signal.audio_ms)
        assert math.isfinite(signal.confidence)


AFTER = {
    None: {"speech"},
    "speech": {"eager_end", "end"},
    "eager_end": {"resumed", "end"},
    "resumed": {"eager_end", "end"},
    "end": {"speech"},
}


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1), st.floats(0, 1)), max_size=60))
def test_whatever_is_heard_the_signals_make_sense(sounds: list[tuple[int, float, float]]) -> None:
    room = Room()
    for steps, probability, level in sounds:
        room.hear(steps * 20, probability, level)
    before: str | None = None
    ended_ms = 0.0
    for signal, at in zip(room.signals, room.at, strict=True):
        assert signal.phase in AFTER[before]
        assert 0 <= signal.audio_ms <= at
        assert signal.audio_ms >= ended_ms
        assert 0 <= signal.confidence <= 1
        before = signal.phase
        if signal.phase == "end":
            ended_ms = signal.audio_ms
    assert room.endpointer.speaking == (before not in (None, "end"))
