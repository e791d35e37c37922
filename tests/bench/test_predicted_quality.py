import numpy as np
import pytest

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.errors import BadAudio
from voicebridge_bench.quality.bench_mos import sounded
from voicebridge_bench.quality.clips import in_noise, spoiled, white_noise
from voicebridge_bench.quality.dnsmos import Dnsmos, Predicted, pieces

RATE = AudioFormat(rate=16_000)


def _tone(seconds=1.0, amplitude=8000):
    return (amplitude * np.sin(np.arange(round(16_000 * seconds)) / 8)).astype("<i2")


@pytest.mark.parametrize(("seconds", "count"), [(0.5, 1), (4.6, 1), (9.01, 1), (10.0, 1), (12.0, 3), (15.5, 6)])
def test_a_clip_is_cut_into_pieces_of_nine_seconds_one_a_second(seconds, count):
    audio = np.arange(round(seconds * 16_000), dtype=np.float32)
    cut = pieces(audio)
    assert len(cut) >= 1
    assert all(len(piece) == 144_160 for piece in cut)
    if seconds >= 9.01:
        assert [piece[0] for piece in cut] == [16_000 * place for place in range(len(cut))]
    else:
        assert (cut[0][: len(audio)] == audio).all()


def test_noise_has_the_level_that_it_is_said_to_have():
    clean = _tone()
    noisy = np.frombuffer(in_noise(clean.tobytes(), 10.0, 1), dtype="<i2")
    noise = noisy.astype(float) - clean
    assert 10 * np.log10(np.mean(clean.astype(float) ** 2) / np.mean(noise**2)) == pytest.approx(10, abs=0.3)
    assert in_noise(clean.tobytes(), 10.0, 1) == in_noise(clean.tobytes(), 10.0, 1)


def test_a_spoiled_clip_is_clipped_and_has_eight_bits():
    found = np.frombuffer(spoiled(_tone().tobytes()), dtype="<i2")
    assert not (found % 256).any()
    assert (np.abs(found) == np.abs(found).max()).mean() > 0.5
    assert len(white_noise(160, 1)) == 320


def test_means_are_drawn_by_clip():
    found = sounded("voice", {"a": Predicted(3, 4, 3), "b": Predicted(4, 4, 4)}, 1)
    assert found.overall.value == 3.5
    assert (found.overall.low, found.overall.high) == (3, 4)
    assert found.background.value == 4


def test_the_network_tells_noise_from_nothing_better():
    pytest.importorskip("speechmos", reason="it is in the extra `mos`")
    network = Dnsmos()
    assert "speechmos 0." in network.name
    noise = network.predict(white_noise(16_000, 1), RATE)
    assert 1 <= noise.overall < 1.5
    with pytest.raises(BadAudio, match="without a sample"):
        network.predict(b"", RATE)
