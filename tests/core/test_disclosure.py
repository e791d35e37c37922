"""Nothing that the agent says is heard before the disclosure was, and nothing of it is lost by that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from voicebridge.contract.account import Disclosed
from voicebridge.contract.audio import DOOR_FORMAT
from voicebridge.contract.call_policy import Budget, CallPolicy
from voicebridge.contract.capabilities import Capabilities
from voicebridge.contract.commands import Respond
from voicebridge.contract.errors import ConfigError
from voicebridge.contract.events import (
    CommandSettled,
    Event,
    OutputAudio,
    OutputHeard,
    OutputText,
    ResponseEnded,
    ResponseStarted,
    SessionReady,
    SessionRestarted,
    ToolCall,
    ToolCallCancelled,
    UsageReported,
    UserTurn,
)
from voicebridge.contract.fault import Fault
from voicebridge.core.disclosure import DisclosureGate, Effect, Withheld
from voicebridge.core.policy_check import check_disclosure, check_usage

TEXT = "You are talking to an AI assistant."
SECOND = b"\x01\x02" * 24_000
SAYS = Capabilities(respond=frozenset({"verb", "say"}), outputs=frozenset({"audio"}))
OBEYS = Capabilities(respond=frozenset({"verb", "instructions"}), outputs=frozenset({"audio"}))
BAD = Fault(category="busy", message="Not now.")


def ready(capabilities: Capabilities = SAYS) -> SessionReady:
    return SessionReady(
        session_id="s",
        model="a/b",
        capabilities=capabilities,
        input_format=DOOR_FORMAT,
        output_format=DOOR_FORMAT,
    )


def restarted(capabilities: Capabilities) -> SessionRestarted:
    return SessionRestarted(ready=ready(capabilities), reason="failover", carried="text", gap_ms=0.0, lost_audio_ms=0.0)


def started(response_id: str, *answers: str) -> ResponseStarted:
    return ResponseStarted(response_id=response_id, cause="request", answers=answers)


def audio(response_id: str, second: int = 0) -> OutputAudio:
    return OutputAudio(response_id=response_id, pcm=SECOND, offset_ms=second * 1000.0)


def ended(response_id: str, status: Any = "completed") -> ResponseEnded:
    return ResponseEnded(response_id=response_id, status=status)


def heard(response_id: str, ms: float) -> OutputHeard:
    return OutputHeard(response_id=response_id, heard_ms=ms, text="", basis="measured")


class Call:
    """A gate at work. Events and commands go where they have to."""

    def __init__(self, capabilities: Capabilities = SAYS, policy: CallPolicy | None = None) -> None:
        self.gate = DisclosureGate(policy or CallPolicy(disclosure=TEXT), DOOR_FORMAT)
        self.passed: list[Event] = []
        self.asked: list[Respond] = []
        self.withheld: list[Withheld] = []
        self.faults: list[Fault] = []
        self.now = 7.0
        self.happens(ready(capabilities))

    def happens(self, *events: Event) -> None:
        for event in events:
            self.take(self.gate.happened(event, self.now))

    def rests(self) -> float:
        """Time passes until it asks again. The seconds."""
        due_at = self.gate.due_at()
        assert due_at is not None
        assert self.gate.due(due_at - 0.01) == []
        before, self.now = self.now, due_at
        self.take(self.gate.due(due_at))
        return due_at - before

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Event):
                self.passed.append(effect)
            elif isinstance(effect, Respond):
                self.asked.append(effect)
            elif isinstance(effect, Withheld):
                self.withheld.append(effect)
            else:
                assert isinstance(effect, Fault)
                self.faults.append(effect)

    def speaks(self, response_id: str = "d1", text: str = TEXT) -> None:
        """The disclosure comes, and is complete; it has not been heard."""
        said = OutputText(response_id=response_id, delta=text)
        self.happens(started(response_id, self.asked[-1].id), audio(response_id), said, ended(response_id))

    def heard_of(self, response_id: str) -> list[Event]:
        return [event for event in self.passed if getattr(event, "response_id", None) == response_id]


def test_the_backend_is_asked_to_say_it_first() -> None:
    call = Call()
    assert [request.say for request in call.asked] == [TEXT]
    assert call.passed == [ready()]


def test_others_are_held_until_it_was_heard_and_then_come_in_order() -> None:
    call = Call()
    greeting: list[Event] = [started("r1"), audio("r1"), OutputText(response_id="r1", delta="Hello!"), ended("r1")]
    call.happens(*greeting)
    call.speaks()
    assert call.heard_of("r1") == []
    assert call.gate.held == ("r1",)
    assert call.gate.response_id == "d1"
    call.happens(heard("d1", 1000.0))
    assert call.heard_of("r1") == greeting
    assert call.gate.open
    assert call.gate.disclosed == Disclosed(at=7.0, basis="measured")
    call.happens(audio("r2"))
    assert call.passed[-1] == audio("r2")


def test_what_is_no_voice_of_the_agents_passes_meanwhile() -> None:
    call = Call()
    turn = UserTurn(turn_id="t1", phase="speech", audio_ms=0.0)
    usage = UsageReported(units={"a": 1}, model="a/b", basis="exact", response_id="r1")
    call.happens(started("r1"), turn, usage)
    assert call.passed == [ready(), turn, usage]


def test_a_tool_call_and_its_withdrawal_keep_their_order() -> None:
    call = Call()
    tool = ToolCall(response_id="r1", call_id="k", name="n", arguments="{}")
    call.happens(started("r1"), tool, ToolCallCancelled(call_id="k"))
    assert call.passed == [ready()]
    call.speaks()
    call.happens(heard("d1", 1000.0))
    assert call.passed[-3:] == [started("r1"), tool, ToolCallCancelled(call_id="k")]


def cut_off(call: Call, name: str, status: str) -> None:
    call.happens(started(name, call.asked[-1].id), audio(name), ended(name, status), heard(name, 500.0))


def test_one_that_was_lost_is_said_again_as_often_as_it_takes() -> None:
    call = Call()
    for number in range(10):
        cut_off(call, f"d{number}", "lost")
        assert len(call.asked) == number + 1
        call.happens(restarted(SAYS))
    assert len(call.asked) == 11
    assert not call.faults
    assert not call.gate.open


def test_one_that_was_interrupted_is_said_again_after_a_while_and_not_for_ever() -> None:
    call = Call()
    rests = []
    for number in range(5):
        cut_off(call, f"d{number}", "interrupted")
        rests.append(call.rests())
    assert rests == pytest.approx([0.5, 1, 2, 4, 8])
    cut_off(call, "d5", "interrupted")
    assert [fault.code for fault in call.faults] == ["disclosure_failed"]
    assert call.gate.due_at() is None
    call.happens(ended("d5", "interrupted"), CommandSettled(command_id=call.asked[-1].id, fault=BAD), restarted(SAYS))
    assert (len(call.asked), len(call.faults)) == (6, 1), "it failed, and nothing is asked any more"


def test_it_is_not_said_again_while_the_user_speaks() -> None:
    call = Call()
    call.happens(UserTurn(turn_id="t1", phase="speech", audio_ms=0.0))
    cut_off(call, "d1", "interrupted")
    call.now += 10
    assert call.gate.due(call.now) == []
    call.happens(UserTurn(turn_id="t1", phase="pause", audio_ms=10_000.0))
    assert call.rests() == pytest.approx(0.5)
    assert len(call.asked) == 2


def test_a_user_who_never_falls_silent_hears_it_all_the_same() -> None:
    call = Call()
    call.happens(UserTurn(turn_id="t1", phase="speech", audio_ms=0.0))
    cut_off(call, "d1", "interrupted")
    assert call.rests() == pytest.approx(30.0)
    assert len(call.asked) == 2


@pytest.mark.parametrize(
    ("seconds", "heard_ms", "enough"), [(1, 760, True), (1, 740, False), (10, 9600, True), (10, 9400, False)]
)
def test_a_player_that_stops_reporting_a_little_before_the_end_is_believed(
    seconds: int, heard_ms: float, enough: bool
) -> None:
    call = Call()
    pieces = [audio("d1", second) for second in range(seconds)]
    call.happens(started("d1", call.asked[-1].id), *pieces, ended("d1"), heard("d1", heard_ms))
    assert call.gate.open is enough
    missing_ms = call.gate.disclosed.missing_ms if call.gate.disclosed else None
    assert missing_ms == (seconds * 1000 - heard_ms if enough else None)


def test_what_the_application_cut_a_little_before_the_end_is_said_again() -> None:
    call = Call()
    call.speaks()
    call.take(list(call.gate.interrupted(None)))
    call.happens(heard("d1", 960.0))
    assert not call.gate.open
    call.rests()
    assert len(call.asked) == 2


def test_one_that_was_silence_in_part_was_not_said() -> None:
    call = Call()
    call.happens(started("d1", call.asked[-1].id), audio("d1"))
    call.gate.silenced("d1")
    call.gate.silenced("r9")
    call.happens(ended("d1"), heard("d1", 1000.0))
    assert not call.gate.open
    call.rests()
    call.speaks("d2")
    call.happens(heard("d2", 1000.0))
    assert call.gate.open


def test_a_player_that_never_comes_near_the_end_ends_the_call() -> None:
    call = Call()
    for number in range(3):
        call.speaks(f"d{number}")
        call.happens(heard(f"d{number}", 400.0))
        assert (not call.faults) is (number < 2)
        if not call.faults:
            call.rests()
    assert len(call.asked) == 3
    assert "player" in call.faults[0].message


def test_one_that_was_only_heard_in_part_is_said_again() -> None:
    call = Call()
    call.speaks()
    call.happens(heard("d1", 400.0))
    assert not call.gate.open
    call.rests()
    call.speaks("d2")
    call.happens(heard("d2", 1000.0))
    assert call.gate.open


def test_a_player_that_was_only_slow_proves_it_after_all() -> None:
    call = Call()
    call.speaks()
    call.happens(heard("d1", 400.0))
    call.happens(heard("d1", 1000.0))
    assert call.gate.open


def test_what_was_heard_before_the_end_is_known_does_not_count_as_all() -> None:
    call = Call()
    call.happens(started("d1", call.asked[-1].id), audio("d1"), heard("d1", 1000.0))
    assert not call.gate.open
    call.happens(audio("d1", 1), ended("d1"))
    assert not call.gate.open
    call.rests()
    assert len(call.asked) == 2, "a second of two was heard"


@pytest.mark.parametrize("way", ["settled", "failed", "voiceless"])
def test_the_third_failure_ends_the_call(way: str) -> None:
    call = Call()
    for number in range(3):
        request, name = call.asked[-1].id, f"d{number}"
        if way == "settled":
            call.happens(CommandSettled(command_id=request, fault=BAD))
        else:
            status = "failed" if way == "failed" else "completed"
            call.happens(started(name, request), ended(name, status))
        if not call.faults:
            call.rests()
    assert len(call.asked) == 3
    assert [fault.code for fault in call.faults] == ["disclosure_failed"]
    assert not call.gate.open


def test_the_fate_of_its_commands_is_nobody_elses_business() -> None:
    call = Call()
    call.happens(CommandSettled(command_id=call.asked[0].id))
    call.happens(CommandSettled(command_id="c-other"))
    assert call.passed[1:] == [CommandSettled(command_id="c-other")]
    assert len(call.asked) == 1


@pytest.mark.parametrize("code", ["moved", "withdrawn"])
def test_a_request_that_went_down_with_its_connection_or_was_interrupted_is_made_again(code: str) -> None:
    call = Call()
    for count in range(1, 6):
        gone = Fault(category="closed", code=code, message="Gone.")
        call.happens(CommandSettled(command_id=call.asked[-1].id, fault=gone))
        call.rests()
        assert len(call.asked) == count + 1, "that is no failure"


def test_a_session_that_closes_is_asked_nothing_more() -> None:
    call = Call()
    closed = Fault(category="closed", message="Over.")
    call.happens(CommandSettled(command_id=call.asked[0].id, fault=closed))
    assert len(call.asked) == 1


def test_a_lost_connection_is_no_failure() -> None:
    call = Call()
    for _ in range(5):
        lost = Fault(category="network", message="Gone.")
        call.happens(CommandSettled(command_id=call.asked[-1].id, fault=lost))
        call.rests()
    assert len(call.asked) == 6
    assert not call.faults


def test_a_model_that_is_only_told_what_to_say_is_listened_to() -> None:
    call = Call(OBEYS)
    assert call.asked[0].say is None
    assert TEXT in (call.asked[0].instructions or "")
    call.speaks("d1", "Hello, how can I help you?")
    call.happens(heard("d1", 1000.0))
    assert not call.gate.open
    call.rests()
    call.speaks("d2", "you're talking to an A.I. assistant")
    call.happens(heard("d2", 1000.0))
    assert not call.gate.open, "half of the words are others"
    call.rests()
    call.speaks("d3", "Sure! You are talking to an AI assistant")
    call.happens(heard("d3", 1000.0))
    assert call.gate.open


def test_what_was_interrupted_while_it_was_held_is_not_heard() -> None:
    call = Call()
    call.happens(started("r1"), audio("r1"), started("r2"), audio("r2"))
    call.take(list(call.gate.interrupted("r1")))
    assert call.withheld == [Withheld("r1", len(SECOND))]
    assert call.gate.held == ("r2",)
    call.happens(ended("r2", "interrupted"))
    assert call.withheld[1:] == [Withheld("r2", len(SECOND))]
    call.speaks()
    call.happens(heard("d1", 1000.0))
    assert call.heard_of("r1") == [started("r1")]
    assert call.heard_of("r2") == [started("r2"), ended("r2", "interrupted")]


def test_a_whole_answer_that_was_interrupted_while_it_was_held_counts_as_interrupted() -> None:
    call = Call()
    words = OutputText(response_id="r1", delta="Hello!")
    call.happens(started("r1"), audio("r1"), words, ended("r1"), started("r2"), audio("r2"))
    call.take(list(call.gate.interrupted(None)))
    call.happens(audio("r2", 1), ended("r2"))
    assert [one.response_id for one in call.withheld] == ["r1", "r2", "r2"]
    call.speaks()
    call.happens(heard("d1", 1000.0))
    assert call.heard_of("r1") == [started("r1"), words, ended("r1", "interrupted")]
    assert call.heard_of("r2") == [started("r2"), ended("r2", "interrupted")]


def test_what_is_held_is_bounded() -> None:
    call = Call()
    call.happens(started("r1"), *(audio("r1", second) for second in range(70)))
    assert sum(one.size for one in call.withheld) == 10 * len(SECOND)
    call.speaks()
    call.happens(heard("d1", 1000.0))
    assert len(call.heard_of("r1")) == 61


def test_at_the_end_what_is_held_is_counted() -> None:
    call = Call()
    call.happens(started("r1"), audio("r1"), ended("r1"))
    call.take(call.gate.close())
    assert call.withheld == [Withheld("r1", len(SECOND))]
    assert call.heard_of("r1") == [started("r1"), ended("r1", "interrupted")]


def test_in_writing_it_is_a_response_of_its_own() -> None:
    call = Call(Capabilities(), CallPolicy(disclosure=TEXT, disclosure_as="text"))
    assert not call.asked
    assert [type(event) for event in call.passed] == [SessionReady, ResponseStarted, OutputText, ResponseEnded]
    assert call.gate.open
    assert call.gate.disclosed == Disclosed(at=7.0, basis="text")
    call.happens(audio("r1"))
    assert call.passed[-1] == audio("r1")


def test_a_backend_that_takes_over_must_be_able_to_say_it() -> None:
    call = Call()
    call.happens(restarted(OBEYS))
    assert not call.faults
    call.happens(restarted(Capabilities()))
    assert [fault.code for fault in call.faults] == ["disclosure_failed"]
    assert call.passed[-1] == restarted(Capabilities())


@pytest.mark.parametrize(
    ("policy", "capabilities", "outputs", "problem"),
    [
        (CallPolicy(), Capabilities(), [], None),
        (CallPolicy(disclosure=TEXT, disclosure_as="text"), Capabilities(), [], None),
        (CallPolicy(disclosure=TEXT), SAYS, ["audio", "text"], None),
        (CallPolicy(disclosure=TEXT), OBEYS, ["audio"], None),
        (CallPolicy(disclosure=TEXT), SAYS, ["text"], "does not speak"),
        (CallPolicy(disclosure=TEXT), replace(SAYS, outputs=frozenset({"text"})), ["audio"], "does not speak"),
        (CallPolicy(disclosure=TEXT), replace(SAYS, respond=frozenset({"verb"})), ["audio"], "can't be asked"),
    ],
)
def test_what_can_not_be_said_is_refused_before_the_call(
    policy: CallPolicy, capabilities: Capabilities, outputs: list[str], problem: str | None
) -> None:
    if problem is None:
        check_disclosure(policy, capabilities, outputs, "a/b")
        return
    with pytest.raises(ConfigError, match=problem):
        check_disclosure(policy, capabilities, outputs, "a/b")


@pytest.mark.parametrize("limit", [{"max_usage": {"tokens": 1}}, {"budgets": (Budget(lambda usage: 0.0, 1.0),)}])
def test_limits_on_what_nobody_counts_are_refused_before_the_call(limit: Any) -> None:
    with pytest.raises(ConfigError, match="a/b reports no usage"):
        check_usage(CallPolicy(**limit), SAYS, "a/b")
    check_usage(CallPolicy(**limit), replace(SAYS, usage="estimated"), "a/b")
    check_usage(CallPolicy(max_duration_s=1), SAYS, "a/b")


class AnyOrder(RuleBasedStateMachine):
    """Backends and users in any order. Told in the end: no voice before the disclosure, and none lost unnoticed."""

    @initialize()
    def begin(self) -> None:
        self.call = Call()
        self.sent: list[OutputAudio] = []
        self.running: dict[str, float] = {}
        self.numbers = 0

    @rule(disclosure=st.booleans())
    def start(self, disclosure: bool) -> None:
        self.numbers += 1
        name = f"r{self.numbers}"
        self.running[name] = 0.0
        self.call.happens(started(name, *([self.call.asked[-1].id] if disclosure else [])))

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def speak(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        piece = OutputAudio(response_id=name, pcm=b"ab" * 240, offset_ms=self.running[name])
        self.running[name] += 10.0
        self.sent.append(piece)
        self.call.happens(piece)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), status=st.sampled_from(["completed", "interrupted", "failed"]))
    def end(self, data: st.DataObject, status: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        del self.running[name]
        self.call.happens(ended(name, status))

    @rule(number=st.integers(1, 10), ms=st.sampled_from([0.0, 10.0, 500.0]))
    def hear(self, number: int, ms: float) -> None:
        if any(piece.response_id == f"r{number}" for piece in self.call.passed if isinstance(piece, OutputAudio)):
            self.call.happens(heard(f"r{number}", ms))

    @rule(number=st.none() | st.integers(1, 10))
    def interrupt(self, number: int | None) -> None:
        self.call.take(list(self.call.gate.interrupted(None if number is None else f"r{number}")))

    @rule()
    def refuse(self) -> None:
        self.call.happens(CommandSettled(command_id=self.call.asked[-1].id, fault=BAD))

    @rule(phase=st.sampled_from(["speech", "pause", "committed"]))
    def user(self, phase: Any) -> None:
        self.call.happens(UserTurn(turn_id="t", phase=phase, audio_ms=0.0))

    @rule(seconds=st.floats(0.0, 10.0))
    def wait(self, seconds: float) -> None:
        until = self.call.now + seconds
        while (due_at := self.call.gate.due_at()) is not None and due_at <= until:
            asked = len(self.call.asked)
            self.call.now = max(self.call.now, due_at)
            self.call.take(self.call.gate.due(self.call.now))
            assert len(self.call.asked) == asked + 1, "it would be woken for nothing, for ever"
        self.call.now = until

    @invariant()
    def it_costs_little(self) -> None:
        assert len(self.call.asked) <= 9, "six interruptions or three failures end the call"
        assert len(self.call.faults) <= 1

    @invariant()
    def no_voice_comes_before_it(self) -> None:
        asked = {request.id for request in self.call.asked}
        ours = {e.response_id for e in self.call.passed if isinstance(e, ResponseStarted) and asked & {*e.answers}}
        said = [piece for piece in self.call.passed if isinstance(piece, OutputAudio)]
        others = [piece for piece in said if piece.response_id not in ours]
        assert self.call.gate.open or not others
        if others:
            first = self.call.passed.index(others[0])
            proofs = [e for e in self.call.passed[:first] if isinstance(e, OutputHeard) and e.response_id in ours]
            assert any(proof.heard_ms > 0 for proof in proofs)

    @invariant()
    def every_piece_is_somewhere_once(self) -> None:
        passed = [piece for piece in self.call.passed if isinstance(piece, OutputAudio)]
        held = [piece for piece in self.call.gate._held if isinstance(piece, OutputAudio)]
        assert len(passed) + len(held) + len(self.call.withheld) == len(self.sent)
        for name in {piece.response_id for piece in self.sent}:
            places = [piece.offset_ms for piece in passed if piece.response_id == name]
            assert places == sorted(set(places)), "in order, and once"

    def teardown(self) -> None:
        if hasattr(self, "call"):
            self.call.take(self.call.gate.close())
            assert self.call.gate._held_bytes == 0
            self.every_piece_is_somewhere_once()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
