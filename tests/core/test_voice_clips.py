"""Both voices, cut into clips: byte for byte, within bounds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicebridge.contract.audio import AudioFormat
from voicebridge.contract.events import Event, OutputAudio, ResponseEnded, ResponseStarted, UserTurn
from voicebridge.core.history_record import AudioChunk
from voicebridge.core.voice_clips import VoiceClips

IN = AudioFormat(encoding="ulaw", rate=8_000)
OUT = AudioFormat(rate=24_000)
SECOND = 8_000


def voice(seconds: float) -> bytes:
    """Audio in which every second is another byte."""
    return b"".join(bytes([second]) * SECOND for second in range(int(seconds) + 1))[: int(seconds * SECOND)]


def turn(phase: str, seconds: float, turn_id: str = "t1") -> UserTurn:
    return UserTurn(turn_id=turn_id, phase=phase, audio_ms=seconds * 1000)  # type: ignore[arg-type]  # of the four


class Call:
    """A session's audio and events, and what a store got of it."""

    def __init__(self, limit_bytes: int = 4 * 1024 * 1024) -> None:
        self.clips = VoiceClips(IN, OUT, limit_bytes=limit_bytes)
        self.stored: dict[str, bytearray] = {}
        self.seconds = 0.0

    def hear(self, seconds: float) -> None:
        pcm = voice(self.seconds + seconds)[int(self.seconds * SECOND) :]
        for at in range(0, len(pcm), 160):
            self.clips.heard(pcm[at : at + 160])
        self.seconds += seconds

    def tell(self, *events: Event) -> None:
        for event in events:
            self.clips.happened(event)

    def write(self) -> list[AudioChunk]:
        chunks, forgotten, count = self.clips.waiting()
        for chunk in chunks:
            clip = self.stored.setdefault(chunk.key, bytearray())
            assert chunk.offset == len(clip), "without holes"
            clip += chunk.pcm
        for key in forgotten:
            self.stored.pop(key, None)
        self.clips.written(count, len(forgotten))
        return chunks


# The user


def test_a_turn_is_cut_from_where_it_began_to_where_it_was_committed() -> None:
    call = Call()
    call.hear(5)
    call.tell(turn("speech", 2), turn("pause", 3))
    assert call.write() == [], "it may still be discarded"
    call.tell(turn("committed", 4))
    (chunk,) = call.write()
    assert chunk == AudioChunk(key="t1", offset=0, pcm=voice(4)[2 * SECOND :], format=IN)
    assert call.write() == []


def test_a_turn_that_goes_on_after_a_pause_is_one_clip() -> None:
    call = Call()
    call.hear(5)
    call.tell(turn("speech", 1), turn("pause", 2), turn("speech", 3), turn("committed", 4))
    call.write()
    assert call.stored == {"t1": voice(4)[SECOND:]}


def test_a_turn_of_which_only_the_end_is_told_begins_where_the_last_one_ended() -> None:
    call = Call()
    call.hear(2)
    call.tell(turn("committed", 1))
    call.hear(2)
    call.tell(turn("committed", 4, "t2"))
    call.write()
    assert call.stored == {"t1": voice(1), "t2": voice(4)[SECOND:]}
    assert call.clips.dropped_ms == 0


def test_a_turn_that_was_lost_with_its_connection_is_heard_again() -> None:
    call = Call()
    call.hear(4)
    lost = UserTurn(turn_id="t1", phase="discarded", audio_ms=4000, source="inferred")
    call.tell(turn("speech", 1), lost, turn("speech", 1, "t2"))
    call.hear(1)
    call.tell(turn("committed", 5, "t2"))
    call.write()
    assert call.stored == {"t2": voice(5)[SECOND:]}


def test_an_unopened_turn_that_was_lost_with_its_connection_is_heard_again() -> None:
    call = Call()
    call.hear(4)
    lost = UserTurn(turn_id="t2", phase="discarded", audio_ms=3000, source="inferred")
    call.tell(turn("committed", 1), lost, turn("committed", 4, "t3"))
    call.write()
    assert call.stored["t3"] == voice(4)[SECOND:]


