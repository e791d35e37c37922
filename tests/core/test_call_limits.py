"""A call ends at its limits: after what is being said, and never long after."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.call_policy import Budget, CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Command, Interrupt, Respond
from voicebridge.contract.events import (
    BackendError,
    CommandSettled,
    Event,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    UsageReported,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.call_limits import CallLimits

SAYS = Capabilities(respond=frozenset({"verb", "say"}))
READY = SessionReady(
    session_id="s", model="a/b", capabilities=SAYS, input_format=DOOR_FORMAT, output_format=DOOR_FORMAT
)


def limits(now: float = 100.0, **policy: Any) -> CallLimits:
    """Of a call that is ready at this time."""
    made = CallLimits(CallPolicy(**policy))
    assert made.happened(READY, now) == []
    return made


def used(**units: float) -> UsageReported:
    return UsageReported(units=units, model="a/b", basis="exact")


def started(response_id: str, *answers: str) -> ResponseStarted:
    return ResponseStarted(response_id=response_id, cause="user", answers=answers)


def ended(response_id: str) -> ResponseEnded:
    return ResponseEnded(response_id=response_id, status="completed")


def codes(effects: list[Command | Event | Fault]) -> list[str]:
    return [effect.code if isinstance(effect, Fault) else type(effect).__name__ for effect in effects]


def test_its_length_counts_from_ready_on() -> None:
    call = CallLimits(CallPolicy(max_duration_s=60))
    assert call.due_at() is None
    assert call.due(1e9) == []
    call.happened(READY, 100.0)
    assert call.due_at() == 160.0
    assert call.due(159.9) == []
    [fault] = call.due(160.0)
    assert isinstance(fault, Fault)
    assert (fault.category, fault.code) == ("planned_end", "limit_reached")
    assert "60 s" in fault.message
    assert call.due_at() is None


def test_a_connection_that_takes_over_gives_no_more_time() -> None:
    call = limits(max_duration_s=60)
    call.happened(SessionRestarted(ready=READY, reason="drop", carried="text", gap_ms=0, lost_audio_ms=0), 150.0)
    call.happened(READY, 150.0)
    assert call.due_at() == 160.0


def test_usage_adds_up() -> None:
    call = limits(max_usage={"audio_s": 10.0, "tokens": 100})
    assert call.happened(used(audio_s=6, tokens=1), 101.0) == []
    assert call.happened(used(other=1e9), 101.0) == []
    [fault] = call.happened(used(audio_s=4), 102.0)
    assert isinstance(fault, Fault)
    assert "10 audio_s" in fault.message
    assert call.used["tokens"] == 1


def test_money_adds_up() -> None:
    call = limits(budgets=(Budget(lambda usage: usage.units["tokens"] * 0.1, 1.0), Budget(lambda usage: 0.0, 1.0)))
    assert call.happened(used(tokens=9), 101.0) == []
    assert codes(call.happened(used(tokens=1.5), 101.0)) == ["limit_reached"]
    assert call.spent == [pytest.approx(1.05), 0.0]


@pytest.mark.parametrize(("spend", "code"), [(lambda usage: 1 / 0, "spend_failed"), (lambda usage: float("nan"), "")])
def test_a_cost_that_nobody_knows_ends_the_call(spend: Any, code: str) -> None:
    call = limits(budgets=(Budget(spend, 1.0),))
    assert codes(call.happened(used(tokens=1), 101.0)) == [code or "limit_reached"]


def test_the_agent_may_finish() -> None:
    call = limits(max_duration_s=60)
    call.happened(started("r1"), 159.0)
    assert call.due(160.0) == []
    assert call.due_at() == 190.0, "the grace"
    assert call.happened(ended("r1"), 170.0, audible=("r1",)) == []
    assert codes(call.due(175.0)) == ["limit_reached"]


def stopped(effects: list[Command | Event | Fault]) -> list[str | None]:
    return [effect.response_id for effect in effects if isinstance(effect, Interrupt)]


def test_what_waits_behind_the_answer_that_is_heard_is_not_said() -> None:
    call = limits(max_duration_s=60)
    for name in ("r1", "r2", "r3", "r4"):
        call.happened(started(name), 159.0)
    call.happened(ended("r1"), 159.0, ("r1", "r2"))
    assert stopped(call.due(160.0, ("r1", "r2"))) == ["r2", "r3", "r4"]
    assert call.due(165.0, ("r1",)) == []
    assert codes(call.due(166.0)) == ["limit_reached"], "those that were stopped are not waited for"


def test_what_begins_after_the_limit_is_stopped_but_the_last_words() -> None:
    call = limits(max_duration_s=60, say_at_limit="Goodbye!")
    call.happened(started("r1"), 159.0)
    [request] = call.due(160.0)
    assert isinstance(request, Respond)
    assert stopped(call.happened(started("r2", "c1"), 161.0)) == ["r2"]
    assert call.happened(ended("r1"), 162.0) == []
    assert call.happened(started("r3", request.id), 162.0) == []
    assert stopped(call.happened(started("r4"), 163.0, ("r3",))) == ["r4"]
    assert call.happened(ended("r3"), 163.0, ("r3",)) == []
    assert codes(call.due(165.0)) == ["limit_reached"], "long before the grace is over"


def test_a_unit_that_nobody_counts_is_told_once() -> None:
    call = limits(max_usage={"audio_s": 10.0, "tokens": 100})
    call.happened(started("r1"), 101.0)
    assert call.happened(used(words=3), 101.0) == [], "another stage may still count"
    assert call.happened(used(tokens=3), 101.0) == []
    [error] = call.happened(ended("r1"), 102.0)
    assert isinstance(error, BackendError)
    assert (error.fault.code, error.fatal) == ("unit_not_counted", False)
    assert "audio_s" in error.fault.message
    assert "tokens, words" in error.fault.message
    assert [call.happened(used(tokens=3), 103.0), call.happened(ended("r2"), 104.0)] == [[], []]


def test_units_that_are_counted_are_no_news() -> None:
    call = limits(max_usage={"tokens": 100})
    call.happened(used(tokens=3), 101.0)
    assert call.happened(ended("r1"), 102.0) == []


def test_but_not_for_ever() -> None:
    call = limits(max_duration_s=60, grace_s=5)
    call.happened(started("r1"), 159.0)
    call.due(160.0)
    assert call.due(164.9, audible=("r1",)) == []
    assert codes(call.due(165.0, audible=("r1",))) == ["limit_reached"]
    assert call.happened(ended("r1"), 170.0) == []


def test_without_grace_it_ends_at_once() -> None:
    call = limits(max_duration_s=60, grace_s=0)
    call.happened(started("r1"), 159.0)
    assert codes(call.due(160.0, audible=("r1",))) == ["limit_reached"]


def test_last_words_are_said_and_heard() -> None:
    call = limits(max_duration_s=60, say_at_limit="Goodbye!")
    [request] = call.due(160.0)
    assert isinstance(request, Respond)
    assert request.say == "Goodbye!"
    assert call.owns(request.id)
    assert call.happened(CommandSettled(command_id=request.id), 161.0) == [], "it starts, and has not been said"
    assert call.happened(started("r1", request.id), 161.0) == []
    assert call.happened(ended("r1"), 162.0, audible=("r1",)) == []
    assert codes(call.due(163.0)) == ["limit_reached"]


@pytest.mark.parametrize("way", ["refused", "can't be asked"])
def test_last_words_that_can_not_be_said_hold_nothing_up(way: str) -> None:
    call = limits(max_duration_s=60, say_at_limit="Goodbye!")
    if way == "refused":
        [request] = call.due(160.0)
        assert isinstance(request, Respond)
        refused = CommandSettled(command_id=request.id, fault=Fault(category="busy", message="No."))
        assert codes(call.happened(refused, 161.0)) == ["limit_reached"]
    else:
        mute = SessionReady(
            session_id="s",
            model="a/b",
            capabilities=Capabilities(),
            input_format=DOOR_FORMAT,
            output_format=DOOR_FORMAT,
        )
        restarted = SessionRestarted(ready=mute, reason="drop", carried="text", gap_ms=0, lost_audio_ms=0)
        call.happened(restarted, 150.0)
        assert codes(call.due(160.0)) == ["limit_reached"]


def test_its_own_command_is_the_only_one_it_owns() -> None:
    call = limits(max_duration_s=60)
    assert not call.owns("c1")


EVENTS = st.one_of(
    st.builds(started, st.sampled_from("abc")),
    st.builds(ended, st.sampled_from("abc")),
    st.builds(lambda amount: used(audio_s=amount), st.floats(0, 5)),
    st.just(READY),
)


@given(
    st.lists(st.tuples(EVENTS, st.floats(0, 4), st.sampled_from([(), ("a",)])), max_size=60),
    st.sampled_from([None, "Goodbye!"]),
)
def test_in_any_order_it_ends_once_and_in_time(
    steps: list[tuple[Event, float, tuple[str, ...]]], words: str | None
) -> None:
    call = CallLimits(CallPolicy(max_duration_s=30, max_usage={"audio_s": 20}, say_at_limit=words, grace_s=10))
    now, ready_at, effects = 0.0, None, list[Command | Event | Fault]()
    for event, after, audible in steps:
        now += after
        while (due_at := call.due_at()) is not None and due_at <= now:
            before = call.state
            effects += call.due(due_at, audible)
            assert (call.state, call.due_at()) != (before, due_at), "it would be asked for ever"
        ready_at = now if ready_at is None and event is READY else ready_at
        effects += call.happened(event, now, audible)
        ends = [one for one in codes(effects) if one != "Interrupt"]
        assert ends in ([], ["Respond"], ["limit_reached"], ["Respond", "limit_reached"])
        over = ready_at is not None and now >= ready_at + 40
        assert not over or ends[-1:] == ["limit_reached"]
