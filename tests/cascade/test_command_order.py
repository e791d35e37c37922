"""The order of commands: each in its turn, once nothing holds it up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voicebridge.cascade.command_order import CommandOrder


class Log(list[str]):
    def does(self, name: str) -> Callable[[], None]:
        return lambda: self.append(name)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def order() -> CommandOrder:
    """One that is ready."""
    made = CommandOrder()
    made.release("ready")
    return made


def test_commands_wait_for_the_session_to_be_ready(log: Log) -> None:
    order = CommandOrder()
    order.run(log.does("a"))
    order.run(log.does("b"))
    assert log == []
    order.release("ready")
    assert log == ["a", "b"]
    order.run(log.does("c"))
    assert log == ["a", "b", "c"]


def test_what_is_held_up_holds_up_those_behind_it(order: CommandOrder, log: Log) -> None:
    def end_turn() -> None:
        log.append("end turn")
        order.hold("c1")

    order.run(end_turn)
    order.run(log.does("after"))
    assert log == ["end turn"]
    order.release("another")
    assert log == ["end turn"]
    order.release("c1")
    assert log == ["end turn", "after"]


def test_every_reason_must_be_gone(order: CommandOrder, log: Log) -> None:
    order.hold("a")
    order.hold("b")
    order.hold("a")
    order.run(log.does("x"))
    order.release("a")
    assert log == []
    order.release("b")
    assert log == ["x"]
    order.release("b")
    assert log == ["x"]


def test_one_that_is_held_up_while_others_are_released_stops_them(log: Log) -> None:
    order = CommandOrder()
    order.run(lambda: order.hold("c1"))
    order.run(log.does("b"))
    order.release("ready")
    assert log == []
    order.release("c1")
    assert log == ["b"]


def test_a_command_never_runs_inside_another(order: CommandOrder, log: Log) -> None:
    def outer() -> None:
        order.run(log.does("inner"))
        order.hold("x")
        order.release("x")
        log.append("outer")

    order.run(outer)
    assert log == ["outer", "inner"]


def test_what_raises_costs_the_others_nothing(order: CommandOrder, log: Log) -> None:
    def fail() -> None:
        order.run(log.does("behind"))
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError):
        order.run(fail)
    order.run(log.does("next"))
    assert log == ["behind", "next"]


def test_forgetting_what_waits(log: Log) -> None:
    order = CommandOrder()
    order.run(log.does("a"))
    order.clear()
    order.release("ready")
    order.run(log.does("b"))
    assert log == ["b"]
