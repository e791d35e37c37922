from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.audio.converter import Converter
from voicebridge.contract.audio import AudioFormat

RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000, 12_347]
PAIRS = [(24_000, 16_000), (48_000, 16_000), (22_050, 24_000), (16_000, 24_000), (24_000, 8_000), (8_000, 24_000)]

formats = st.builds(
    AudioFormat,
    encoding=st.sampled_from(["pcm16", "ulaw", "alaw"]),
    rate=st.sampled_from(RATES),
    channels=st.sampled_from([1, 2]),
)


def mono(rate: int) -> AudioFormat:
    return AudioFormat(rate=rate)


def tone(rate: int, hz: float, seconds: float = 1.0, level: float = 16_000) -> bytes:
    t = np.arange(int(rate * seconds)) / rate
    return np.rint(np.sin(2 * np.pi * hz * t) * level).astype("<i2").tobytes()


def whole(converter: Converter, pcm: bytes) -> bytes:
    return converter.convert(pcm) + converter.flush()


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def level_db(pcm: bytes) -> float:
    """Of the middle half, in dB below a tone of 16,000."""
    x = samples(pcm)
    x = x[len(x) // 4 : -len(x) // 4]
    return float(20 * np.log10(np.sqrt(np.mean(x**2) + 1e-9) / (16_000 / np.sqrt(2))))


@settings(deadline=None, max_examples=150)
@given(source=formats, target=formats, seed=st.integers(0, 2**32 - 1), size=st.integers(0, 6_000), data=st.data())
def test_any_cut_gives_the_same_bytes(
    source: AudioFormat, target: AudioFormat, seed: int, size: int, data: st.DataObject
) -> None:
    # Loud noise: it saturates, and it rings.
    pcm = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=12)))
    converter = Converter(source, target)
    pieces = [converter.convert(pcm[a:b]) for a, b in pairwise([0, *cuts, size])]
    pieces.append(converter.flush())
    joined = b"".join(pieces)
    assert joined == whole(Converter(source, target), pcm)
    assert len(joined) % target.frame_bytes == 0
    frames = size // source.frame_bytes
    assert abs(len(joined) // target.frame_bytes - frames * target.rate / source.rate) <= 1
    assert converter.leftover_bytes == size % source.frame_bytes
    # After a flush the converter is as new.
    assert whole(converter, pcm) == joined


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_one_byte_at_a_time(a: int, b: int) -> None:
    pcm = tone(a, 440, 0.1)
    converter = Converter(mono(a), mono(b))
    out = b"".join(converter.convert(pcm[i : i + 1]) for i in range(len(pcm))) + converter.flush()
    assert out == whole(Converter(mono(a), mono(b)), pcm)


def test_equal_formats_give_the_same_object_back() -> None:
    converter = Converter(mono(24_000), mono(24_000))
    pcm = tone(24_000, 440, 0.02)
    assert converter.convert(pcm) is pcm
    assert converter.latency_ms == 0
    assert converter.convert(b"\x01") == b""
    assert converter.convert(b"\x02") == b"\x01\x02"
    assert converter.convert(pcm) is pcm


def test_a_lone_byte_is_counted_at_the_end_and_only_there() -> None:
    converter = Converter(mono(24_000), mono(16_000))
    converter.convert(b"\0\0\0")
    assert converter.leftover_bytes == 0
    converter.flush()
    assert converter.leftover_bytes == 1
    assert converter.flush() == b""
    converter.convert(b"\0")
    converter.reset()
    converter.flush()
    assert converter.leftover_bytes == 1


def test_a_copy_goes_on_by_itself() -> None:
    one, pcm = Converter(mono(24_000), mono(16_000)), tone(24_000, 440)
    begun = one.convert(pcm[:9_601])
    other = one.copy()
    other.convert(pcm[:3_333])
    other.reset()
    assert begun + whole(one.copy(), pcm[9_601:]) == whole(Converter(mono(24_000), mono(16_000)), pcm)
    assert begun + whole(one, pcm[9_601:]) == whole(Converter(mono(24_000), mono(16_000)), pcm)


def test_reset_forgets_what_was_held() -> None:
    converter = Converter(mono(24_000), mono(16_000))
    converter.convert(tone(24_000, 440, 0.1)[:-1])
    converter.reset()
    pcm = tone(24_000, 880, 0.1)
    assert whole(converter, pcm) == whole(Converter(mono(24_000), mono(16_000)), pcm)


@pytest.mark.parametrize(("a", "b"), [*PAIRS, (24_000, 48_000), (44_100, 16_000), (12_347, 24_000)])
def test_a_tone_stays_what_it_is_and_where_it_is(a: int, b: int) -> None:
    hz = 0.8 * min(a, b) / 2
    got = samples(whole(Converter(mono(a), mono(b)), tone(a, hz)))
    want = samples(tone(b, hz))
    middle = slice(b // 10, -b // 10)
    # Equal at equal times: no shift, no ripple. 16-bit rounding on both sides is 0.6 of a step at most on average.
    assert np.abs(got[middle] - want[middle]).max() <= 6
    assert np.sqrt(np.mean((got[middle] - want[middle]) ** 2)) < 3


@pytest.mark.parametrize(("a", "b"), [(24_000, 16_000), (48_000, 16_000), (24_000, 8_000), (48_000, 24_000)])
def test_what_the_lower_rate_cannot_hold_is_gone(a: int, b: int) -> None:
    for ratio in (1.0, 1.05, 1.3):
        hz = min(ratio * b / 2, 0.499 * a)
        assert level_db(whole(Converter(mono(a), mono(b)), tone(a, hz + 7))) < -75


@pytest.mark.parametrize(("a", "b"), [(16_000, 24_000), (8_000, 24_000), (22_050, 24_000), (24_000, 48_000)])
def test_a_higher_rate_adds_no_mirror_image(a: int, b: int) -> None:
    hz = 0.8 * a / 2
    out = samples(whole(Converter(mono(a), mono(b)), tone(a, hz)))
    spectrum = np.abs(np.fft.rfft(out * np.blackman(len(out))))
    bins = np.arange(len(spectrum)) * b / len(out)
    elsewhere = spectrum[np.abs(bins - hz) > 100]
    assert 20 * np.log10(elsewhere.max() / spectrum.max()) < -75


@pytest.mark.parametrize(("a", "b"), [*PAIRS, (12_347, 24_000)])
def test_a_constant_passes_unchanged(a: int, b: int) -> None:
    out = samples(whole(Converter(mono(a), mono(b)), np.full(a // 5, 12_345, "<i2").tobytes()))
    assert set(out[len(out) // 4 : -len(out) // 4]) == {12_345}


@pytest.mark.parametrize(
    ("a", "b", "ms"),
    [(24_000, 16_000, 2.0), (48_000, 16_000, 2.0), (22_050, 24_000, 1.46), (16_000, 24_000, 2.0), (24_000, 8_000, 4.0)],
)
def test_output_stays_behind_by_what_is_stated(a: int, b: int, ms: float) -> None:
    converter = Converter(mono(a), mono(b))
    assert converter.latency_ms == pytest.approx(ms, abs=0.02)
    taken = given = 0.0
    behind = []
    for _ in range(a // 10):
        taken += 1000 / a
        given += mono(b).ms(len(converter.convert(b"\0\0")))
        behind.append(taken - given)
    assert max(behind) <= converter.latency_ms + 1000 / a + 1e-6


def test_full_scale_saturates_and_does_not_wrap() -> None:
    high = np.arange(4_800) // 24 % 2 == 1
    square = np.where(high, 32767, -32768).astype("<i2")
    out = samples(whole(Converter(mono(24_000), mono(48_000)), square.tobytes()))
    # The filter rings above full scale beside each edge. There it must stand at the rail, never at the other one.
    assert out.max() == 32767
    assert out.min() == -32768
    plateau = np.arange(9_600) % 48
    inside = (plateau >= 4) & (plateau < 44)
    assert np.array_equal(out[inside] > 0, np.repeat(high, 2)[inside])


def test_channels() -> None:
    left, right = np.array([1000, -32768, 32767, 3]), np.array([3000, -32768, 32767, 4])
    stereo = AudioFormat(rate=16_000, channels=2)
    pcm = np.stack([left, right], axis=1).astype("<i2").tobytes()
    assert samples(whole(Converter(stereo, mono(16_000)), pcm)).tolist() == [2000, -32768, 32767, 4]
    doubled = whole(Converter(mono(16_000), stereo), left.astype("<i2").tobytes())
    assert samples(doubled).reshape(-1, 2).tolist() == [[x, x] for x in left]
    # Each channel on its own is what it would be alone.
    a, b = tone(24_000, 300, 0.1), tone(24_000, 700, 0.1)
    both = np.stack([np.frombuffer(a, "<i2"), np.frombuffer(b, "<i2")], axis=1).tobytes()
    out = samples(whole(Converter(AudioFormat(channels=2), stereo), both)).reshape(-1, 2)
    for channel, alone in enumerate((a, b)):
        assert np.array_equal(out[:, channel], samples(whole(Converter(mono(24_000), mono(16_000)), alone)))


def test_telephone_and_back() -> None:
    for law in ("ulaw", "alaw"):
        phone = AudioFormat(encoding=law, rate=8_000)
        coded = whole(Converter(mono(24_000), phone), tone(24_000, 1_000))
        assert len(coded) == 8_000
        back = whole(Converter(phone, mono(24_000)), coded)
        error = samples(back)[2_400:-2_400] - samples(tone(24_000, 1_000))[2_400:-2_400]
        assert 20 * np.log10(np.sqrt(np.mean(error**2)) / (16_000 / np.sqrt(2))) < -35


@pytest.mark.parametrize(("a", "b", "minutes"), [(4_000, 4_100, 60), (22_050, 24_000, 10), (44_100, 16_000, 5)])
def test_a_long_stream_does_not_drift(a: int, b: int, minutes: int) -> None:
    converter = Converter(mono(a), mono(b))
    minute = bytes(2 * 60 * a)
    given = 0
    for n in range(1, minutes + 1):
        given += len(converter.convert(minute)) // 2
        behind = n * 60_000 - given * 1000 / b
        assert 0 <= behind <= converter.latency_ms + 1000 / a + 1000 / b
    # A click lies where it lay in the input, to the sample.
    click = np.zeros(2 * a, "<i2")
    click[a] = 20_000
    tail = samples(converter.convert(click.tobytes()) + converter.flush())
    assert given + int(np.abs(tail).argmax()) == (minutes * 60 + 1) * b
    assert given + len(tail) == (minutes * 60 + 2) * b
