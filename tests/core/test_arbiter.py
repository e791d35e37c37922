"""The arbiter: each row of its table, and that no request is lost or served twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voicebridge.core.arbiter import Arbiter, Request


def plain(*commands: str, cause: Any = "request", **fields: Any) -> Request:
    return Request(cause=cause, answers=commands, settles=commands, **fields)


def test_idle_starts_at_once() -> None:
    arbiter = Arbiter()
    assert not arbiter.busy
    assert arbiter.ask(plain("c1")) == plain("c1")
    assert arbiter.busy
    assert arbiter.ended() is None
    assert not arbiter.busy


def test_requests_that_only_say_respond_become_one() -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    assert arbiter.ask(plain("c2")) is None
    assert arbiter.ask(plain("t1", cause="user")) is None
    assert arbiter.ask(plain("c3")) is None
    assert arbiter.ended() == plain("c2", "t1", "c3")
    assert arbiter.busy
    assert arbiter.ended() is None


@pytest.mark.parametrize(
    "special",
    [{"say": "Hello."}, {"aside": True}, {"modality": "text"}],
    ids=lambda fields: next(iter(fields)),
)
def test_a_request_with_wishes_of_its_own_stays_by_itself(special: dict[str, Any]) -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    for request in (plain("c2"), plain("c3", **special), plain("c4")):
        assert arbiter.ask(request) is None
    assert [arbiter.ended() for _ in range(4)] == [plain("c2"), plain("c3", **special), plain("c4"), None]


def test_merging() -> None:
    first = plain("c1", instructions="Be short.", modality="text")
    second = plain("c2", instructions="Be kind.", modality="text", cause="user")
    assert first.merged(second) == replace(
        second, answers=("c1", "c2"), settles=("c1", "c2"), instructions="Be short.\nBe kind."
    )
    assert first.merged(replace(second, instructions=None)) == replace(
        second, answers=("c1", "c2"), settles=("c1", "c2"), instructions="Be short."
    )
    assert first.merged(replace(second, modality=None)) is None
    assert plain("c1", aside=True).merged(plain("c2", aside=True)) is None
    assert plain("c1", say="A").merged(plain("c2", say="A")) is None


def test_withdrawn_requests_are_given_back() -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    arbiter.ask(plain("c2"))
    arbiter.ask(plain("c3", say="x"))
    assert arbiter.withdraw() == [plain("c2"), plain("c3", say="x")]
    assert arbiter.withdraw() == []
    assert arbiter.busy, "what runs is not held"
    assert arbiter.ended() is None


# Tools


def test_one_request_after_the_last_call() -> None:
    arbiter = Arbiter()
    for call in ("a", "b", "c"):
        arbiter.open_call(call, "r1")
    assert arbiter.knows_call("b")
    assert arbiter.answer_call("b", "c1", respond=True) is None
    assert not arbiter.knows_call("b")
    assert arbiter.answer_call("a", "c2", respond=False) is None
    assert arbiter.answer_call("c", "c3", respond=True) == Request(cause="tool", answers=("c1", "c3"))
    arbiter.open_call("d", "r2")
    assert arbiter.answer_call("d", "c4", respond=True) == Request(cause="tool", answers=("c4",))


def test_the_last_call_need_not_be_the_one_that_wants_an_answer() -> None:
    arbiter = Arbiter()
    arbiter.open_call("a")
    arbiter.open_call("b")
    assert arbiter.answer_call("a", "c1", respond=True) is None
    assert arbiter.answer_call("b", "c2", respond=False) == Request(cause="tool", answers=("c1",))


def test_the_next_calls_of_a_response_are_answered_by_themselves() -> None:
    arbiter = Arbiter()
    arbiter.open_call("a", "r1")
    assert arbiter.answer_call("a", "c1", respond=True) == Request(cause="tool", answers=("c1",))
    arbiter.open_call("b", "r1")
    assert arbiter.answer_call("b", "c2", respond=False) is None
    arbiter.open_call("c", "r1")
    assert arbiter.answer_call("c", "c3", respond=True) == Request(cause="tool", answers=("c3",))


def test_results_that_nobody_wants_answered() -> None:
    arbiter = Arbiter()
    arbiter.open_call("a")
    assert arbiter.answer_call("a", "c1", respond=False) is None
    assert not arbiter.knows_call("a")


def test_a_call_that_is_never_answered_holds_up_no_other_response() -> None:
    arbiter = Arbiter()
    arbiter.open_call("forgotten", "r1")
    arbiter.open_call("a", "r2")
    arbiter.open_call("b", "r2")
    assert arbiter.answer_call("a", "c1", respond=True) is None
    assert arbiter.answer_call("b", "c2", respond=True) == Request(cause="tool", answers=("c1", "c2"))
    assert arbiter.answer_call("forgotten", "c3", respond=True) == Request(cause="tool", answers=("c3",))


def test_a_result_of_no_open_call() -> None:
    arbiter = Arbiter()
    assert arbiter.answer_call("nobody", "c1", respond=True) is None
    arbiter.open_call("a")
    assert arbiter.answer_call("a", "c2", respond=True) is not None
    assert arbiter.answer_call("a", "c3", respond=True) is None


def test_withdrawing_keeps_calls_open_and_forgets_who_wanted_an_answer() -> None:
    arbiter = Arbiter()
    arbiter.open_call("a")
    arbiter.open_call("b")
    arbiter.answer_call("a", "c1", respond=True)
    assert arbiter.withdraw() == []
    assert arbiter.knows_call("b")
    assert arbiter.answer_call("b", "c2", respond=True) == Request(cause="tool", answers=("c2",))


# The user's floor

TOOL = Request(cause="tool", answers=("c9",))


def test_at_first_nobody_speaks() -> None:
    assert Arbiter().ask(TOOL) == TOOL


def test_an_answer_to_tools_waits_while_the_user_speaks() -> None:
    arbiter = Arbiter()
    arbiter.user_speaks = True
    assert arbiter.ask(TOOL) is None
    assert not arbiter.busy
    assert arbiter.resume() is None
    arbiter.user_speaks = False
    assert arbiter.resume() == TOOL
    assert arbiter.busy
    assert arbiter.resume() is None


def test_it_joins_the_answer_to_the_user() -> None:
    arbiter = Arbiter()
    arbiter.user_speaks = True
    arbiter.ask(TOOL)
    assert arbiter.ask(plain("t1", cause="user")) == Request(cause="user", answers=("c9", "t1"), settles=("t1",))
    arbiter.user_speaks = False
    assert arbiter.ended() is None


def test_other_requests_do_not_wait_for_the_user() -> None:
    arbiter = Arbiter()
    arbiter.user_speaks = True
    arbiter.ask(TOOL)
    assert arbiter.ask(plain("c1", say="x")) == plain("c1", say="x")
    assert arbiter.ask(plain("c2", say="y")) is None
    assert arbiter.ended() == plain("c2", say="y"), "what may start goes before what waits"
    assert arbiter.ended() is None
    assert not arbiter.busy
    arbiter.user_speaks = False
    assert arbiter.resume() == TOOL


def test_resume_does_not_disturb_what_runs() -> None:
    arbiter = Arbiter()
    arbiter.ask(plain("c1"))
    arbiter.ask(plain("c2", say="x"))
    assert arbiter.resume() is None
    assert arbiter.ended() == plain("c2", say="x")


class AnyOrder(RuleBasedStateMachine):
    """Every command comes back once: with a response that starts, or withdrawn."""

    @initialize()
    def begin(self) -> None:
        self.arbiter = Arbiter()
        self.running: Request | None = None
        self.open_calls: dict[str, str] = {}
        self.wanted: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.back: list[str] = []
        self.names = (f"c{number}" for number in range(10_000))

    def _started(self, request: Request | None) -> None:
        if request is None:
            return
        assert self.running is None, "two responses run"
        assert not (self.arbiter.user_speaks and request.cause == "tool"), "it talks over the user"
        self.running = request
        self._came_back(request)

    def _came_back(self, request: Request) -> None:
        assert set(request.settles) <= set(request.answers)
        self.back += request.answers

    @rule(
        cause=st.sampled_from(["user", "request", "tool", "spontaneous"]),
        say=st.none() | st.just("x"),
        aside=st.booleans(),
        modality=st.sampled_from([None, "text", "audio"]),
        instructions=st.none() | st.just("i"),
    )
    def ask(self, **fields: Any) -> None:
        name = next(self.names)
        self.asked.append(name)
        self._started(self.arbiter.ask(Request(answers=(name,), settles=(name,), **fields)))

    @rule(cause=st.sampled_from(["user", "request", "tool"]))
    def ask_plainly(self, cause: Any) -> None:
        name = next(self.names)
        self.asked.append(name)
        self._started(self.arbiter.ask(Request(cause=cause, answers=(name,))))

    @rule()
    def end(self) -> None:
        if self.running:
            self.running = None
            self._started(self.arbiter.ended())

    @rule(speaks=st.booleans())
    def floor(self, speaks: bool) -> None:
        self.arbiter.user_speaks = speaks
        self._started(self.arbiter.resume())

    @rule()
    def withdraw(self) -> None:
        for request in self.arbiter.withdraw():
            self._came_back(request)
        self.wanted.clear()

    @rule(response=st.sampled_from(["r1", "r2"]))
    def call(self, response: str) -> None:
        name = next(self.names)
        self.arbiter.open_call(name, response)
        self.open_calls[name] = response

    @rule(data=st.data(), respond=st.booleans())
    def answer(self, data: st.DataObject, respond: bool) -> None:
        if not self.open_calls:
            return
        call = data.draw(st.sampled_from(sorted(self.open_calls)))
        response, name = self.open_calls.pop(call), next(self.names)
        if respond:
            self.wanted.setdefault(response, []).append(name)
        request = self.arbiter.answer_call(call, name, respond=respond)
        if response in self.open_calls.values():
            assert request is None, "a call of that response is open"
            return
        wanted = self.wanted.pop(response, [])
        assert (request.answers if request else ()) == tuple(wanted)
        if request:
            assert request.cause == "tool"
            self.asked += request.answers
            self._started(self.arbiter.ask(request))

    @invariant()
    def nothing_comes_back_twice(self) -> None:
        assert len(self.back) == len(set(self.back))
        assert self.arbiter.busy == (self.running is not None)
        assert all(self.arbiter.knows_call(call) for call in self.open_calls)

    def teardown(self) -> None:
        """Nothing is lost: it comes back when all that can has ended."""
        if not hasattr(self, "arbiter"):
            return
        self.floor(False)
        while self.running:
            self.end()
        assert sorted(self.back) == sorted(self.asked)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