@pytest.mark.parametrize("again", [2.95, 3.0, 3.05])
def test_an_unopened_turn_that_is_heard_again(again: float) -> None:
    call = Call()
    call.hear(4)
    call.tell(turn("committed", 1), turn("committed", 3, "t2"), turn("committed", again, "t3"))
    call.write()
    assert call.stored["t3"] == voice(again)[SECOND:]


def test_an_unopened_turn_begins_behind_one_that_was_discarded() -> None:
    call = Call()
    call.hear(4)
    call.tell(turn("discarded", 1), turn("committed", 3, "t2"))
    call.write()
    assert call.stored == {"t2": voice(3)[SECOND:]}


def test_a_backend_may_claim_to_have_heard_more_than_there_is() -> None:
    call = Call()
    call.hear(1)
    call.tell(turn("speech", -1), turn("committed", 3))
    call.hear(1)
    call.write()
    assert call.stored == {"t1": voice(1)}


def test_a_long_turn_waits_to_be_written_while_it_goes_on() -> None:
    call = Call()
    call.hear(1)
    call.tell(turn("speech", 0.5))
    for _ in range(100):
        call.hear(1)
        call.write()
    assert len(call.stored["t1"]) >= 69 * SECOND, "what is older than half a minute"
    call.tell(turn("committed", 101))
    call.write()
    assert call.stored["t1"] == voice(101)[SECOND // 2 :]
    assert call.clips.dropped_ms == 0


def test_nothing_is_kept_of_a_discarded_turn() -> None:
    call = Call()
    call.hear(1)
    call.tell(turn("speech", 0), turn("discarded", 1))
    assert call.clips.waiting() == ([], [], 0)
    call.tell(turn("speech", 1, "t2"))
    call.hear(40)
    call.write()
    assert call.stored["t2"]
    call.hear(2)
    call.tell(turn("discarded", 43, "t2"))
    call.write()
    assert call.stored == {}
    assert call.clips.waiting() == ([], [], 0)


def test_a_turn_that_is_discarded_while_the_store_writes_is_forgotten_next() -> None:
    call = Call()
    call.tell(turn("speech", 0), turn("speech", 0, "t2"))
    call.hear(40)
    call.tell(turn("discarded", 40))
    _, forgotten, count = call.clips.waiting()
    call.tell(turn("discarded", 40, "t2"))
    call.clips.written(count, len(forgotten))
    assert forgotten == ["t1"]
    assert call.clips.waiting() == ([], ["t2"], 0)


def test_an_unopened_turn_longer_than_what_is_kept_loses_its_beginning_and_says_so() -> None:
    call = Call()
    call.hear(40)
    call.tell(turn("committed", 40))
    call.write()
    kept = call.stored["t1"]
    assert voice(40).endswith(kept)
    assert 30 * SECOND <= len(kept) <= 31 * SECOND
    assert call.clips.dropped_ms == IN.ms(40 * SECOND - len(kept))


# The agent


def said(pcm: bytes, response: str = "r1") -> OutputAudio:
    return OutputAudio(response_id=response, pcm=pcm, offset_ms=0)


STARTED = ResponseStarted(response_id="r1", cause="user")


def test_the_audio_of_a_response_is_joined() -> None:
    call = Call()
    call.tell(STARTED, said(b"ab"), said(b"cd"))
    assert call.write() == [AudioChunk(key="r1", offset=0, pcm=b"abcd", format=OUT)]
    call.tell(said(b"ef"), ResponseEnded(response_id="r1", status="completed"), said(b"gh"))
    assert call.write() == [AudioChunk(key="r1", offset=4, pcm=b"ef", format=OUT)]


def test_an_aside_is_not_kept() -> None:
    call = Call()
    call.tell(ResponseStarted(response_id="r1", cause="request", aside=True), said(b"ab"), said(b"ab", "r2"))
    assert call.clips.waiting() == ([], [], 0)


# Consent


def test_nothing_is_kept_before_it_is_allowed() -> None:
    call = Call()
    call.clips.allowed = False
    call.hear(2)
    call.tell(turn("speech", 1), STARTED, said(b"ab"))
    call.clips.allowed = True
    call.hear(2)
    call.tell(said(b"cd"), turn("committed", 3))
    chunks, _, _ = call.clips.waiting()
    assert chunks == [
        AudioChunk(key="r1", offset=2, pcm=b"cd", format=OUT),
        AudioChunk(key="t1", offset=0, pcm=voice(3)[2 * SECOND :], format=IN),
    ]
    assert call.clips.dropped_ms == 0, "nobody wanted it"


def test_what_was_not_cut_yet_is_gone_when_it_is_forbidden() -> None:
    call = Call()
    call.hear(2)
    call.tell(turn("speech", 0))
    call.clips.allowed = False
    call.tell(turn("committed", 2), STARTED, said(b"ab"))
    assert call.clips.waiting() == ([], [], 0)


def test_what_was_heard_before_it_was_forbidden_does_not_come_back() -> None:
    call = Call()
    call.hear(2)
    call.clips.allowed = False
    call.hear(1)
    call.clips.allowed = True
    call.hear(2)
    call.tell(turn("speech", 1), turn("committed", 5))
    call.write()
    assert call.stored == {"t1": voice(5)[3 * SECOND :]}


# Bounds


def test_what_is_too_much_is_dropped_and_counted() -> None:
    call = Call(limit_bytes=6)
    call.tell(STARTED, said(b"abcd"), said(b"efgh"), said(b"ij"))
    chunks, _, count = call.clips.waiting()
    assert [(chunk.offset, chunk.pcm) for chunk in chunks] == [(0, b"abcd"), (8, b"ij")], "the rest is in its place"
    assert call.clips.dropped_ms == OUT.ms(4)
    assert call.clips.overflowed
    call.clips.written(count, 0)
    call.tell(said(b"klmnop"))
    assert [(chunk.offset, chunk.pcm) for chunk in call.clips.waiting()[0]] == [(10, b"klmnop")]


def test_what_was_not_written_waits_on() -> None:
    call = Call()
    call.tell(STARTED, said(b"ab"))
    _, _, count = call.clips.waiting()
    call.tell(said(b"cd"))
    assert [chunk.pcm for chunk in call.clips.waiting()[0]] == [b"abcd"]
    call.clips.written(count, 0)
    assert [(chunk.offset, chunk.pcm) for chunk in call.clips.waiting()[0]] == [(2, b"cd")]


acts = st.one_of(
    st.tuples(st.just("hear"), st.integers(0, 40)),
    st.tuples(st.sampled_from(["speech", "pause", "committed", "discarded"]), st.integers(0, 40)),
    st.tuples(st.sampled_from(["write", "forbid", "allow"]), st.just(0)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(acts, max_size=25))
def test_a_clip_is_a_part_of_what_was_heard_and_little_is_held(acts: list[tuple[str, int]]) -> None:
    """The audio counts itself: every four bytes are a number."""
    format = AudioFormat(encoding="ulaw", rate=4_000)
    clips, at, turns = VoiceClips(format, OUT, limit_bytes=200_000), 0, 0
    stored: dict[str, list[AudioChunk]] = {}
    gone: set[str] = set()
    forbidden: list[tuple[int, int]] = []
    since: int | None = None
    for act, number in acts:
        if act == "hear":
            pcm = b"".join((at + i).to_bytes(4, "little") for i in range(number * 1000))
            clips.heard(pcm)
            at += number * 1000
        elif act == "write":
            chunks, forgotten, count = clips.waiting()
            for chunk in chunks:
                assert chunk.key not in gone
                stored.setdefault(chunk.key, []).append(chunk)
            for key in forgotten:
                stored.pop(key, None)
                gone.add(key)
            clips.written(count, len(forgotten))
        elif act in ("forbid", "allow"):
            clips.allowed = act == "allow"
            if act == "forbid":
                since = at if since is None else since
            elif since is not None:
                forbidden.append((since, at))
                since = None
        else:
            clips.happened(turn(act, max(0, at // 1000 - number), f"t{turns}"))
            turns += act in ("committed", "discarded")
        held = sum(len(value) for value in (clips._recent,)) + clips._waiting_bytes
        assert held <= format.size(31_000) + 160_000 + 200_000
    for chunks in stored.values():
        numbers = [int.from_bytes(c.pcm[i : i + 4], "little") for c in chunks for i in range(0, len(c.pcm) & ~3, 4)]
        assert numbers == sorted(set(numbers)), "nothing twice, all in order"
        assert not any(start <= number < end for number in numbers for start, end in forbidden)
