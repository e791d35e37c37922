from __future__ import annotations

import numpy as np
import pytest

from voicebridge.audio.level import SILENCE_DBFS, first_audible, rms_dbfs

RATES = [8_000, 16_000, 22_050, 24_000, 48_000]


def burst(rate: int, before_ms: float, sound_ms: float, after_ms: float, peak: float = 8_000) -> np.ndarray:
    n = round(sound_ms * rate / 1000)
    sound = np.where(np.arange(n) // 8 % 2, peak, -peak)
    pad = [np.zeros(round(ms * rate / 1000)) for ms in (before_ms, after_ms)]
    return np.concatenate([pad[0], sound, pad[1]]).astype(np.int16)


def test_levels() -> None:
    assert rms_dbfs(np.full(480, -32768, np.int16), 24_000).tolist() == [0, 0]
    tone = np.rint(np.sin(np.arange(24_000) * 2 * np.pi / 24) * 32767).astype(np.int16)
    assert rms_dbfs(tone, 24_000) == pytest.approx(-3.01, abs=0.01)
    assert rms_dbfs(np.zeros(100, np.int16), 24_000).tolist() == [SILENCE_DBFS]
    assert rms_dbfs(b"", 24_000).shape == (0,)
    assert rms_dbfs(tone.tobytes(), 24_000, window_ms=30).shape == (34,)
    # A short last window is measured over its own length.
    assert rms_dbfs(np.full(300, 16384, np.int16), 24_000) == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("before_ms", [0, 3, 250, 251.7])
def test_the_first_and_last_sample_heard(rate: int, before_ms: float) -> None:
    samples = burst(rate, before_ms, 200, 90)
    start = round(before_ms * rate / 1000)
    assert first_audible(samples, rate) == start
    assert first_audible(samples.tobytes(), rate) == start


@pytest.mark.parametrize("rate", RATES)
def test_clicks_and_hiss_are_not_heard(rate: int) -> None:
    click = burst(rate, 100, 5, 300, peak=30_000)
    assert first_audible(click, rate) is None
    assert first_audible(burst(rate, 0, 500, 0, peak=100), rate) is None
    assert first_audible(burst(rate, 0, 500, 0, peak=110), rate) == 0
    assert first_audible(burst(rate, 0, 500, 0, peak=110), rate, threshold_dbfs=-40) is None
    # The click before the speech does not count, the speech does.
    both = np.concatenate([click, burst(rate, 0, 100, 0)])
    assert first_audible(both, rate) == click.size


def test_too_little_to_tell() -> None:
    assert first_audible(b"", 24_000) is None
    assert first_audible(b"\0", 24_000) is None
    assert first_audible(burst(24_000, 0, 29, 0), 24_000) is None
    assert first_audible(burst(24_000, 0, 30, 0), 24_000) == 0


def test_loudest_negative_sample() -> None:
    samples = np.full(24_000, -32768, np.int16)
    assert first_audible(samples, 24_000) == 0
