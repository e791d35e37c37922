"""Lines of a fault script: what they mean, when they are due, and what is said of unclear ones."""

from __future__ import annotations

from typing import Any

import pytest

from voicebridge.contract.errors import BadOption
from voicebridge.testing.simulator.fault_run import FaultRun
from voicebridge.testing.simulator.fault_script import read_script


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("delay 200ms on response.created", {"action": "delay", "seconds": 0.2, "event": "response.created"}),
        ("drop", {"action": "drop", "event": None, "occurrence": 1, "every": False}),
        ("drop on a.b occurrence 3", {"action": "drop", "event": "a.b", "occurrence": 3}),
        ("duplicate on *.delta every", {"action": "duplicate", "every": True}),
        ("reorder on a connection 2", {"action": "reorder", "connection": 2}),
        ("garbage truncated on a", {"action": "garbage", "garbage": "truncated"}),
        ("garbage on a", {"action": "garbage", "garbage": "text"}),
        ("unknown on response.* every", {"action": "unknown", "event": "response.*", "every": True}),
        ("stall 1.5s on a", {"action": "stall", "seconds": 1.5}),
        ("stall after 3 frames", {"action": "stall", "seconds": None, "after_frames": 3}),
        ("reset at byte 5000", {"action": "reset", "at_byte": 5000}),
        ("cut after 250ms", {"action": "cut", "after_s": 0.25}),
        ("half-open after 1 frame", {"action": "half-open", "after_frames": 1}),
        ('close 1011 "gone away" on a', {"action": "close", "code": 1011, "reason": "gone away", "event": "a"}),
        ("close 1000 after 1s", {"action": "close", "code": 1000, "reason": ""}),
        ("drop on a chance 5%", {"action": "drop", "chance": 0.05, "every": True}),
        ("handshake 429 retry-after 7", {"handshake": True, "code": 429, "headers": {"Retry-After": "7"}}),
        ("handshake 503 connection 1", {"handshake": True, "code": 503, "connection": 1}),
        ("handshake stall 5s", {"handshake": True, "action": "stall", "seconds": 5.0}),
        ("handshake reset", {"handshake": True, "action": "reset"}),
    ],
)
def test_a_line_means(line: str, fields: dict[str, Any]) -> None:
    [mishap] = read_script([line])
    assert {name: getattr(mishap, name) for name in fields} == fields
    assert mishap.line == line


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_codes_that_a_close_frame_can_carry(code: int) -> None:
    [mishap] = read_script([f"close {code} {'x' * 123}"])
    assert (mishap.code, len(mishap.reason)) == (code, 123)


@pytest.mark.parametrize("line", ["handshake 429", "reset after 1s", "reset at byte 5", "reset after 1 frame"])
def test_what_happens_once_may_be_left_to_chance(line: str) -> None:
    script = read_script([f"{line} chance 50%"])

    def happens(connection: int) -> bool:
        run = FaultRun(script, connection, 1)
        return bool(run.handshake or run.timed or run.cutting(100) or run.sent(100))

    assert 20 < sum(happens(connection) for connection in range(100)) < 80


def test_comments_and_empty_lines_count_for_nothing() -> None:
    assert read_script(["", "  # nothing", "drop on a # this"]) == (read_script(["drop on a # this"]))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("explode", "no action 'explode'"),
        ("delay on a", "'on' is no time"),
        ("delay", "how long"),
        ("delay 5 on a", "'5' is no time"),
        ("drop on", "the name of an event is missing"),
        ("drop at byte 5", "is about a frame"),
        ("drop after 3 frames", "is about a frame"),
        ("reset on a after 2s", "twice when"),
        ("reset after x frames", "'x' is no number"),
        ("reset after 3 bytes", "`N frames`"),
        ("stall at byte 7", "only reset, cut and half-open"),
        ("close", "a close code"),
        ("close 7", "7 is no code that a close frame can carry"),
        ("close 999", "999 is no code"),
        ("close 1004", "1004 is no code"),
        ("close 1005 on a", "1005 is no code"),
        ("close 1006", "say `cut`"),
        ("close 1015", "1015 is no code"),
        ("close 2999", "2999 is no code"),
        ("close 5000", "5000 is no code"),
        (f"close 1000 {'x' * 124}", "more than 123 bytes"),
        (f"close 1000 {'ü' * 62}", "more than 123 bytes"),
        ("reset after 3 frames every", "happens once"),
        ("reset after 3 frames occurrence 2", "happens once"),
        ("cut at byte 7 every", "happens once"),
        ("cut at byte 7 occurrence 2", "happens once"),
        ("reset after 2s every", "happens once"),
        ("handshake 429 every", "happens once"),
        ("handshake 429 occurrence 2", "happens once"),
        ("handshake", "a status"),
        ("handshake 200", "no code between 300 and 599"),
        ("handshake 429 on a", "no events"),
        ("drop on a chance 5", "no share"),
        ("drop on a sometimes", "'sometimes' is not expected"),
        ('close 1011 "open', "No closing quotation"),
    ],
)
def test_an_unclear_line_says_what_is_wrong(line: str, says: str) -> None:
    with pytest.raises(BadOption) as raised:
        read_script([line])
    assert says in str(raised.value)
    assert repr(line) in str(raised.value)
    assert "Examples:" in str(raised.value)


def due(script: list[str], kinds: str, *, connection: int = 1, seed: int = 0) -> list[list[str]]:
    run = FaultRun(read_script(script), connection, seed)
    found = []
    for kind in kinds.split():
        found.append([mishap.action for mishap in run.before(kind)] + [m.action for m in run.sent(10)])
    return found


def test_an_event_counts_by_its_name_or_pattern() -> None:
    assert due(["drop on b"], "a b b") == [[], ["drop"], []]
    assert due(["drop on b occurrence 2"], "a b b b") == [[], [], ["drop"], []]
    assert due(["drop on b.* every"], "a b.x c b.y") == [[], ["drop"], [], ["drop"]]
    assert due(["drop"], "a b") == [["drop"], []]


def test_frames_are_counted_after_they_are_sent() -> None:
    assert due(["reset after 2 frames"], "a b c") == [[], ["reset"], []]
    assert [m.action for m in FaultRun(read_script(["stall after 0 frames"]), 1, 0).due_by_count()] == ["stall"]


def test_a_line_may_be_about_one_connection() -> None:
    assert due(["drop on a connection 2"], "a", connection=1) == [[]]
    assert due(["drop on a connection 2"], "a", connection=2) == [["drop"]]
    assert FaultRun(read_script(["handshake 503 connection 1"]), 2, 0).handshake == ()


def test_chance_is_drawn_with_the_seed() -> None:
    kinds = "a " * 200
    first = due(["drop on a chance 30%"], kinds, seed=1)
    assert first == due(["drop on a chance 30%"], kinds, seed=1)
    assert first != due(["drop on a chance 30%"], kinds, seed=2)
    assert 30 < sum(map(len, first)) < 90


def test_a_byte_lies_in_one_frame() -> None:
    run = FaultRun(read_script(["reset at byte 25"]), 1, 0)
    assert run.cutting(10) is None
    run.sent(10)
    run.sent(10)
    found = run.cutting(10)
    assert found is not None
    assert found[1] == 5
    assert run.cutting(10) is None
