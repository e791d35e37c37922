"""Bytes, frames and milliseconds."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voicebridge.contract.audio import DOOR_FORMAT, AudioFormat

FORMATS = st.builds(
    AudioFormat,
    encoding=st.sampled_from(["pcm16", "ulaw", "alaw"]),
    rate=st.integers(4_000, 192_000) | st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000]),
    channels=st.sampled_from([1, 2]),
)
DAY_OF_FRAMES = 24 * 3600 * 192_000


@example(format=AudioFormat(rate=44_100), frames=19)
@example(format=DOOR_FORMAT, frames=8)
@example(format=AudioFormat(rate=192_000), frames=DAY_OF_FRAMES)
@given(format=FORMATS, frames=st.integers(0, DAY_OF_FRAMES))
def test_whole_frames_survive_the_way_over_milliseconds(format: AudioFormat, frames: int) -> None:
    size = frames * format.frame_bytes
    assert format.size(format.ms(size)) == size


@given(format=FORMATS, ms=st.floats(0, 1e7))
def test_a_size_is_whole_frames_and_never_longer(format: AudioFormat, ms: float) -> None:
    size = format.size(ms)
    assert size % format.frame_bytes == 0
    frame_ms = 1000 / format.rate
    assert ms - frame_ms <= format.ms(size) <= ms + frame_ms / 1000


def test_known_sizes() -> None:
    assert AudioFormat(encoding="pcm16", rate=24_000, channels=1) == DOOR_FORMAT
    assert DOOR_FORMAT.size(20) == 960
    assert DOOR_FORMAT.ms(960) == 20.0
    assert DOOR_FORMAT.ms(1) == pytest.approx(1000 / 48_000)
    assert AudioFormat(encoding="ulaw", rate=8_000).size(20) == 160
    assert AudioFormat(encoding="alaw", rate=8_000, channels=2).size(20) == 320
    assert AudioFormat(rate=48_000, channels=2).size(10) == 1920
    assert AudioFormat(rate=44_100).size(0.99 / 44.1) == 0
    assert AudioFormat(rate=44_100).size(1.99 / 44.1) == 2
    assert DOOR_FORMAT.size(0) == 0


def test_words() -> None:
    assert str(DOOR_FORMAT) == "pcm16 24000 Hz mono"
    assert str(AudioFormat(encoding="alaw", rate=8_000, channels=2)) == "alaw 8000 Hz stereo"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"encoding": "opus"}, "encoding must be one of pcm16, ulaw, alaw, not 'opus'"),
        ({"rate": 3_999}, "rate must lie between 4000 and 192000 Hz, not 3999"),
        ({"rate": 192_001}, "not 192001"),
        ({"channels": 0}, "channels must be 1 or 2, not 0"),
        ({"channels": 3}, "not 3"),
    ],
)
def test_formats_that_there_are_not(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AudioFormat(**fields)


def test_formats_at_the_edge() -> None:
    assert AudioFormat(rate=4_000).rate == 4_000
    assert AudioFormat(rate=192_000, channels=2).frame_bytes == 4
