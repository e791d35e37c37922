from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voicebridge.audio.playout import PlayoutQueue
from voicebridge.contract.audio import AudioFormat

FORMAT = AudioFormat(rate=8_000)  # 16 bytes a millisecond


def pcm(ms: int, value: int = 1) -> bytes:
    return bytes([value]) * (16 * ms)


def take(queue: PlayoutQueue, ms: int, at: float, latency: float = 0.0) -> bytes:
    out = bytearray(b"\xff" * (16 * ms))
    queue.fill(memoryview(out), now=at, starts_at=at + latency)
    return bytes(out)


def test_audio_comes_out_in_order_and_silence_after_it() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=1_000)
    queue.add("a", pcm(15, 1))
    queue.add("b", pcm(10, 2))
    assert queue.queued_ms == 25
    assert take(queue, 10, 0.0) == pcm(10, 1)
    assert take(queue, 10, 0.01) == pcm(5, 1) + pcm(5, 2)
    assert take(queue, 10, 0.02) == pcm(5, 2) + bytes(5 * 16)
    assert queue.queued_ms == 0
    assert queue.played(0.03) == {"a": 15, "b": 10}


def test_only_what_was_heard_counts() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=1_000)
    queue.add("a", pcm(40))
    take(queue, 20, at=0.0, latency=0.05)
    assert queue.played(0.05) == {"a": 0}
    assert queue.played(0.06)["a"] == 10 or abs(queue.played(0.06)["a"] - 10) < 1e-6
    take(queue, 20, at=0.02, latency=0.05)
    assert abs(queue.played(0.08)["a"] - 30) < 1e-6
    assert not queue.idle(0.08)
    assert queue.played(9.0) == {"a": 40}
    assert queue.idle(9.0)


def test_silence_is_not_counted_as_played() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=1_000)
    queue.add("a", pcm(10))
    take(queue, 30, 0.0)  # 20 ms too late
    queue.add("a", pcm(10))
    queue.paused = True
    assert take(queue, 30, 0.03) == bytes(30 * 16)
    queue.paused = False
    take(queue, 10, 0.06)
    assert queue.played(1.0) == {"a": 20}
    assert queue.underrun_ms == 20
    queue.end()
    take(queue, 10, 0.07)
    assert queue.underrun_ms == 20


def test_clear_drops_what_is_queued_but_not_what_the_device_has() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=1_000)
    queue.add("a", pcm(100))
    take(queue, 20, 0.0, latency=0.03)
    assert queue.clear() == 80
    assert queue.queued_ms == 0
    assert take(queue, 20, 0.02) == bytes(20 * 16)
    assert queue.played(1.0) == {"a": 20}
    assert queue.underrun_ms == 0
    assert queue.clear() == 0


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=50)
    queue.add("a", pcm(40))
    queue.add("a", pcm(40))
    queue.add("a", pcm(40))
    assert queue.queued_ms == 50
    assert queue.dropped_ms == 70


def test_old_responses_are_forgotten() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=10_000)
    for n in range(1_000):
        queue.add(str(n), pcm(1))
        take(queue, 1, n / 1000)
    played = queue.played(10.0)
    assert len(played) == 256
    assert list(played)[-1] == "999"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 60), st.sampled_from("ab")),
            st.tuples(st.just("take"), st.integers(1, 40), st.just("")),
            st.tuples(st.just("clear"), st.just(0), st.just("")),
        )
    )
)
def test_nothing_is_lost_uncounted(steps: list[tuple[str, int, str]]) -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=100)
    added = cleared = heard = 0.0
    now = 0.0
    for what, ms, response in steps:
        if what == "add":
            added += ms
            queue.add(response, pcm(ms))
        elif what == "take":
            heard += take(queue, ms, now).count(1) / 16
            now += ms / 1000
        else:
            cleared += queue.clear()
    assert added == heard + cleared + queue.dropped_ms + queue.queued_ms
    assert abs(sum(queue.played(now + 1).values()) - heard) < 1e-6


def test_dropping_one_response_leaves_the_others() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=1_000)
    for response_id, value in (("a", 1), ("b", 2), ("a", 3)):
        queue.add(response_id, pcm(20, value))
    take(queue, 10, at=0.0, latency=0.05)
    # Of what the device has, all will be heard.
    assert queue.drop({"a", "c"}) == {"a": 10, "c": 0}
    assert queue.queued_ms == 20
    assert take(queue, 30, at=0.01, latency=0.05) == pcm(20, 2) + bytes(10 * 16)
    assert queue.played(9.0) == {"a": 10, "b": 20}
    assert queue.underrun_ms == 10  # more of b may come


def test_after_all_was_dropped_silence_is_no_underrun() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=1_000)
    queue.add("a", pcm(20))
    queue.drop(["a"])
    take(queue, 10, at=0.0)
    assert queue.underrun_ms == 0


def test_loudness_changes_within_one_buffer() -> None:
    queue = PlayoutQueue(FORMAT, limit_ms=1_000)
    queue.add("a", (1000).to_bytes(2, "little") * 8 * 50)
    queue.loudness = 0.25
    falling, soft = (memoryview(take(queue, 10, at=0.0)).cast("h") for _ in range(2))
    assert list(falling) == sorted(falling, reverse=True)
    assert (falling[0], falling[-1], set(soft)) == (1000, 250, {250})
    queue.loudness = 1.0
    take(queue, 10, at=0.0)
    assert set(memoryview(take(queue, 10, at=0.0)).cast("h")) == {1000}
    assert queue.played(1.0) == {"a": 40}
