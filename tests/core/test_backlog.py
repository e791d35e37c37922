"""What a connection is still to be told: in order, in place, and once."""

from __future__ import annotations

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.commands import Command, EndTurn, SendText
from voicebridge.contract.events import CommandSettled
from voicebridge.contract.fault import Fault
from voicebridge.core.backlog import Backlog, Due

CLOSED = Fault(category="closed", message="Over.")
BAD = Fault(category="config", message="No.")


def text(words: str) -> SendText:
    return SendText(text=words)


def rest(backlog: Backlog) -> list[bytes | Command]:
    told: list[bytes | Command] = []
    while (one := backlog.next()) is not None:
        told.append(one if isinstance(one, bytes) else one.command)
    return told


def test_commands_come_in_their_places_in_the_audio() -> None:
    backlog, first, second, third = Backlog(DOOR_FORMAT), text("1"), text("2"), EndTurn()
    backlog.hold(first)
    backlog.add(b"aa", safe=0)
    backlog.hold(second)
    backlog.hold(third)
    backlog.add(b"bb", safe=0)
    assert backlog.start(0) == 0
    assert rest(backlog) == [first, b"aa", second, third, b"bb"]
    backlog.add(b"cc", safe=0)
    assert rest(backlog) == [b"cc"]


def test_what_was_not_taken_comes_again_where_it_stood() -> None:
    backlog, first, second = Backlog(DOOR_FORMAT), text("1"), text("2")
    backlog.add(b"aa", safe=0)
    backlog.hold(first)
    backlog.add(b"bb", safe=0)
    backlog.hold(second)
    backlog.start(0)
    assert backlog.next() == b"aa"
    due = backlog.next()
    assert due == Due(2, first)
    backlog.put_back(due)
    backlog.start(0)
    assert rest(backlog) == [b"aa", first, b"bb", second]


def test_what_a_connection_had_early_comes_before_all_others() -> None:
    backlog, early, second, late = Backlog(DOOR_FORMAT), text("1"), text("2"), text("3")
    for command in (early, second):
        backlog.hold(command)
        backlog.add(b"aa", safe=0)
    backlog.start(0)
    for _ in range(4):
        if isinstance(due := backlog.next(), Due):
            backlog.given_early(due)
    backlog.hold(late)
    assert backlog.gives_back(CommandSettled(command_id=early.id, fault=CLOSED))
    assert [due.command for due in backlog.take_back()] == [early, second]
    backlog.start(0)
    assert rest(backlog) == [early, b"aa", second, b"aa", late]


def test_what_an_early_connection_settled_is_not_given_again() -> None:
    backlog, early = Backlog(DOOR_FORMAT), text("1")
    backlog.given_early(Due(0, early))
    assert not backlog.gives_back(CommandSettled(command_id="other", fault=CLOSED))
    assert not backlog.gives_back(CommandSettled(command_id=early.id, fault=BAD))
    assert backlog.take_back() == []
    backlog.given_early(Due(0, early))
    backlog.ready()
    assert not backlog.gives_back(CommandSettled(command_id=early.id, fault=CLOSED)), "now that is its fate"


def test_commands_that_are_repeated_come_first_and_are_counted_once() -> None:
    backlog, end, late = Backlog(DOOR_FORMAT), EndTurn(), text("late")
    backlog.add(b"aabb", safe=0)
    backlog.hold(late)
    for _ in range(2):
        backlog.start(0)
        backlog.repeat([(2, end)])
    assert backlog.next() == b"aa"
    assert backlog.next() == Due(2, end, again=True)
    assert rest(backlog) == [b"bb", late]
    backlog.repeat([(2, end)])
    assert backlog.give_up() == [], "its fate was told"
    backlog.hold(late)
    assert backlog.give_up() == [Due(4, late)]


def test_what_is_too_old_is_counted_from_where_it_was_wanted() -> None:
    backlog = Backlog(DOOR_FORMAT)
    backlog.add(bytes(DOOR_FORMAT.size(10_000)), safe=0)
    assert backlog.start(DOOR_FORMAT.size(1_000)) == DOOR_FORMAT.size(1_000)
    backlog.add(bytes(DOOR_FORMAT.size(30_000)), safe=0)
    backlog.pass_over_lost()
    assert DOOR_FORMAT.ms(backlog.lost_bytes) == 9_000
    assert DOOR_FORMAT.ms(backlog.start(DOOR_FORMAT.size(2_000))) == 10_000
    assert DOOR_FORMAT.ms(backlog.lost_bytes) == 9_000, "since what the first one should have heard"
    backlog.ready()
    backlog.start(DOOR_FORMAT.size(10_000))
    assert backlog.lost_bytes == 0


def test_of_one_that_fell_behind_what_it_was_not_told_is_kept() -> None:
    backlog = Backlog(DOOR_FORMAT)
    second = DOOR_FORMAT.size(1_000)
    backlog.add(b"a" * second, safe=0)
    backlog.fall_behind()
    assert backlog.behind == 0
    backlog.add(b"b" * second, safe=0)
    backlog.add(b"c" * second, safe=3 * second)  # a server says that it has heard what it was not sent
    assert backlog.behind == 2 * second
    assert backlog.next(second) == b"b" * second
    assert backlog.next(second // 2) == b"c" * (second // 2)
    assert backlog.next(second) == b"c" * (second // 2)
    assert backlog.next(second) is None
    backlog.caught_up()
    assert backlog.behind == 0


def test_what_is_repeated_comes_in_its_place_among_what_is_held() -> None:
    backlog = Backlog(DOOR_FORMAT)
    early, late, again = EndTurn(), EndTurn(), EndTurn()
    backlog.hold(early)
    backlog.add(bytes(480), safe=0)
    backlog.hold(late)
    backlog.start(0)
    backlog.repeat([(240, again)])
    told = [backlog.next() for _ in range(5)]
    assert [one.command if isinstance(one, Due) else one for one in told] == [
        early,
        bytes(240),
        again,
        bytes(240),
        late,
    ]
