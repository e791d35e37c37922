"""Where somebody speaks in a piece of audio, without a model."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voicebridge_local.utterance import RATE, Utterance


def tone(ms: int, level: float = 0.2) -> bytes:
    time = np.arange(RATE * ms // 1000) / RATE
    return np.round(np.sin(2 * np.pi * 220 * time) * level * 32767).astype("<i2").tobytes()


def silence(ms: int) -> bytes:
    return bytes(RATE * ms // 1000 * 2)


def of(*parts: bytes) -> Utterance:
    utterance = Utterance()
    for part in parts:
        utterance.add(part)
    return utterance


def ms(sample: int) -> float:
    return sample * 1000 / RATE


def test_speech_and_a_little_around_it() -> None:
    span = of(silence(1000), tone(500), silence(1000)).speech()
    assert span is not None
    assert (ms(span.start), ms(span.speech_end), ms(span.end)) == (850, 1500, 1620)
    assert span.whole


def test_speech_that_was_cut_off_at_its_end_is_not_whole() -> None:
    span = of(silence(1000), tone(500), silence(30)).speech()
    assert span is not None
    assert ms(span.end) == 1530
    assert not span.whole


def test_up_to_a_sample() -> None:
    utterance = of(tone(500), silence(500), tone(500))
    span = utterance.speech(RATE)
    assert span is not None
    assert ms(span.speech_end) == 500


def test_nothing_and_silence_hold_no_speech() -> None:
    assert of().speech() is None
    assert of(b"\x01").speech() is None
    assert of(silence(2000)).speech() is None
    assert of(tone(2000, level=0.0005)).speech() is None


def test_more_silence_after_the_end_says_nothing_new() -> None:
    utterance = of(silence(300), tone(500), silence(60))
    before = utterance.speech()
    utterance.add(silence(400))
    after = utterance.speech()
    assert before is not None
    assert after is not None
    assert before.says_all_of(after)
    utterance.add(tone(200))
    more = utterance.speech()
    assert more is not None
    assert not after.says_all_of(more)


def test_a_loud_beginning_is_remembered_when_it_is_forgotten() -> None:
    """Or the noise after it would be taken for speech."""
    utterance = of(tone(3000), tone(2000, level=0.002))
    assert utterance.speech() is not None
    utterance.forget(3 * RATE)
    assert utterance.speech() is None
    assert utterance.begin == 3 * RATE
    assert utterance.end == 5 * RATE


def test_the_quietest_place() -> None:
    utterance = of(tone(1000), tone(400, level=0.01), tone(1000))
    assert 1100 <= ms(utterance.quietest(0, utterance.end)) <= 1300
    assert utterance.quietest(0, 0) == 0


@given(st.lists(st.integers(0, 1001), max_size=12))
def test_however_it_is_cut_the_samples_are_the_same(sizes: list[int]) -> None:
    data = np.random.default_rng(1).integers(-32768, 32767, 6_006, dtype="<i2").tobytes()
    utterance, at = Utterance(), 0
    for size in sizes:
        utterance.add(data[at : at + size])
        at += size
    utterance.add(data[at:])
    assert utterance.end == 6_006
    samples: NDArray[np.float32] = utterance.samples(0, utterance.end)
    assert np.array_equal(samples, np.frombuffer(data, "<i2").astype(np.float32) / 32768)
    assert len(utterance._levels) == 6_006 // 160
