"""Silence in place of an answer is noticed, and a voice never taken for it."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat
from voicebridge.core.silence_watch import SilenceWatch

TELEPHONE = AudioFormat(encoding="ulaw", rate=8_000)
EUROPE = AudioFormat(encoding="alaw", rate=8_000)


def tone(ms: float, amplitude: float) -> bytes:
    """PCM16 in the format of the door."""
    count = DOOR_FORMAT.size(ms) // 2
    return struct.pack(f"<{count}h", *(round(amplitude * math.sin(n / 8)) for n in range(count)))


def told_at(watch: SilenceWatch, pcm: bytes, format: AudioFormat = DOOR_FORMAT, *, piece_ms: float = 20) -> list[float]:
    """After how many milliseconds of one response a fault was told."""
    size, told = format.size(piece_ms), []
    for start in range(0, len(pcm), size):
        if fault := watch.heard("r1", pcm[start : start + size]):
            assert (fault.category, fault.code, fault.retryable) == ("content", "silent_audio", True)
            told.append(format.ms(start + size))
    return told


@pytest.mark.parametrize("amplitude", [0, 1, 20, 40])  # a sine of 46 is at -60 dB
def test_silence_is_told_once_and_in_time(amplitude: float) -> None:
    [at] = told_at(SilenceWatch(DOOR_FORMAT), tone(20_000, amplitude))
    assert 3_000 <= at <= 3_500


@pytest.mark.parametrize("amplitude", [60, 500, 20_000])
def test_a_voice_is_none(amplitude: float) -> None:
    assert told_at(SilenceWatch(DOOR_FORMAT), tone(20_000, amplitude)) == []


def test_a_voice_that_begins_late_is_none() -> None:
    assert told_at(SilenceWatch(DOOR_FORMAT), tone(2_700, 0) + tone(300, 5_000) + tone(10_000, 0)) == []


def test_a_pause_in_an_answer_is_none() -> None:
    assert told_at(SilenceWatch(DOOR_FORMAT), tone(200, 5_000) + tone(10_000, 0)) == []


@pytest.mark.parametrize("format", [TELEPHONE, EUROPE])
@pytest.mark.parametrize("amplitude", [0, 5, 60, 400, 20_000])
def test_telephones_hear_the_same(format: AudioFormat, amplitude: float) -> None:
    coded = Converter(DOOR_FORMAT, format).convert(tone(5_000, amplitude))
    assert bool(told_at(SilenceWatch(format), coded, format)) == (amplitude < 46)


def test_each_response_is_measured_by_itself() -> None:
    watch = SilenceWatch(DOOR_FORMAT)
    for _ in range(50):  # three seconds of both together are none of either
        assert watch.heard("r1", tone(20, 0)) is None
        assert watch.heard("r2", tone(20, 0)) is None
    for _ in range(150):
        assert watch.heard("loud", tone(20, 5_000)) is None
    faults = [watch.heard("r1", tone(20, 0)) for _ in range(120)]
    assert len([fault for fault in faults if fault]) == 1
    watch.ended("r1")
    assert told_at(watch, tone(4_000, 0)), "a response of the same name is another one"


@given(st.lists(st.integers(2, 60_000), min_size=1, max_size=40))
def test_pieces_of_any_size_are_measured_alike(sizes: list[int]) -> None:
    watch, fed, told = SilenceWatch(DOOR_FORMAT), 0.0, 0
    for size in sizes:
        size -= size % 2
        before, fed = fed, fed + DOOR_FORMAT.ms(size)
        fault = watch.heard("r", bytes(size))
        told += fault is not None
        if fault:
            assert fed >= 3_000
            assert before < 3_200, "not later than the piece that makes it sure"
    assert told == (1 if told else 0)
    assert told or fed < 3_200


def test_what_ended_is_forgotten() -> None:
    watch = SilenceWatch(DOOR_FORMAT)
    for number in range(1_000):
        watch.heard(f"r{number}", tone(20, 0) if number % 2 else bytes(DOOR_FORMAT.size(400)))
        watch.ended(f"r{number}")
    assert (len(watch._judged), len(watch._quiet), len(watch._open)) == (0, 0, 0)
