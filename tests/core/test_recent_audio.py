"""The latest audio: addressed by its place in the whole stream, however much of it was forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.stages import PCM_16K
from voicebridge.core.recent_audio import RecentAudio

SECOND = PCM_16K.size(1000)


def numbered(frames: int, first: int = 0) -> bytes:
    return b"".join(number.to_bytes(2, "little") for number in range(first, first + frames))


def test_a_stream_that_forgets_nothing() -> None:
    recent = RecentAudio(PCM_16K)
    assert (recent.end, recent.since(0)) == (0, b"")
    recent.add(numbered(10))
    recent.add(numbered(10, 10))
    assert recent.end == 40
    assert recent.since(0) == numbered(20)
    assert recent.since(30) == numbered(5, 15)
    assert recent.since(40) == b""
    assert recent.since(1000) == b""


def test_forgetting_takes_a_second_at_a_time() -> None:
    recent = RecentAudio(PCM_16K)
    audio = numbered(48_000)
    recent.add(audio)
    recent.forget(SECOND - 2)
    assert recent.since(0) == audio, "less than a second is not worth the moving"
    recent.forget(2 * SECOND)
    assert recent.end == len(audio)
    assert recent.since(0) == audio[2 * SECOND :], "as far back as it is still there"
    assert recent.since(2 * SECOND + 10) == audio[2 * SECOND + 10 :]
    recent.forget(0)
    assert recent.since(0) == audio[2 * SECOND :]


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(-50_000, 100_000)), max_size=12), st.sampled_from([1, 2]))
def test_what_is_there_is_where_it_was(steps: list[tuple[int, int]], channels: int) -> None:
    format = AudioFormat(rate=16_000, channels=channels)
    recent, whole, forgotten = RecentAudio(format), b"", 0
    for frames, before in steps:
        piece = bytes(range(256)) * (frames * format.frame_bytes // 256)
        piece = piece[: len(piece) - len(piece) % format.frame_bytes]
        recent.add(piece)
        whole += piece
        before = min(before, len(whole))
        recent.forget(before)
        forgotten = max(forgotten, before)
        assert recent.end == len(whole)
        kept = recent.since(0)
        assert whole.endswith(kept)
        assert len(whole) - len(kept) <= forgotten, "more was forgotten than was allowed"
        assert (len(whole) - len(kept)) % format.frame_bytes == 0, "frames stay whole"
        assert len(kept) <= max(0, len(whole) - before) + format.size(1000), "it grows"
        assert recent.since(forgotten) == whole[forgotten:]
