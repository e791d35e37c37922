import numpy as np

from voicebridge_bench.gate import block_rms, first_audible, loud_runs

RATE = 24_000


def _tone(ms: int, dbfs: float) -> np.ndarray:
    time = np.arange(RATE * ms // 1000) / RATE
    return np.sin(2 * np.pi * 440 * time) * 10 ** (dbfs / 20) * np.sqrt(2)


def _pcm(*parts: np.ndarray) -> bytes:
    return (np.concatenate(parts) * 32767).astype("<i2").tobytes()


def test_the_first_audible_sample_lies_behind_leading_silence():
    pcm = _pcm(np.zeros(RATE * 300 // 1000), _tone(100, -30))
    assert first_audible(pcm, RATE) == RATE * 300 // 1000


def test_what_is_below_the_gate_is_silence():
    assert first_audible(_pcm(_tone(500, -55)), RATE) is None
    assert first_audible(_pcm(_tone(500, -49)), RATE) == 0


def test_a_click_of_20_ms_is_not_heard():
    pcm = _pcm(_tone(20, -20), np.zeros(RATE // 10), _tone(30, -20))
    assert first_audible(pcm, RATE) == RATE * 120 // 1000


def test_nothing_and_an_odd_byte_are_silence():
    assert first_audible(b"", RATE) is None
    assert first_audible(b"\x01", RATE) is None


def test_levels_are_those_of_the_signal():
    rms = block_rms((_tone(50, -20)).astype(np.float32), RATE)
    assert np.allclose(20 * np.log10(rms), -20, atol=0.3)
    assert len(rms) == 5


def test_runs_are_half_open_and_at_least_30_ms_long():
    rms = np.array([0, 1, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1], dtype=float)
    assert loud_runs(rms, 0.5) == [(4, 7), (9, 13)]
