"""Where a recording holds speech, and what is made of it."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from voicebridge.cli.speech_spans import Span, speech_spans
from voicebridge.cli.waterfall import waterfall

from .conftest import RATE, Samples, silence, tone


def spans(*parts: Samples, block: int = 320) -> list[tuple[float, float]]:
    samples = np.concatenate(parts)
    pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    blocks = [pcm[start : start + block] for start in range(0, len(pcm), block)]
    return [(span.start_ms, span.end_ms) for span in speech_spans(blocks, RATE)]


def noise(seconds: float, level: float) -> Samples:
    return np.random.default_rng(1).normal(0, level, round(seconds * RATE))


def test_speech_between_silences() -> None:
    assert spans(silence(0.5), tone(1.0), silence(0.5), tone(0.3)) == [(500, 1500), (2000, 2300)]


def test_a_short_pause_belongs_to_the_speech_around_it() -> None:
    assert spans(tone(0.5), silence(0.2), tone(0.5), silence(1.0)) == [(0, 1200)]


def test_clicks_are_no_speech() -> None:
    assert spans(silence(0.5), tone(0.02), silence(0.5), tone(0.5), silence(0.5), tone(0.06)) == [(1020, 1520)]


def test_noise_behind_the_speech_is_none() -> None:
    parts = [noise(0.5, 0.002), tone(1.0) + noise(1.0, 0.002), noise(0.5, 0.002)]
    assert spans(*parts) == [(500, 1500)]


def test_a_recording_without_a_pause_is_all_speech() -> None:
    assert spans(tone(1.0)) == [(0, 1000)]


@pytest.mark.parametrize("parts", [(silence(1.0),), (noise(1.0, 0.0001),), (np.empty(0),), (tone(0.001),)])
def test_nothing_is_no_speech(parts: tuple[Samples, ...]) -> None:
    assert spans(*parts) == []


@pytest.mark.parametrize("block", [2, 318, 6_400, 1_000_000])
def test_it_makes_no_difference_how_the_recording_is_cut(block: int) -> None:
    assert spans(silence(0.2), tone(0.5), silence(0.5), block=block) == [(200, 700)]


def test_a_window_of_no_whole_ten_milliseconds_does_not_drift() -> None:
    samples = np.concatenate([np.zeros(11_025 * 30), np.sin(np.arange(11_025) * 0.2) * 0.3])
    [span] = speech_spans([(samples * 32767).astype("<i2").tobytes()], 11_025)
    assert span == Span(pytest.approx(30_000, abs=10), pytest.approx(31_000, abs=10))


def test_each_bar_begins_where_the_one_before_it_ended() -> None:
    console = Console(width=80, record=True)
    console.print(waterfall([("pause noticed", 100.0), ("transcript", 200.0), ("first speech", 400.0)]))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0] == "end of speech           0 ms"
    bars = [line[30:] for line in lines[1:]]
    assert [len(bar) - len(bar.lstrip()) for bar in bars] == [0, 10, 20]
    assert [len(bar.strip()) for bar in bars] == [10, 10, 20]


def test_a_waterfall_of_nothing_is_no_error() -> None:
    Console(width=80, record=True).print(waterfall([("pause noticed", -20.0)]))
