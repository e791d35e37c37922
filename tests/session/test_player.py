"""What a speaker does about a session's events."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from voicebridge import DOOR_FORMAT, Interruption, OutputAudio, OutputHeard, ReportPlayed, ResponseEnded
from voicebridge.session.player import Player
from voicebridge.testing.sound import ScriptedSpeaker


class Desk:
    """A player over a speaker that takes audio when it is told to."""

    def __init__(self) -> None:
        self.speaker = ScriptedSpeaker()
        self.player = Player(self.speaker)
        self.now = 0.0

    def give(self, response_id: str, ms: int, offset_ms: float = 0.0) -> None:
        pcm = b"\x00\x20" * (DOOR_FORMAT.rate * ms // 1000)
        assert not self.player.happened(OutputAudio(response_id=response_id, pcm=pcm, offset_ms=offset_ms))

    def play(self, ms: int) -> bytes:
        out = bytearray(DOOR_FORMAT.size(ms))
        self.speaker._queue.fill(memoryview(out), now=self.now, starts_at=self.now)
        self.now += ms / 1000
        self.speaker._now = self.now
        return bytes(out)

    def told(self, event: Any) -> dict[str, float]:
        return reports(self.player.happened(event))

    @property
    def queued_ms(self) -> float:
        return self.speaker._queue.queued_ms


def reports(commands: Any) -> dict[str, float]:
    assert all(isinstance(command, ReportPlayed) for command in commands)
    return {command.response_id: round(command.ms, 6) for command in commands}


def decision(action: Any, *response_ids: str, turn_id: str | None = "t1") -> Interruption:
    return Interruption(action=action, reason="speech", response_ids=response_ids, turn_id=turn_id)


def ended(response_id: str, status: Any = "completed") -> ResponseEnded:
    return ResponseEnded(response_id=response_id, status=status)


def test_exactly_the_interrupted_response_is_dropped() -> None:
    desk = Desk()
    desk.give("a", 100)
    desk.give("b", 100)
    desk.play(40)
    assert desk.told(decision("interrupt", "a")) == {"a": 40}
    assert desk.queued_ms == 100
    desk.play(50)
    assert reports(desk.player.progress()) == {"b": 50}
    assert desk.told(decision("interrupt", "b", "unknown")) == {"b": 50}
    assert desk.queued_ms == 0


def test_what_the_device_holds_counts_as_heard_and_is_told_once() -> None:
    desk = Desk()
    desk.give("a", 100)
    out = bytearray(DOOR_FORMAT.size(30))
    desk.speaker._queue.fill(memoryview(out), now=0.0, starts_at=0.04)
    assert desk.told(decision("interrupt", "a")) == {"a": 30}
    desk.speaker._now = 0.05
    assert reports(desk.player.progress()) == {}
    assert desk.told(decision("interrupt", "a")) == {}


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "lost"])
def test_what_is_queued_of_an_ended_response_plays_on(status: str) -> None:
    desk = Desk()
    desk.give("a", 100)
    assert desk.told(ended("a", status)) == {}
    assert desk.queued_ms == 100
    desk.play(200)
    assert desk.speaker._queue.underrun_ms == 0  # it is known that nothing more was to come
    assert reports(desk.player.progress()) == {"a": 100}


def test_an_end_of_another_response_is_not_taken_for_that_of_the_last() -> None:
    desk = Desk()
    desk.give("a", 10)
    desk.give("b", 10)
    desk.told(ended("a"))
    desk.play(30)
    assert desk.speaker._queue.underrun_ms == 10


def test_what_its_backend_cut_is_dropped() -> None:
    desk = Desk()
    desk.give("a", 100)
    desk.play(20)
    assert desk.told(ended("a", "interrupted")) == {"a": 20}
    assert desk.queued_ms == 0


@pytest.mark.parametrize(
    ("heard_ms", "basis", "told"),
    [(60, "provider", {"a": 20}), (90, "provider", {}), (60, "estimated", {}), (60, "measured", {})],
)
def test_a_vendors_word_that_it_was_cut_is_obeyed(heard_ms: float, basis: Any, told: dict[str, float]) -> None:
    desk = Desk()
    desk.give("a", 100)
    desk.play(20)
    heard = OutputHeard(response_id="a", heard_ms=heard_ms, text="", basis=basis)
    assert desk.told(heard) == told
    assert desk.queued_ms == (0 if told else 80)


def test_a_pause_keeps_all_and_tells_where_it_is() -> None:
    desk = Desk()
    desk.give("a", 100)
    desk.play(30)
    assert desk.told(decision("pause", "a")) == {"a": 30}
    assert not any(desk.play(50))
    assert desk.queued_ms == 70
    desk.told(decision("resume", "a"))
    assert any(desk.play(50))


def test_the_loudness_follows_without_a_click() -> None:
    desk = Desk()
    desk.give("a", 1000)
    desk.told(decision("duck", "a"))
    falling, soft = (memoryview(desk.play(20)).cast("h") for _ in range(2))
    assert [falling[0], falling[-1], max(soft), min(soft)] == [0x2000, 0x800, 0x800, 0x800]
    assert max(abs(a - b) for a, b in pairwise(falling)) <= 14
    desk.told(decision("ignore", "a"))
    assert max(desk.play(20)) == max(desk.play(20))
    desk.told(decision("pause", "a"))  # one turn holds after another
    assert not any(desk.play(20))
    desk.told(decision("resume", "a"))
    desk.play(20)
    assert max(memoryview(desk.play(20)).cast("h")) == 0x2000


def test_an_interruption_by_the_user_ends_every_hold() -> None:
    desk = Desk()
    desk.give("a", 100)
    desk.give("b", 100)
    desk.told(decision("pause", "a"))
    desk.told(decision("interrupt", "b"))
    assert any(desk.play(10))


def test_one_by_a_command_ends_the_hold_of_what_it_stops() -> None:
    desk = Desk()
    desk.give("a", 100)
    desk.give("b", 100)
    desk.told(decision("pause", "a"))
    desk.told(decision("interrupt", "b", turn_id=None))
    assert not any(desk.play(10))
    desk.told(decision("interrupt", "a", turn_id=None))
    desk.give("c", 100)
    assert any(desk.play(10))


def test_what_is_through_is_forgotten() -> None:
    desk = Desk()
    for n in range(100):
        desk.give(f"r{n}", 20)
        desk.give(f"r{n}", 20, offset_ms=20)
        desk.told(ended(f"r{n}"))
        desk.play(50)
        desk.player.progress()
    assert len(desk.player._given) <= 1


def test_at_the_end_the_speaker_is_as_it_was() -> None:
    desk = Desk()
    desk.give("a", 100)
    desk.told(decision("pause", "a"))
    desk.player.close()
    assert desk.queued_ms == 0
    desk.give("b", 100)
    assert any(desk.play(20))


class Plain:
    """A sink with the methods that it needs, and those that a test gives it."""

    format = DOOR_FORMAT

    def __init__(self, **more: Any) -> None:
        self.calls: list[str] = []
        for name, method in more.items():
            setattr(self, name, method)

    def play(self, pcm: bytes, response_id: str = "") -> None:
        self.calls.append(f"play {response_id}")

    def end(self) -> None: ...

    def clear(self) -> None:
        self.calls.append("clear")

    def played_ms(self, response_id: str = "") -> float:
        return {"a": 40.0}.get(response_id, 0.0)

    def progress(self) -> dict[str, float]:
        return {}


def test_a_sink_that_can_not_drop_is_cleared() -> None:
    sink = Plain()
    player = Player(sink)
    for response_id in ("a", "b"):
        player.happened(OutputAudio(response_id=response_id, pcm=bytes(4800), offset_ms=0))
    assert reports(player.happened(decision("interrupt", "a"))) == {"a": 40, "b": 0}
    assert sink.calls == ["play a", "play b", "clear"]
    player.happened(decision("interrupt", "b"))
    assert sink.calls[-1] == "clear"
    assert len(sink.calls) == 3


def test_a_sink_that_can_only_duck_is_softer_where_it_should_be_silent() -> None:
    ducked: list[bool] = []
    player = Player(Plain(duck=ducked.append))
    for action in ("pause", "resume", "duck", "resume"):
        player.happened(decision(action, "a"))
    assert ducked == [True, False, True, False]


def test_a_sink_that_can_do_neither_plays_on() -> None:
    sink = Plain()
    player = Player(sink)
    for action in ("pause", "resume", "duck", "resume"):
        player.happened(decision(action, "a"))
    assert sink.calls == []
